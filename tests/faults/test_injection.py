"""Whatever text a study or a data set brings, the report shows it as text: no element, attribute, link or formula comes of it."""

from __future__ import annotations

import base64
import io
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import nbformat
import numpy as np
import pandas as pd
import pytest
from IPython.display import Image as Shown
from matplotlib.text import Text
from PIL import Image

from lib.data.columns import read_csv
from lib.data.intake import take_in
from lib.files import write_json
from lib.report.completeness import describe_account, plot_account
from lib.report.eda import count_cells, describe_cells, plot_cells, plot_splits
from lib.report.gallery import gallery
from lib.report.grids import cell_grid
from lib.report.hair import describe_hair, plot_hair
from lib.report.page import notebook_page
from lib.report.style import house_style, new_figure
from lib.report.words import literal, say, table
from lib.study import Groups, Labels, Source
from lib.workflow.checks import load_plan
from lib.workflow.index import write_index
from lib.workflow.keys import full_key

PLAIN = "a plain word"
PAYLOADS = {
    "script":           "<script>alert(1)</script>",
    "image":            '"><img src=x onerror=alert(1)>',
    "attribute":        "' onmouseover='alert(1)' x='",
    "end of title":     "</title></style></textarea><svg onload=alert(1)>",
    "comment":          "--><!--",
    "entity":           "&#60;script&#62;alert(1)&lt;/script&gt;",
    "Jinja":            "{{ 7*7 }}{% raw %}",
    "formula":          "$\\frac{}$ $$x$$ \\(y\\) \\[z\\]",
    "environment":      "\\begin{align}\\require{x}\\end{align}",
    "link":             "[x](javascript:alert(1))",
    "picture":          "![x](https://evil.example/x.png)",
    "automatic link":   "<https://evil.example> www.evil.example a@evil.example",
    "address":          "https://evil.example/x",
    "reference":        "[x]: javascript:alert(1)",
    "heading":          "# x",
    "list":             "1. x",
    "code":             "`x` **x** ~~x~~ _x_",
    "cells":            "| a | b |",
    "lines":            "x\n\n<script>alert(1)</script>\n\n    code",
    "control":          "x\x00\x1b[31m\u202e\u2028y",
}


class Page(HTMLParser):
    """What a browser would make of a page: elements with attributes, links, visible text."""

    def __init__(self, page: str):
        super().__init__()
        self.elements: list[tuple] = []
        self.links: list[str] = []
        self._text: list[str] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag, attributes):
        if (tag, attributes) != ("span", [("class", "tex2jax_ignore")]):        # ours, around "$" and "\\"
            self.elements.append((tag, tuple(name for name, _ in attributes)))
        self.links += [value for name, value in attributes
                       if name in ("href", "src", "action", "srcset") and not value.startswith("data:image/png;base64,")]

    def handle_data(self, data):
        self._text.append(data)

    @property
    def text(self) -> str:
        return in_one_line("".join(self._text))


def in_one_line(text: str) -> str:
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())


def harmless(page: str, plain: str, payload: str, *, links: bool = False) -> Page:
    """Assert that a page has the elements of the same page without the payload, and shows the payload as it is written."""
    seen = Page(page)
    assert seen.elements == Page(plain).elements
    assert in_one_line(payload) in seen.text
    assert links or seen.links == Page(plain).links
    assert not any(urlsplit(link).scheme or urlsplit(link).netloc for link in seen.links)
    return seen


def as_page(folder: Path, *outputs, title: str = "t") -> str:
    """Outputs as nbconvert puts them on a page."""
    cell = nbformat.v4.new_code_cell("x", outputs=list(outputs))
    nbformat.write(nbformat.v4.new_notebook(cells=[cell]), folder / "n.ipynb")
    return notebook_page(folder / "n.ipynb", title=title, index="../index.html").read_text(encoding="utf-8")


def display(shown) -> nbformat.NotebookNode:
    """An object as a kernel hands it to the notebook."""
    from IPython.core.formatters import DisplayFormatter

    data, metadata = DisplayFormatter().format(shown)
    data = {kind: base64.b64encode(value).decode() if isinstance(value, bytes) else value for kind, value in data.items()}
    return nbformat.v4.new_output("display_data", data, metadata=metadata)


@pytest.fixture(params=PAYLOADS)
def payload(request) -> str:
    return PAYLOADS[request.param]


def test_sentences(payload, tmp_path):
    for wrapped in ("{}", "The class {} has 3 images.", "{}: a reason"):
        text = wrapped.replace("{}", payload)
        for many in ([], ["another sentence"]):
            pages = [as_page(tmp_path, display(say(part, *many))) for part in (text, wrapped.replace("{}", PLAIN))]
            harmless(*pages, text)


def test_tables(payload, tmp_path):
    def shown(text):
        frame = pd.DataFrame({text: [text, 1.5], "n": [1, 2]}, index=pd.Index([text, "b"], name=text))
        return as_page(tmp_path, display(table(frame, text, {"n": lambda _: text})))

    seen = harmless(shown(payload), shown(PLAIN), payload)
    assert seen.text.count(in_one_line(payload)) >= 7                  # caption, column, index name, index, cell, two formatted cells


def test_literal_opens_no_formula_in_a_live_notebook(payload):
    """MathJax reads the text between tags; it leaves the class tex2jax_ignore alone."""
    bare = literal(payload)
    for character in ("&#36;", "&#92;"):
        bare = bare.replace(f'<span class="tex2jax_ignore">{character}</span>', "")
    assert not {"$", "\\"} & set(bare) and "&#36;" not in bare and "&#92;" not in bare


def test_what_a_notebook_prints_and_draws(payload, tmp_path):
    def shown(text):
        @house_style
        def figure():
            return new_figure(title=text, height=1, note=text)[0]

        picture = Shown(data=png_bytes(), format="png", alt=text)
        return as_page(
            tmp_path,
            nbformat.v4.new_output("stream", name="stdout", text=text), nbformat.v4.new_output("stream", name="stderr", text=text),
            nbformat.v4.new_output("error", ename="DataError", evalue=text, traceback=[f"\x1b[31mDataError\x1b[0m: {text}"]),
            nbformat.v4.new_output("execute_result", {"text/plain": text}),
            display(picture), display(figure()), display(pd.DataFrame({text: [text]})), title=text)

    printed = payload.replace("\x1b", "").replace("\x00", "")             # a terminal's colours, and what no page may hold
    harmless(shown(printed), shown(PLAIN), printed)


def png_bytes() -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (9, 9)).save(buffer, "PNG")
    return buffer.getvalue()


# ── a data set whose every name is a payload ─────────────────────────────────────────────────────────────────────

def bring(root: Path, text: str) -> tuple:
    """The intake of a table whose labels, groups, patients, files and further columns are `text`; one image is broken, one missing."""
    name = in_one_line(text).replace("/", "∕").replace("\\", "∖").strip(".")
    folder, rng = root / "pictures", np.random.default_rng(0)
    folder.mkdir(parents=True)
    cell = text.replace("\x00", "")                                         # a table with NUL is no table
    rows = []
    for n in range(8):
        Image.fromarray(rng.integers(0, 255, (16, 16, 3), np.uint8)).save(folder / f"{name} {n}.png")
        rows.append({"file": f"{name} {n}.png", "label": cell if n % 2 else "b", "patient_id": f"{cell}{n // 2}", "image_id": f"{cell}{n}",
                     "place": cell, "site": cell, f"{cell} too": cell})
    (folder / rows[0]["file"]).write_bytes(b"no picture")
    rows.append({**rows[0], "file": f"{cell}.png", "image_id": f"{cell} gone"})
    pd.DataFrame(rows).to_csv(folder / "list.csv", index=False)
    seen = read_csv(folder / "list.csv")
    source = Source(dataset="image_folder", name=text, domain=text, table="list.csv", max_quarantined=1)
    labels, groups = Labels(classes={text: [seen["label"][1]], "b": ["b"]}), Groups(column="place", values={text: [seen["place"][0]]})
    return take_in([source], labels, groups, {text: folder}), folder


def test_an_intake_of_nothing_but_payloads(payload, tmp_path):
    def shown(text, root):
        intake, folder = bring(root, text)
        samples, account = intake.samples.assign(split="train"), intake.account.to_dict("records")[0]
        assert account["used"] == 7 and account["refused"] + account["missing"] == 2 and account["refused"]
        pictures = gallery(samples, {text: folder}, root, labels=[text, "b"], groups=[text])
        counts = count_cells(samples, [text, "b"], [text])
        outputs = [table(intake.account), table(intake.quarantine), table(samples.drop(columns="sha256")), table(intake.facts), pictures,
                   table(counts), say(intake.notes), say(describe_account(intake.account)), say(describe_cells(counts, minimum=5)),
                   say(describe_hair(samples.assign(hair=0.1)))]
        return as_page(root, *map(display, outputs)), samples, folder

    page, samples, folder = shown(payload, tmp_path / "evil")
    plain, _, _ = shown(PLAIN, tmp_path / "plain")
    seen = harmless(page, plain, payload, links=True)
    pictures = [link for link in seen.links if "pictures" in link]
    assert len(pictures) == 4
    for link in pictures:
        assert (folder.parent / unquote(link)).name in set(samples["path"]) and (folder.parent / unquote(link)).is_file()


def test_figures_draw_every_name_as_it_is(payload):
    rng = np.random.default_rng(0)
    samples = pd.DataFrame({"label": [payload, "b"] * 6, "group": [payload, "c", None] * 4, "domain": payload, "dataset": payload,
                            "split": ["train", "validation", "test"] * 4})
    account = pd.DataFrame({"dataset": [payload], "listed": [9], "missing": [1], "excluded": [1], "refused": [1], "used": [6]})
    pixels = rng.integers(0, 255, (12, 8, 8, 3), np.uint8)
    measured = samples.assign(hair=rng.random(12) / 9)
    for figure in (plot_cells(count_cells(samples, [payload, "b"])), plot_splits(samples, [payload, "b"]), plot_account(account),
                   plot_hair(measured, [payload, "c"]), cell_grid(pixels, samples["label"], samples["group"], title=payload)):
        figure.savefig(io.BytesIO(), format="png")                          # a formula that cannot be read would end here
        assert not any(text.get_parse_math() for text in figure.findobj(Text) if "$" in text.get_text())


# ── the front page ───────────────────────────────────────────────────────────────────────────────────────────────

def front_page(text: str, root: Path, monkeypatch) -> str:
    """index.html where all that stages leave is `text`."""
    monkeypatch.setenv("OUTPUTS_ROOT", str(root))
    plan = load_plan("params/ci.yaml", {"title": text, "question": text})
    for job in plan.jobs:
        job.folder.mkdir(parents=True)
        for path in (job.executed, job.executed.with_suffix(".html")):
            path.write_text("{}")
        write_json(job.record, {"key": full_key(plan, job), "outputs": {f"{name}.parquet": text for name in job.stage.writes},
                                "tables": [f"{name}.parquet" for name in job.stage.writes], "models": []})
        write_json(job.provenance, {
            "figures": {"f": {"caption": text, "width": text}}, "accepted": [[text]], "seconds": 1.0, "peak_memory_bytes": 1, "study": text,
            "overrides": {text: text}, "params_hash": text, "commit": text, "device": text, "python": text, "packages": text})
        verdict = {"kind": text, "sentence": text}
        write_json(job.folder / "metrics.json", {
            "verdict": verdict, "verdicts": [verdict], "findings": [text, text],
            "headline": {"caption": text, "columns": [text, text], "rows": [[text, text]], "interval": text}})
        write_json(job.state("failed"), {"message": text})
    return write_index(plan, text, {text: text}).read_text(encoding="utf-8")


def test_front_page(payload, tmp_path, monkeypatch):
    seen = harmless(*(front_page(text, tmp_path / name, monkeypatch) for name, text in (("evil", payload), ("plain", PLAIN))), payload)
    assert seen.text.count(in_one_line(payload)) >= 15
