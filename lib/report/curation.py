"""Which generated images were kept, and why (notebook 06): the funnel, what was rejected, for whom, and the sets against real ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from lib.report.arrange import UNKNOWN, in_order
from lib.report.curation_words import EVERYTHING, NO_MODEL, STATISTICS, outside, statistic_name
from lib.report.forest import BAND, ROW, blocks, fit_axis, label_rows, place_rows, write_beside
from lib.report.grids import SHARP, small_picture
from lib.report.style import ALARM, ARMS, DPI, INK, QUIET, WIDTH, group_colours, house_style, new_figure, say_instead, wrap
from lib.report.words import capital, count, estimate, join, number, percent

KEPT, LOST = ARMS[1], "#E8B9A0"


# ── what fell where ──────────────────────────────────────────────────────────────────────────────────────────────

@house_style
def plot_funnel(
    steps: pd.DataFrame,                # of lib.curation.funnel: step, left, rejected; from "generated" to "selected"
    *,
    title: str = "How many images are left after each check?",
) -> Figure:
    """A bar per step: what is left, and beside it in a lighter colour what the step took away."""
    if steps.empty or not steps["left"].iloc[0]:
        return say_instead(title, "No image was generated.")
    figure, axes = new_figure(title=title, height=ROW * len(steps) + 0.9, note="Dark: left after the step; light: rejected by it.")
    axis, places = axes[0, 0], np.arange(len(steps))
    axis.barh(places, steps["left"], color=KEPT, height=0.72, gid="left")
    axis.barh(places, steps["rejected"], left=steps["left"], color=LOST, height=0.72, gid="rejected")
    label_rows(axis, places, [str(step) for step in steps["step"]], [], len(steps))
    axis.set_xlim(0, steps["left"].iloc[0])
    axis.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    axis.xaxis.set_major_formatter("{x:,.0f}")
    axis.set_xlabel("images")
    for place, row in zip(places, steps.itertuples(), strict=True):
        share = f"   −{number(int(row.rejected))} ({percent(row.rejected / (row.left + row.rejected))})" if row.rejected else ""
        write_beside(axis, place, number(int(row.left)) + share)
    return figure


def rejected_examples(
    table:  pd.DataFrame,               # of the curated table
    pixels: np.ndarray,                 # uint8 [N, S, S, 3] in its order
    checks: Sequence[str],              # titles, in order
    *,
    most:   int = 8,
) -> dict[str, tuple[np.ndarray, list[float]]]:
    """Check → pictures that it rejected and their scores, for `plot_rejected`; those furthest from the usual score first."""
    examples = {}
    for name in checks:
        scores = table[f"score_{name}"].to_numpy(dtype=float)
        rows = np.flatnonzero(table["verdict"].eq(name))
        far = np.abs(scores[rows] - (np.nanmedian(scores) if np.isfinite(scores).any() else 0.0))
        rows = rows[np.argsort(-np.nan_to_num(far, nan=np.inf), kind="stable")[:most]]
        examples[name] = (np.asarray(pixels[rows]), scores[rows].tolist())
    return examples


@house_style
def plot_rejected(
    examples: Mapping[str, tuple[np.ndarray, Sequence[float]]],     # check → pictures uint8 [N, S, S, 3], their scores
    *,
    most:  int = 8,                                                 # pictures per check
    title: str = "What did each check reject?",
) -> Figure:
    """A row of rejected pictures per check, each with its score, in the order given."""
    shown = {name: (pixels[:most], list(scores)[:most]) for name, (pixels, scores) in examples.items() if len(pixels)}
    if not shown:
        return say_instead(title, "No image was rejected.")
    tile = (WIDTH - 1.3) / most
    figure, axes = new_figure(len(shown), most, title=title, height=(tile + 0.28) * len(shown) + 0.2)
    for line, (name, (pixels, scores)) in zip(axes, shown.items(), strict=True):
        for axis in line:
            axis.set_axis_off()
        for axis, picture, score in zip(line, pixels, scores, strict=False):
            axis.imshow(small_picture(picture, max(1, round(tile * DPI * SHARP))), interpolation="antialiased")
            axis.set_title(number(float(score), 3) if np.isfinite(score) else "not measured", fontsize=8, fontweight="normal")
        line[0].text(-0.08, 0.5, wrap(name, 14, 2), transform=line[0].transAxes, color=QUIET, ha="right", va="center")
    return figure


def quota_table(
    curated: pd.DataFrame,              # the curated table
    wanted:  pd.DataFrame,              # label, tone (null: none asked), images: of `wanted_images`
) -> pd.DataFrame:
    """label, tone, wanted, generated, passed, selected: a row per cell in the order of `wanted`, then cells that nobody asked for."""
    none = lambda column: column.astype(object).where(column.notna(), "")         # noqa: E731  (null is not equal to null)
    counted = curated.assign(tone=none(curated["tone_key"]), generated=1, passed=curated["verdict"].eq("passed").astype(int))
    counts = counted.groupby(["label", "tone"], as_index=False)[["generated", "passed", "selected"]].sum()
    asked = wanted[wanted["images"] > 0].assign(tone=none(wanted["tone"])).rename(columns={"images": "wanted"})
    whole = pd.concat([asked, counts[["label", "tone"]]], ignore_index=True).drop_duplicates(["label", "tone"])
    whole = whole[["label", "tone", "wanted"]].merge(counts, on=["label", "tone"], how="left", validate="one_to_one")
    numbers = ["wanted", "generated", "passed", "selected"]
    whole[numbers] = whole[numbers].fillna(0).astype(int)
    return whole.assign(tone=whole["tone"].where(whole["tone"].ne(""), None))


def describe_quota(
    cells: pd.DataFrame,                # of `quota_table`
) -> list[str]:
    """Whether every cell has what was wanted; which have not, the shortest first, and whether checks or the generator are to blame."""
    total = f"{number(int(cells['selected'].sum()))} of {count(int(cells['wanted'].sum()), 'image')} wanted were selected."
    short = cells.assign(missing=cells["wanted"] - cells["selected"])
    short = short[short["missing"] > 0]
    if short.empty:
        return [f"{total} Every cell has as many as it asked for."]
    short = short.sort_values("missing", ascending=False, kind="stable")
    named = [f"{row.label}{'' if pd.isna(row.tone) else f', tone {row.tone}'} ({row.selected} of {row.wanted})"
             for row in short.itertuples()]
    said = [f"{total} {capital(count(len(short), 'cell'))} of {number(len(cells))} {'is' if len(short) == 1 else 'are'} short: "
            f"{join(named, 6)}."]
    undrawn = int((short["generated"] < short["wanted"]).sum())
    if undrawn:
        said.append(f"In {number(undrawn)} of them fewer were generated than wanted, whatever the checks say: raise "
                    "generation.over_generation or generation.attempts.")
    if undrawn < len(short):
        said.append(f"In {number(len(short) - undrawn)} of them enough were generated and the checks took them: see what they rejected, "
                    "then draw more or train again.")
    return said


def describe_random_subset(
    curated: pd.DataFrame,              # the curated table: selected, random_subset
) -> list[str]:
    """How much of the random subset was selected as well; nothing where none was drawn."""
    chance = curated["random_subset"].to_numpy(dtype=bool)
    if not chance.any():
        return []
    both = int((chance & curated["selected"].to_numpy(dtype=bool)).sum())
    return [f"{number(both)} of the {count(int(chance.sum()), 'image')} drawn by chance were selected too: arms with the one set and with "
            "the other differ by the rest alone."]


# ── for whom ─────────────────────────────────────────────────────────────────────────────────────────────────────

@house_style
def plot_rejection_rates(
    rates: pd.DataFrame,                # of lib.curation.funnel: label, group (null: unknown), images, rejected, share, low, high, warning
    *,
    labels: Sequence[str] = (),
    groups: Sequence[str] = (),
    title:  str = "Is one group rejected more than another?",
) -> Figure:
    """A block per class with a row per group: share rejected with its interval; a warned group's numbers in red."""
    if rates.empty:
        return say_instead(title, "No image was generated.")
    order = in_order(rates["label"], [EVERYTHING, *labels])[1]
    names, group_order = in_order(rates["group"], groups)
    rows = rates.assign(arm=names, group=rates["label"], _label=rates["label"].map(order.index), _group=names.map(group_order.index))
    rows = rows.sort_values(["_label", "_group"], kind="stable").reset_index(drop=True)
    colours = group_colours(group_order, UNKNOWN)
    note = ("Share of the generated images that any check rejected, with Wilson's 95 % interval. Dashed: of all images. Red: rejected more "
            "than the other groups of its class (Fisher's exact test, Holm).")
    figure, axis, places = blocks(rows, title, note)
    fit_axis(axis, rows[["share", "low", "high"]].to_numpy(dtype=float).ravel(), keep=(0.0,))
    every = rates[rates["label"].ne(EVERYTHING)] if rates["label"].ne(EVERYTHING).any() else rates
    axis.axvline(every["rejected"].sum() / max(every["images"].sum(), 1), color=QUIET, linestyle="--", linewidth=1, gid="overall")
    axis.set_xlabel("share rejected")
    for place, row in zip(places, rows.itertuples(), strict=True):
        axis.plot([row.low, row.high], [place, place], color=colours[row.arm], linewidth=2, solid_capstyle="butt", gid="interval")
        axis.plot(row.share, place, "o", color=colours[row.arm], markersize=7, markeredgecolor="white", markeredgewidth=0.8, gid="point")
        words = f"{estimate(row.share, row.low, row.high, 2)}   {number(int(row.rejected))} of {number(int(row.images))}"
        write_beside(axis, place, words, ALARM if row.warning else INK)
    return figure


# ── the sets ─────────────────────────────────────────────────────────────────────────────────────────────────────

@house_style
def plot_set_scores(
    scores:     pd.DataFrame,           # of lib.curation.set_scores
    encoder:    str,
    statistics: Sequence[str],
    *,
    labels: Sequence[str] = (),         # the study's order
    groups: bool = False,               # a row per class × group, not one per class
    title:  str  = "How far are they from real images, against how far real ones are from each other?",
) -> Figure:
    """A column per statistic, a row per class: the figure with its interval on the grey band of real images against real images."""
    here = scores[scores["encoder"].eq(encoder) & scores["statistic"].isin(list(statistics))]
    here = here[here["group"].notna() if groups else here["group"].isna()]
    if not here["value"].notna().any():
        why = f"None of this is estimable: {join(here['reason'].unique(), 3)}." if len(here) else "Nothing was measured."
        return say_instead(title, why)
    here = here.assign(label=here["label"].astype(object).where(here["label"].notna(), EVERYTHING))
    order = in_order(here["label"], [EVERYTHING, *labels])[1]
    keys = sorted({(row.label, row.group if groups else "") for row in here.itertuples()}, key=lambda key: (order.index(key[0]), key[1]))
    places, heads, height = place_rows([label if groups else "" for label, _ in keys])
    shown = [name for name in statistics if here["statistic"].eq(name).any()]
    note = (f"Measured {NO_MODEL.get(encoder, f'with {encoder}')}. Grey: the middle 95 % of one half of the real images against the other, "
            "so at half this number of images; a point inside it may still differ (see p). Red: outside on the bad side. Open: flagged "
            "for its few images.")
    if encoder == "checks":
        note = "What the checks say. Grey: the same of held-out real images, 95 % interval. Red: outside on the bad side."
    figure, axes = new_figure(1, len(shown), title=title, height=ROW * height + 1.2, note=note, sharey=True)
    for axis, name in zip(axes[0], shown, strict=True):
        rows = here[here["statistic"].eq(name)].set_index(["label", "group"] if groups else "label")
        for place, key in zip(places, keys, strict=True):
            _score_row(axis, place, rows.loc[key if groups else key[0]], STATISTICS.get(name, ("", "both"))[1])
        fit_axis(axis, rows[["low", "high", "floor_low", "floor_high"]].to_numpy(dtype=float).ravel())
        axis.set_title(wrap(statistic_name(name, encoder), max(14, 72 // len(shown)), 2), fontsize=9)
        axis.xaxis.set_major_locator(MaxNLocator(3))
        axis.grid(True, axis="x")
        axis.tick_params(length=0)
    label_rows(axes[0, 0], places, [group if groups else label for label, group in keys], heads, height)
    return figure


def _score_row(axis: Axes, place: float, row: pd.Series, bad: str) -> None:
    if not np.isfinite(row["value"]):
        axis.text(0.03, place, "not estimable", transform=axis.get_yaxis_transform(), color=QUIET, fontsize=7.5, fontstyle="italic",
                  va="center", gid="not-estimable")
        return
    axis.fill_betweenx([place - 0.38, place + 0.38], row["floor_low"], row["floor_high"], color=BAND, linewidth=0, gid="floor")
    colour = ALARM if outside(row, bad) else ARMS[1]
    axis.plot([row["low"], row["high"]], [place, place], color=colour, linewidth=2, solid_capstyle="butt", gid="interval")
    axis.plot(row["value"], place, "o", color=colour, markersize=6, markerfacecolor="white" if row["reason"] else colour, gid="point")
