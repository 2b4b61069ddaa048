"use strict";
// The page of one rater. Ratings live in `ratings`: item → scale → number; every change is written to localStorage at once.
const data = JSON.parse(document.getElementById("data").textContent);
const $ = (id) => document.getElementById(id);
const places = new Map(data.items.map((item, place) => [item.id, place]));
const NAME = /^[\p{L}\p{N}](?:[\p{L}\p{N} ._-]*[\p{L}\p{N}._-])?$/u;

let rater = "", ratings = {}, at = 0, active = 0, keeps = true, unsaved = false;
let past = [];                                          // what Backspace takes back: {id, scale, before}

// ── keeping ─────────────────────────────────────────────────────────────────────────────────────────────────────
const storageKey = (name) => `counterbalance.review.${data.review}.${name}`;

function recall(name) {
  try {
    return JSON.parse(localStorage.getItem(storageKey(name)));
  } catch {
    return null;
  }
}

function keep() {
  try {
    localStorage.setItem(storageKey(`of ${rater.toLowerCase()}`), JSON.stringify({ item: data.items[at].id, ratings }));
    localStorage.setItem(storageKey("rater"), JSON.stringify(rater));
  } catch {
    if (keeps) warn("This browser does not keep ratings for this page. Save them as a file before you close it.");
    keeps = false;
  }
}

function adopt(kept) {                                  // only what this page knows: the browser's store may hold anything
  ratings = {};
  for (const [id, given] of Object.entries(kept?.ratings ?? {})) {
    for (const scale of data.scales) if (places.has(id) && fits(scale, given?.[scale.name])) set(id, scale.name, given[scale.name]);
  }
  at = places.get(kept?.item) ?? 0;
}

function set(id, name, value) {
  ratings[id] = { ...ratings[id], [name]: value };
  if (value === undefined) delete ratings[id][name];
  if (!Object.keys(ratings[id]).length) delete ratings[id];
}

const fits = (scale, value) => Number.isInteger(value) && value >= scale.low && value <= scale.high;
const complete = (id) => data.scales.every((scale) => ratings[id]?.[scale.name] !== undefined);
const rated = () => data.items.filter((item) => complete(item.id)).length;

// ── rating ──────────────────────────────────────────────────────────────────────────────────────────────────────
function rate(index, value) {
  const item = data.items[at], scale = data.scales[index], number = at + 1;
  if (!fits(scale, value)) return say(`This scale runs from ${scale.low} to ${scale.high}`);
  const wasDone = rated() === data.items.length;
  past.push({ id: item.id, scale: index, before: ratings[item.id]?.[scale.name] });
  set(item.id, scale.name, value);
  unsaved = true;
  say(`Picture ${number}: ${data.scales.length > 1 ? `${scale.name} ` : ""}${value}`);
  const open = [...data.scales.keys()].map((step) => (index + 1 + step) % data.scales.length)
    .find((other) => ratings[item.id][data.scales[other].name] === undefined);
  active = open ?? index;
  if (open === undefined && !wasDone) advance();
  keep();
  show();
}

function advance() {
  const next = unrated();
  if (next === undefined) $("done").showModal();
  else move(next);
}

function unrated() {                                    // the next picture from here that lacks a rating; from the start after the last
  const count = data.items.length;
  return Array.from({ length: count }, (_, step) => (at + step) % count).find((place) => !complete(data.items[place].id));
}

function takeBack() {
  const last = past.pop();
  if (!last) return say("Nothing to take back; a picture rated again gets the new rating");
  set(last.id, data.scales[last.scale].name, last.before);
  at = places.get(last.id);
  active = last.scale;
  unsaved = true;
  keep();
  show();
  say(`Picture ${at + 1}: taken back${last.before === undefined ? "" : `, again ${last.before}`}`);
}

function move(place) {
  at = Math.min(Math.max(place, 0), data.items.length - 1);
  const open = data.scales.findIndex((scale) => ratings[data.items[at].id]?.[scale.name] === undefined);
  active = Math.max(open, 0);
}

function walk(place) {
  move(place);
  keep();
  show();
  say("");
}

// ── showing ─────────────────────────────────────────────────────────────────────────────────────────────────────
function element(tag, attributes, ...children) {        // text goes in as text, never as markup
  const made = Object.assign(document.createElement(tag), attributes);
  made.append(...children);
  return made;
}

const title = (scale) => scale.question || scale.name.replaceAll("_", " ").replace(/^./, (letter) => letter.toUpperCase());

function build() {
  data.scales.forEach((scale, index) => {
    const points = element("div", { className: "points" });
    for (let value = scale.low; value <= scale.high; value++) {
      const end = value === scale.low ? scale.worst : value === scale.high ? scale.best : "";
      const button = element("button", { type: "button", onclick: () => rate(index, value) }, String(value));
      button.setAttribute("aria-label", end ? `${value}, ${end}` : String(value));
      points.append(button);
    }
    const question = element("p", { className: "question", id: `question-${index}` }, title(scale));
    const ends = element("p", { className: "ends" }, element("span", {}, scale.worst), element("span", {}, scale.best));
    ends.setAttribute("aria-hidden", "true");           // the buttons say it
    ends.hidden = !(scale.worst || scale.best);
    const group = element("div", { className: "scale" }, question, points, ends);
    group.setAttribute("role", "group");
    group.setAttribute("aria-labelledby", question.id);
    group.addEventListener("focusin", () => { active = index; mark(); });
    $("scales").append(group);
    const limits = [`${scale.low}: ${scale.worst || "worst"}`, `${scale.high}: ${scale.best || "best"}`].join(", ");
    $("meaning").append(element("p", {}, `${title(scale)} (${limits})`));
  });
}

function mark() {
  [...$("scales").children].forEach((group, index) => group.classList.toggle("active", index === active));
}

function show() {
  const item = data.items[at], count = data.items.length, done = rated();
  $("picture").src = item.src;
  $("picture").alt = `Picture ${at + 1} of ${count}`;
  $("label").hidden = !item.label;
  $("label").textContent = item.label ?? "";
  $("place").textContent = `${at + 1} of ${count} · ${done} rated`;
  $("bar").style.width = `${(100 * done) / count}%`;
  $("progress").setAttribute("aria-valuenow", done);
  $("progress").setAttribute("aria-valuetext", `${done} of ${count} rated`);
  $("previous").disabled = at === 0;
  $("next").disabled = at === count - 1;
  $("back").disabled = !past.length;
  [...$("scales").children].forEach((group, index) => {
    const scale = data.scales[index], given = ratings[item.id]?.[scale.name];
    [...group.querySelectorAll("button")].forEach((button, point) => {
      button.setAttribute("aria-pressed", String(given === scale.low + point));
    });
  });
  mark();
  if (at + 1 < count) new Image().src = data.items[at + 1].src;     // decoded before it is asked for
}

function say(text) {
  $("status").textContent = text;
}

function warn(text) {
  $("warning").textContent = text;
  $("warning").hidden = !text;
}

// ── files ───────────────────────────────────────────────────────────────────────────────────────────────────────
function save() {
  const names = data.scales.map((scale) => scale.name);
  const rows = data.items.filter((item) => ratings[item.id])
    .map((item) => [data.review, rater, item.id, ...names.map((name) => ratings[item.id][name] ?? "")]);
  const text = [["review", "rater", "item", ...names], ...rows].map((row) => row.join(",")).join("\r\n") + "\r\n";
  const address = URL.createObjectURL(new Blob([text], { type: "text/csv" }));
  const name = `ratings-${data.review}-${rater.replaceAll(/[^\p{L}\p{N}]+/gu, "-")}.csv`;
  element("a", { href: address, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(address), 60_000);
  unsaved = false;
  say(`Saved ${rows.length} ${rows.length === 1 ? "picture" : "pictures"} as ${name}`);
}

async function load(file) {
  try {
    const found = parse(await file.text());             // all of it is understood before anything is taken
    let taken = 0, differ = 0;
    for (const { id, name, value } of found) {
      const before = ratings[id]?.[name];
      if (before === undefined) { set(id, name, value); taken++; } else if (before !== value) differ++;
    }
    unsaved ||= taken > 0;
    move(unrated() ?? at);
    keep();
    show();
    say(`${taken} ratings loaded${differ ? `; ${differ} differ from what is rated here, which stands` : ""}`);
  } catch (problem) {
    warn(`${file.name}: ${problem.message}. Nothing was loaded.`);
  }
}

function parse(text) {
  const [head, ...rows] = text.replace(/^\uFEFF/, "").split(/\r?\n|\r/).filter((line) => line.trim())
    .map((line) => line.split(/[,;\t]/).map((cell) => cell.trim().replace(/^"(.*)"$/, "$1")));
  const cell = (row, name) => row[head.indexOf(name)] ?? "";
  if (!["review", "rater", "item"].every((name) => head?.includes(name))) throw new Error("this is no file of ratings");
  return rows.flatMap((row) => {
    const id = cell(row, "item"), by = cell(row, "rater");
    if (cell(row, "review") !== data.review) throw new Error("these are ratings of another set of pictures");
    if (by.toLowerCase() !== rater.toLowerCase()) throw new Error(`these are ratings by ${by}, and this page is open for ${rater}`);
    return data.scales.filter((scale) => cell(row, scale.name) !== "").map((scale) => {
      const value = Number(cell(row, scale.name));
      if (!places.has(id) || !fits(scale, value)) throw new Error(`${id} ${scale.name} ${cell(row, scale.name)} does not fit this page`);
      return { id, name: scale.name, value };
    });
  });
}

// ── events ──────────────────────────────────────────────────────────────────────────────────────────────────────
function digit(event) {                                 // by place as well: on French keyboards digits need Shift
  const key = /^(?:Digit|Numpad)(\d)$/.exec(event.code);
  if (key && event.key.length === 1) return Number(key[1]);
  return /^\d$/.test(event.key) ? Number(event.key) : null;
}

const KEYS = {
  ArrowLeft: () => walk(at - 1), ArrowRight: () => walk(at + 1),
  ArrowUp: () => { active = Math.max(active - 1, 0); mark(); }, ArrowDown: () => { active = Math.min(active + 1, data.scales.length - 1); mark(); },
  Backspace: takeBack, u: () => walk(unrated() ?? at), s: save, "?": () => $("keys").showModal(),
};

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) return;
  const value = digit(event), act = KEYS[event.key.length === 1 ? event.key.toLowerCase() : event.key];
  if (event.key !== "?" && value !== null) {
    if (!event.repeat) rate(active, value);             // a key held down would rate pictures nobody has seen
  } else if (act) act();
  else return;
  event.preventDefault();
});

$("back").onclick = takeBack;
$("previous").onclick = () => walk(at - 1);
$("next").onclick = () => walk(at + 1);
$("help").onclick = () => $("keys").showModal();
$("save").onclick = save;
$("finish").onclick = save;
$("load").onclick = () => $("file").click();
$("file").onchange = async () => {
  warn("");
  if ($("file").files.length) await load($("file").files[0]);
  $("file").value = "";
};

$("start").addEventListener("cancel", (event) => event.preventDefault());
$("start").addEventListener("submit", (event) => {
  const name = $("rater").value.trim();
  if (!NAME.test(name) || /^simulated/i.test(name)) {
    event.preventDefault();
    $("rater-help").className = "wrong";
    $("rater").focus();
    return;
  }
  rater = name;
  adopt(recall(`of ${rater.toLowerCase()}`));
  move(unrated() ?? at);
  keep();
  show();
  say(rated() ? `${rated()} pictures are rated already; this is the next` : "");
});

window.addEventListener("storage", (event) => {         // the same page in a second tab
  if (event.key !== storageKey(`of ${rater.toLowerCase()}`)) return;
  adopt({ ...recall(`of ${rater.toLowerCase()}`), item: data.items[at].id });
  past = [];
  show();
});
window.addEventListener("beforeunload", (event) => {
  if (!keeps && unsaved) event.preventDefault();
});

document.documentElement.style.setProperty("--largest", `${data.side}px`);
build();
show();
if (!$("rater").readOnly) $("rater").value = recall("rater") ?? "";
$("start").showModal();
$(data.rater ? "go" : "rater").focus();
