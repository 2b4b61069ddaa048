"""What the oracle says of each generator (notebook 11): class, skin tone and variety, beside drawn phantoms, and the targets."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter

from lib.diffusion.base.agreement import BANDS, DRAWN
from lib.report.grids import cell_grid
from lib.report.style import ARMS, MARKERS, QUIET, house_style, legend_below, light_grid, new_figure, wrap
from lib.report.words import capital, join, number, percent

ROMAN = {1: "I", 2: "II", 3: "III", 4: "IV", 5: "V", 6: "VI"}
SEEN, UNSEEN = BANDS                                    # types, by whether the base model was trained on them
LINES = {"plain": ":", "anchored": "-"}
WANTED = {                                              # what a documented run should reach; a share of the drawn phantoms' own figure
    "base class": 0.9, "lora class": 0.85, "lora tone": 0.85, "coverage": 0.8, "distance": 0.8,
    "tone error": 1 / 3,                                # at most: anchored start over plain start
}


def title_of(variant: str, start: str) -> str:
    """ "base, plain start"; drawn phantoms have no start."""
    return "drawn phantoms" if variant == DRAWN else f"{variant}, {start} start"


def side_by_side(
    pixels:   np.ndarray,                   # uint8 [N, S, S, 3]
    asked:    pd.DataFrame,                 # variant, start, label, tone; of the same rows
    tone:     int,                          # Fitzpatrick type that is shown
    *,
    labels:   Sequence[str],
    per_cell: int = 2,
) -> Figure:
    """Pictures of every label: drawn phantoms, then each variant and start, which begin from the same noise in every column."""
    of_tone = asked.reset_index(drop=True)
    of_tone = of_tone[of_tone["tone"] == tone]
    shown = of_tone[of_tone.groupby(["variant", "start", "label"]).cumcount() < per_cell]
    order = sorted(dict.fromkeys(zip(shown["variant"], shown["start"], strict=True)), key=lambda pair: pair[0] != DRAWN)
    names = pd.Series(_titles(shown), name="generator")
    return cell_grid(pixels[shown.index.to_numpy()], shown["label"].reset_index(drop=True), names, row_names=labels,
                     column_names=[title_of(*pair) for pair in order], per_cell=per_cell,
                     title=f"What does type {ROMAN[tone]} look like, drawn and generated?")


@house_style
def plot_agreement(
    by_tone: pd.DataFrame,                  # of `agreement(judged, "tone")`
) -> Figure:
    """Class and tone agreement with the oracle per type; the grey line is the ceiling, its agreement on drawn phantoms."""
    pairs = list(dict.fromkeys(zip(by_tone["variant"], by_tone["start"], strict=True)))
    below = 0.2 * -(-len(pairs) // 3) + 0.05
    figure, axes = new_figure(2, 2, title="Does the oracle see what was asked for?", height=2.9 + below, height_ratios=[2.7, below],
                              note="Share of the pictures in which the oracle sees the class (left) and exactly the type (right) that was "
                                   "asked for. Grey: its agreement on drawn phantoms, the ceiling. The base model never saw types V–VI.")
    colours = _colours(by_tone["variant"])
    for axis, what, name in zip(axes[0], ("label", "tone"), ("Class", "Skin type"), strict=True):
        first = by_tone.drop_duplicates("part").sort_values("part")
        axis.plot(first["part"], first[f"{what}_ceiling"], color=QUIET, linewidth=3, alpha=0.4, gid="ceiling")
        for variant, start in pairs:
            line = by_tone[(by_tone["variant"] == variant) & (by_tone["start"] == start)].sort_values("part")
            axis.plot(line["part"], line[f"{what}_agrees"], linestyle=LINES[start], color=colours[variant], marker="o", markersize=4)
        axis.axvspan(4.5, 6.4, color="#F4F4F4", zorder=0)
        axis.set_xticks(list(ROMAN), list(ROMAN.values()))
        axis.set(xlim=(0.6, 6.4), ylim=(0, 1.03), title=name)
        axis.yaxis.set_major_formatter(FuncFormatter(lambda share, _: percent(share)))
        light_grid(axis)
    handles = [Line2D([], [], color=colours[variant], linestyle=LINES[start], marker="o", markersize=4, label=title_of(variant, start))
               for variant, start in pairs]
    legend_below(figure, axes, handles, min(len(pairs), 3))
    return figure


@house_style
def plot_skin(
    tones: pd.DataFrame,                    # of `skin_tones`: variant, start, tone, asked, obtained
) -> Figure:
    """Obtained against asked skin tone (ITA) per type, a panel per variant; on the diagonal is as dark as asked for."""
    variants = list(dict.fromkeys(tones["variant"]))
    figure, axes = new_figure(1, len(variants), title="Is the skin as dark as it was asked to be?", height=2.9, sharey=True,
                              note="Median ITA of all pictures of a type, in degrees: dark skin at the left, light skin at the "
                                   "right. Asked: that of drawn phantoms.")
    both = tones[["asked", "obtained"]].to_numpy(dtype=float)
    low, high = np.nanmin(both) - 5, np.nanmax(both) + 5
    for axis, variant in zip(axes[0], variants, strict=True):
        axis.plot([low, high], [low, high], color=QUIET, linewidth=1, zorder=0)
        for place, (start, line) in enumerate(tones[tones["variant"] == variant].groupby("start", sort=False)):
            axis.plot(line["asked"], line["obtained"], linestyle=LINES[start], color=ARMS[1 + place], marker=MARKERS[place],
                      label=f"{start} start")
        axis.set(xlim=(low, high), ylim=(low, high), title=wrap(variant, 24, 1))
        axis.set_xlabel("asked, °", color=QUIET)
        light_grid(axis, "both")
    axes[0, 0].set_ylabel("obtained, °", color=QUIET)
    axes[0, 0].legend(loc="upper left")
    return figure


def agreement_table(by_band: pd.DataFrame) -> pd.DataFrame:
    """`agreement(judged)` for reading: the share and, in brackets, its ratio to the ceiling."""
    table = pd.DataFrame({"generator": _titles(by_band), "types": by_band["part"], "pictures": by_band["images"]})
    for what, name in (("label", "class"), ("tone", "type")):
        shares = zip(by_band[f"{what}_agrees"], by_band[f"{what}_ratio"], by_band[f"{what}_ceiling"], strict=True)
        table[f"{name} as asked"] = [f"{percent(share)} ({number(float(ratio), 2)} of the ceiling {percent(ceiling)})"
                                     for share, ratio, ceiling in shares]
    return table


def diversity_table(varied: pd.DataFrame, encoder: str) -> pd.DataFrame:
    """`diversity` for reading."""
    return pd.DataFrame({
        "generator": _titles(varied), "types": varied["part"], "pictures": varied["images"],
        "coverage": varied["coverage"], "of drawn phantoms' own": varied["coverage_ratio"],
        f"distance within a cell, {encoder} features": varied["distance"], "of that of drawn phantoms": varied["distance_ratio"],
    })


def describe_agreement(by_band: pd.DataFrame) -> list[str]:
    """What learning changed for the types that the base model never saw, and what it cost for those it knew."""
    sentences = []
    for band, whom in ((UNSEEN, "which the base model never saw"), (SEEN, "which it was trained on")):
        rows = by_band[by_band["part"] == band]
        if len(rows):
            parts = [f"{title}: {percent(row.label_agrees)} and {percent(row.tone_agrees)}"
                     for title, row in zip(_titles(rows), rows.itertuples(), strict=True)]
            sentences.append(f"Types {band}, {whom}: pictures with the class and with the type that was asked for. {'; '.join(parts)}; "
                             f"the ceilings: {percent(rows['label_ceiling'].iloc[0])} and {percent(rows['tone_ceiling'].iloc[0])}.")
    return sentences


def describe_skin(errors: pd.DataFrame) -> list[str]:
    """Mean absolute error of skin tone by variant, plain and anchored."""
    sentences = []
    for variant, rows in errors.groupby("variant", sort=False):
        of = rows.set_index("start")["error"]
        said = join([f"{number(float(error), 1)}° ({start} start)" for start, error in of.items()])
        left = f"; the anchored start leaves {percent(of['anchored'] / of['plain'])} of the error" if set(LINES) <= set(of.index) else ""
        sentences.append(f"{capital(variant)}: the skin's median ITA is off by {said}, on average over the six types{left}.")
    return sentences


def describe_diversity(varied: pd.DataFrame) -> list[str]:
    """Which generators are less varied than drawn phantoms by more than a fifth."""
    narrow = varied[(varied["coverage_ratio"] < WANTED["coverage"]) | (varied["distance_ratio"] < WANTED["distance"])]
    if narrow.empty:
        return ["No generator falls short of drawn phantoms in variety by more than a fifth, in either figure."]
    return [f"{capital(title)}, types {row.part}: coverage {number(float(row.coverage_ratio), 2)} and distance within a cell "
            f"{number(float(row.distance_ratio), 2)} of those of drawn phantoms."
            for title, row in zip(_titles(narrow), narrow.itertuples(), strict=True)]


def check_targets(
    by_band: pd.DataFrame,                  # of `agreement`
    errors:  pd.DataFrame,                  # of `tone_errors`
    varied:  pd.DataFrame,                  # of `diversity`
) -> pd.DataFrame:
    """A row per target that the study can speak to: target, wanted, measured, met."""
    lora = next((variant for variant in by_band["variant"] if "LoRA" in variant), "")
    base, learnt = (_only(by_band, "base", "plain", SEEN), _only(by_band, lora, "anchored", UNSEEN))
    variety = _only(varied, lora, "anchored", UNSEEN)
    off = errors[errors["variant"] == "base"].set_index("start")["error"]
    ratio = off["anchored"] / off["plain"] if set(LINES) <= set(off.index) else None
    who = f"{lora}, anchored start, types {UNSEEN}"
    rows = [
        (f"base, plain start, types {SEEN}: class agreement over the ceiling", "base class", base and base["label_ratio"]),
        (f"{who}: class agreement over the ceiling", "lora class", learnt and learnt["label_ratio"]),
        (f"{who}: type agreement over the ceiling", "lora tone", learnt and learnt["tone_ratio"]),
        (f"{who}: coverage over that of drawn phantoms", "coverage", variety and variety["coverage_ratio"]),
        (f"{who}: perceptual distance within a cell over that of drawn phantoms", "distance", variety and variety["distance_ratio"]),
        ("base: error of skin tone, anchored start over plain start", "tone error", ratio),
    ]
    known = [(target, key, float(measured)) for target, key, measured in rows if measured is not None]
    return pd.DataFrame({
        "target":   [target for target, _, _ in known],
        "wanted":   [f"{'at most' if key == 'tone error' else 'at least'} {number(WANTED[key], 2)}" for _, key, _ in known],
        "measured": [measured for *_, measured in known],
        "met":      [measured <= WANTED[key] if key == "tone error" else measured >= WANTED[key] for _, key, measured in known],
    })


def targets_table(targets: pd.DataFrame) -> pd.DataFrame:
    """`check_targets` for reading."""
    return targets.assign(measured=[number(value, 2) for value in targets["measured"]],
                          met=["yes" if met else "no" for met in targets["met"]])


def describe_targets(targets: pd.DataFrame) -> list[str]:
    """How many are met, and the missed ones with their figures."""
    if targets.empty:
        return ["The study draws none of the variants that a target speaks of."]
    missed = targets[~targets["met"]]
    if missed.empty:
        return [f"All {number(len(targets))} targets are met."]
    return [f"{number(int(targets['met'].sum()))} of {number(len(targets))} targets are met. Missed: "
            + join([f"{row.target} ({number(row.measured, 2)}, {row.wanted})" for row in missed.itertuples()]) + "."]


def _only(table: pd.DataFrame, variant: str, start: str, part: str) -> dict | None:
    """The one row of a variant, start and band."""
    rows = table[(table["variant"] == variant) & (table["start"] == start) & (table["part"] == part)]
    return None if rows.empty else rows.iloc[0].to_dict()


def _titles(table: pd.DataFrame) -> list[str]:
    return [title_of(variant, start) for variant, start in zip(table["variant"], table["start"], strict=True)]


def _colours(variants: pd.Series) -> dict[str, str]:
    return {variant: ARMS[i % len(ARMS)] for i, variant in enumerate(dict.fromkeys(variants))}
