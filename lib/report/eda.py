"""What images there are (notebook 01): counts by class × group, by domain and by split, as figures and sentences."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from lib.data.folds import describe_folds, judged
from lib.report.arrange import EVERYTHING, UNKNOWN, cross_count, in_order
from lib.report.style import ALARM, BLANK, COUNTS, QUIET, SPLITS, house_style, new_figure, say_instead, text_on, wrap
from lib.report.words import count, join, number, percent

SPLIT_NAMES = ("train", "validation", "test")


# ── class × group ────────────────────────────────────────────────────────────────────────────────────────────────

def count_cells(
    samples: pd.DataFrame,              # one row per image: label, group
    labels:  Sequence[str],             # classes in the study's order
    groups:  Sequence[str] = (),        # groups in the study's order
) -> pd.DataFrame:
    """Images per class (rows) × group (columns), with zeros; images without a group count as "unknown"."""
    return cross_count(samples["label"], samples["group"], labels, groups)


def count_tested(
    samples: pd.DataFrame,              # label, group, split, and with cross-validation split_1 …
    labels:  Sequence[str],
    groups:  Sequence[str] = (),
) -> pd.DataFrame:
    """The same of the images that are tested; with cross-validation that is every image, in one fold or the other."""
    return count_cells(judged(samples), labels, groups)


@house_style
def plot_cells(
    counts:  pd.DataFrame,              # of count_cells
    *,
    minimum: int = 20,                  # cells under it are hatched
    title:   str = "How many images has each class in each group?",
) -> Figure:
    """Heat map with the count in every cell; empty cells say "none", cells under `minimum` are hatched."""
    if counts.empty:
        return say_instead(title, "There are no classes or no images to count.")
    rows, columns = counts.shape
    width = float(np.clip(2.6 + 1.35 * columns, 5.2, 8.6))
    note = f"Hatched: fewer than {number(minimum)} images. Colour follows the count on a logarithmic scale. Totals stand in brackets."
    figure, axes = new_figure(title=title, height=0.95 + 0.4 * rows, width=width, note=note)
    axes, most = axes[0, 0], max(int(counts.to_numpy().max()), 2)
    shade = LogNorm(1, most)
    for i, j in np.ndindex(rows, columns):
        n = int(counts.iat[i, j])
        colour = COUNTS(shade(n)) if n else BLANK
        axes.add_patch(Rectangle((j - 0.5, i - 0.5), 1, 1, facecolor=colour, edgecolor="white", linewidth=2))
        if n < minimum:
            hatch_ink = ALARM if n == 0 else text_on(colour)
            axes.add_patch(Rectangle((j - 0.49, i - 0.46), 0.98, 0.92, fill=False, hatch="////" if n else None, edgecolor=hatch_ink,
                                     alpha=0.45, linewidth=0, gid="under-minimum"))
        box = {"boxstyle": "round,pad=0.15", "facecolor": colour, "edgecolor": "none"} if 0 < n < minimum else None
        axes.text(j, i, number(n) if n else "none", ha="center", va="center", bbox=box, gid="count",
                  color=ALARM if n == 0 else text_on(colour), fontstyle="normal" if n else "italic")
    axes.set(xlim=(-0.5, columns - 0.5), ylim=(rows - 0.5, -0.5))
    room = int(np.clip(13 * (width - 2.6) / columns, 8, 26))
    totals = [number(int(n)) for n in counts.sum()]
    axes.set_xticks(range(columns), [f"{wrap(name, room)}\n({total})" for name, total in zip(counts.columns, totals, strict=True)])
    axes.set_yticks(range(rows), [f"{wrap(name, 24, 2)} ({number(int(counts.iloc[i].sum()))})" for i, name in enumerate(counts.index)])
    axes.xaxis.tick_top()
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    return figure


def describe_cells(
    counts:  pd.DataFrame,              # of count_cells
    *,
    minimum: int = 20,
    what:    str = "image",             # what is counted, e.g. "test image"
) -> list[str]:
    """Total, the largest imbalance between classes and between groups, and the cells that are empty or under `minimum`."""
    total = int(counts.to_numpy().sum())
    if total == 0:
        return [f"There are no {what}s to count."]
    known = counts.drop(columns=[UNKNOWN, EVERYTHING], errors="ignore")
    grouped = known.shape[1] > 0
    sentences = [f"{count(total, what)} in {count(counts.shape[0], 'class', 'classes')}"
                 + (f" and {count(known.shape[1], 'group')}." if grouped else ".")]
    unknown = int(counts[UNKNOWN].sum()) if UNKNOWN in counts else 0
    if unknown:
        sentences.append(f"The group of {count(unknown, what)} ({percent(unknown / total)}) is not known.")
    sentences += _imbalance(counts.sum(axis=1), "class", "classes") + _imbalance(known.sum(), "group", "groups")
    kinds = "cells of class and group" if grouped else "classes"
    cells = [(f"{row} / {column}", int(n)) for row, line in known.iterrows() for column, n in line.items()] if grouped else \
            [(str(row), int(n)) for row, n in counts.sum(axis=1).items()]
    empty = [name for name, n in cells if n == 0]
    small = [f"{name} ({number(n)})" for name, n in cells if 0 < n < minimum]
    if empty:
        sentences.append(f"No {what}s in {number(len(empty))} of {number(len(cells))} {kinds}: {join(empty, 8)}.")
    if small:
        sentences.append(f"Fewer than {number(minimum)} {what}s in {number(len(small))} of "
                         f"{number(len(cells))} {kinds}: {join(small, 8)}.")
    if not empty and not small:
        sentences.append(f"Each of the {number(len(cells))} {kinds} has at least {count(minimum, what)}.")
    return sentences


def _imbalance(totals: pd.Series, kind: str, kinds: str) -> list[str]:
    present = totals[totals > 0]
    if len(present) < 2:
        return []
    largest, smallest = present.idxmax(), present.idxmin()
    if present.max() == present.min():
        return [f"All {kinds} present are of the same size ({number(int(present.max()))})."]
    ratio = present.max() / present.min()
    times = "about as many" if ratio < 1.05 else f"{number(ratio, 0 if ratio >= 10 else 1)} times as many"
    return [f"The largest {kind}, {largest}, has {times} as the smallest, {smallest} "
            f"({number(int(present.max()))} against {number(int(present.min()))})."]


# ── domain, split ────────────────────────────────────────────────────────────────────────────────────────────────

def count_splits(
    samples: pd.DataFrame,              # split and the column `by`
    by:      str,                       # "domain", "dataset", "label" or "group"
    names:   Sequence[str] = (),        # its names in order
) -> pd.DataFrame:
    """Images per name of `by` (rows) × split (columns train, validation, test), with zeros."""
    return cross_count(samples[by], samples["split"], names, SPLIT_NAMES)


@house_style
def plot_splits(
    samples: pd.DataFrame,              # domain, label, split
    labels:  Sequence[str],
    *,
    title:   str = "Where do the images come from, and how are they split?",
) -> Figure:
    """Stacked bars: images by domain (counts) and the share of each class in train, validation and test (counts written in)."""
    if samples.empty:
        return say_instead(title, "There are no images.")
    domains, classes = count_splits(samples, "domain"), count_splits(samples, "label", labels)
    heights = [0.3 * len(domains) + 0.75, 0.3 * len(classes) + 0.65]
    figure, axes = new_figure(2, 1, title=title, height=sum(heights) + 0.6, height_ratios=heights)
    _stack(axes[0, 0], domains, shares=False)
    axes[0, 0].set_title("Images per domain")
    _stack(axes[1, 0], classes, shares=True)
    axes[1, 0].set_title("Each class over the splits (counts in the bars)")
    handles, names = axes[0, 0].get_legend_handles_labels()
    axes[0, 0].legend(handles, names, loc="lower right", bbox_to_anchor=(1, 1), ncols=max(len(names), 1), borderaxespad=0.1, handlelength=1)
    return figure


def _stack(axes: Axes, counts: pd.DataFrame, *, shares: bool) -> None:
    totals = counts.sum(axis=1).to_numpy()
    full = 1.0 if shares else float(max(totals.max(initial=0), 1))
    left, written = np.zeros(len(counts)), np.zeros(len(counts), dtype=int)
    for split in counts.columns:
        n = counts[split].to_numpy()
        long = n / np.maximum(totals, 1) if shares else n
        colour = SPLITS.get(split, QUIET)
        axes.barh(range(len(counts)), long, left=left, height=0.72, color=colour, edgecolor="white", linewidth=1, label=wrap(split, 20, 1))
        for i in np.flatnonzero(long > full * (0.022 + 0.009 * max(len(number(int(v))) for v in n))):
            axes.text(left[i] + long[i] / 2, i, number(int(n[i])), ha="center", va="center", color=text_on(colour), fontsize=8.5)
            written[i] += 1
        left = left + long
    for i, total in enumerate(totals):
        present = [int(n) for n in counts.iloc[i] if n]
        absent = [split for split in counts.columns if counts[split].iloc[i] == 0]
        text = f" {number(int(total))}" if total else " none"
        if written[i] < len(present) > 1:           # a segment is too narrow for its number
            text += f" = {' + '.join(number(n) for n in present)}"
        axes.text(left[i], i, text, va="center", color=QUIET if total else ALARM)
        if absent and total:
            axes.annotate(f"none in {join(absent)}", (left[i], i), xytext=(8 + 6.5 * len(text), 0), textcoords="offset points", va="center",
                          color=ALARM, fontsize=8.5)
    axes.set(xlim=(0, full * 1.3), ylim=(len(counts) - 0.45, -0.55))
    axes.set_yticks(range(len(counts)), [wrap(name, 26, 2) for name in counts.index])
    axes.tick_params(length=0)
    axes.set_xticks([])
    axes.spines[["bottom"]].set_visible(False)


def describe_splits(
    samples: pd.DataFrame,              # domain, label, split
    labels:  Sequence[str],
) -> list[str]:
    """Shares of domains and splits, and which class is missing from which split."""
    if samples.empty:
        return ["There are no images."]
    total = len(samples)
    domains, order = in_order(samples["domain"])
    by_domain = domains.value_counts().reindex(order).sort_values(ascending=False, kind="stable")
    parts = [f"{name} {number(int(n))} ({percent(n / total)})" for name, n in by_domain.items()]
    sentences = [f"All {number(total)} images are of one domain: {order[0]}." if len(order) == 1 else f"Domains: {join(parts)}."]
    by_label = count_splits(samples, "label", labels)
    used = by_label.sum()
    sentences.append("Splits: " + join(f"{split} {number(int(n))} ({percent(n / total)})" for split, n in used.items()) + ".")
    for split in (name for name in by_label.columns if used[name] > 0):
        absent = [str(name) for name, n in by_label[split].items() if n == 0]
        if absent:
            sentences.append(f"No {split} image of {join(absent, 8, 'or')}.")
    if not used[["validation", "test"]].all():
        sentences.append(f"There are no images for {join([s for s in ('validation', 'test') if used[s] == 0])}.")
    return sentences + describe_folds(samples)
