"""Do probabilities mean the same in every group: Brier score, calibration error against chance, reliability per group (notebook 09)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from lib.report.comparisons import names_of_groups, p_cell, pick, reason, survivors
from lib.report.style import ALARM, ARMS, QUIET, arm_colours, house_style, light_grid, new_figure, say_instead, wrap
from lib.report.words import NOTHING, capital, join, number, percent

ACROSS = 4                              # panels beside each other at most


def calibration_shown(calibration: pd.DataFrame, architecture: str | None = None) -> pd.DataFrame:
    """`lib.stats.calibration.calibration_table` for reading: a row per arm and group."""
    rows, _ = pick(calibration, None, architecture)
    return pd.DataFrame({
        "arm": rows["arm"], "group": rows["group"], "Brier score": rows["brier"].map(number), "calibration error": rows["ece"].map(number),
        "by luck alone": [f"{number(row.ece_expected)}, up to {number(row.ece_high)}" if pd.notna(row.ece) else NOTHING
                          for row in rows.itertuples()],
        "p": rows["p_value"].map(p_cell), "images": rows["n_images"], "positives": rows["n_positives"],
    })


def as_chance(calibration: pd.DataFrame, architecture: str | None = None) -> pd.DataFrame:
    """The same as rows of `lib.report.chance.plot_against_chance`: a block per group."""
    rows, _ = pick(calibration, None, architecture)
    return rows.rename(columns={"ece": "value", "ece_expected": "null_median", "ece_high": "null_high"}).sort_values(
        "group", key=lambda names: names.map({name: i for i, name in enumerate(dict.fromkeys(rows["group"]))}), kind="stable")


def describe_calibration(
    calibration:  pd.DataFrame,         # of lib.stats.calibration.calibration_table
    *,
    architecture: str | None = None,
    confidence:   float = 0.95,
) -> list[str]:
    """A sentence per arm: in which groups the probabilities are further off than exact ones would look, and in which not."""
    rows, _ = pick(calibration, None, architecture)
    level, sentences = 1 - confidence, []
    for arm, part in rows.groupby("arm", sort=False):
        known = part[part["p_value"].notna()]
        off = [f"{row.group} ({number(row.ece)}; luck alone: up to {number(row.ece_high)})" for row in known.itertuples()
               if row.p_value < level]
        fine = [row.group for row in known.itertuples() if row.p_value >= level]
        parts = [f"further off than luck explains for {join(off)}"] if off else []
        parts += [f"no further off than luck explains for {join(fine)}"] if fine else []
        if parts:
            sentences.append(f"{capital(str(arm))}: predicted probabilities are {'; '.join(parts)}.")
    silent = dict.fromkeys((row.group, reason(row)) for row in rows.itertuples() if pd.isna(row.p_value))
    said = [f"Looked at is the probability {note}." for note in dict.fromkeys(rows["note"].dropna()) if note.startswith("of ")]
    silence = [f"{capital(str(group))}: not estimable ({why})." for group, why in silent]
    return [*sentences, *silence, *said, *survivors(rows, confidence)] or ["There are no results."]


@house_style
def plot_group_reliability(
    bins:       Mapping[str, pd.DataFrame],    # arm → of lib.stats.calibration.reliability_by_group
    *,
    arms:       Sequence[str],          # all arms of the study in order, for their colours
    confidence: float = 0.95,
    title:      str   = "Do the probabilities mean the same in every group?",
) -> Figure:
    """Small multiples, a row per arm and a column per group: observed share against predicted probability, intervals, images per bin."""
    known = {arm: names_of_groups(frame) for arm, frame in bins.items() if len(frame)}
    if not known:
        return say_instead(title, "There are no predictions to compare.")
    groups = list(dict.fromkeys(group for frame in known.values() for group in frame["group"]))
    note = ("On the dotted line predicted equals observed; under it the probabilities are too high. n: images at a point, about the "
            f"same at each; the line through it is its {confidence * 100:g}% interval.")
    across = min(ACROSS, len(groups))
    lines = -(-len(groups) // across)                                   # of panels for an arm
    down, colours = lines * len(known), arm_colours(arms)
    figure, axes = new_figure(down, across, title=title, height=2.15 * down + 0.5, note=note, sharex=True, sharey=True)
    for block, (arm, frame) in enumerate(known.items()):
        panels = axes[block * lines:(block + 1) * lines]
        for axis, group in zip(panels.ravel(), groups, strict=False):
            _panel(axis, frame[frame["group"] == group], colours.get(arm, ARMS[1]))
            if not block or lines > 1:
                axis.set_title(wrap(group, 72 // across, 1))
        for empty in range(len(groups), lines * across):
            panels.ravel()[empty].set_axis_off()
            panels.ravel()[empty - across].tick_params(labelbottom=True)
        for axis in panels[:, 0]:
            axis.set_ylabel(f"{wrap(arm, 24, 1)}\nobserved share")
    for axis in axes[-1]:
        axis.set_xlabel("predicted")
    return figure


def describe_group_reliability(
    bins:       Mapping[str, pd.DataFrame],    # arm → of lib.stats.calibration.reliability_by_group
    *,
    confidence: float = 0.95,
) -> list[str]:
    """Per arm: in which groups points lie off the line by more than their interval allows, and the one that is furthest off."""
    sentences = []
    for arm, frame in bins.items():
        off, fine, silent = [], [], []
        for group, part in names_of_groups(frame).groupby("group", sort=False):
            if part["observed"].isna().all():
                silent.append(f"{group} is not estimable ({reason(next(part.itertuples()))})")
                continue
            missed = part[(part["predicted"] < part["low"]) | (part["predicted"] > part["high"])]
            if missed.empty:
                fine.append(group)
                continue
            row = missed.loc[(missed["predicted"] - missed["observed"]).abs().idxmax()]
            off.append(f"{len(missed)} of {len(part)} for {group} (furthest: {percent(row['predicted'])} predicted, "
                       f"{percent(row['observed'])} observed)")
        said = [*off, *([f"none for {join(fine)}"] if fine else []), *silent]
        if said:
            sentences.append(f"{capital(arm)}, points whose interval misses the line: {'; '.join(said)}.")
    if any(frame["observed"].notna().any() for frame in bins.values()):
        sentences.append(f"Were every probability right, about 1 point in {round(1 / (1 - confidence))} would still miss the line by luck.")
    return sentences or ["There are no predictions to compare."]


def _panel(axes: Axes, part: pd.DataFrame, colour: str) -> None:
    shown = part.dropna(subset=["predicted", "observed"])
    axes.set(xlim=(-0.04, 1.04), ylim=(-0.04, 1.04), xticks=[0, 0.5, 1], yticks=[0, 0.5, 1])
    light_grid(axes, "both")
    if shown.empty:
        why = reason(next(part.itertuples())) if len(part) else "no images"
        axes.text(0.06, 0.5, f"not estimable:\n{wrap(why, 22, 3)}", transform=axes.transAxes, fontsize=8, color=ALARM, fontstyle="italic",
                  va="center", gid="not-estimable")
        return
    axes.plot([0, 1], [0, 1], ":", color=QUIET, linewidth=1)
    axes.plot(shown["predicted"], shown["observed"], "-", color=colour, linewidth=1, alpha=0.5)
    for row in shown.itertuples():
        axes.plot([row.predicted] * 2, [row.low, row.high], color=colour, linewidth=1.4, gid="interval")
        axes.plot(row.predicted, row.observed, "o", markersize=5, color=colour, markeredgecolor="white", markeredgewidth=0.6, gid="bin")
    images = sorted({round(n) for n in shown["images"]})
    text = number(images[0]) if len(images) == 1 else f"{number(images[0])}–{number(images[-1])}"
    axes.text(0.97, 0.06, f"n = {text}", transform=axes.transAxes, ha="right", fontsize=7.5, color=QUIET, gid="images")
