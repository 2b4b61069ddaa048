"""ROC and precision–recall curves with the operating point (notebook 07)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from lib.metrics.auroc import mann_whitney
from lib.metrics.precision import precision
from lib.metrics.sensitivity import sensitivity
from lib.metrics.specificity import specificity
from lib.report.answers import Answers, mean_of, positive_indices, read_answers
from lib.report.style import ARMS, INK, LINES, QUIET, house_style, legend_below, light_grid, new_figure, say_instead, wrap
from lib.report.words import join, number, percent

_GRID = np.linspace(0, 1, 201)


def roc_points(is_positive: np.ndarray, score: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """False and true positive rate at every threshold, from (0, 0) to (1, 1) (Fawcett 2006, algorithm 1). Needs both kinds."""
    true, false = _hits(is_positive, score)
    return np.r_[0, false / false[-1]], np.r_[0, true / true[-1]]


def pr_points(is_positive: np.ndarray, score: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Recall and precision at every threshold, highest first; no interpolation (Davis & Goadrich 2006). Needs positives."""
    true, false = _hits(is_positive, score)
    return true / true[-1], true / (true + false)


def operating_points(
    answers:  Sequence[Answers],
    positive: Sequence[int],        # places of the positive classes
) -> pd.DataFrame:
    """Per run: seed, threshold, sensitivity, specificity, precision at the threshold fixed on validation; runs without one left out."""
    rows = []
    for one in answers:
        if not np.isfinite(one.threshold):
            continue
        at = {"positive": positive, "threshold": one.threshold}
        rows.append({"seed": one.seed, "threshold": one.threshold, **{
            measure.__name__: measure(one.y_true, one.probabilities, **at) for measure in (sensitivity, specificity, precision)}})
    return pd.DataFrame(rows, columns=["seed", "threshold", "sensitivity", "specificity", "precision"])


@house_style
def plot_curves(
    predictions: pd.DataFrame,      # rows of one arm, architecture and split
    classes:     Sequence[str],
    *,
    title:       str = "How well is each class told from all the others?",
) -> Figure:
    """ROC and precision–recall curve of each class against the rest, vertical mean over seeds, with AUROC and n."""
    answers = read_answers(predictions, classes)
    drawn, left_out = _drawable(answers, classes)
    if not drawn:
        return say_instead(title, "No class has both images of it and images of others, so there is no curve.")
    note = f"Curves and AUROC: {mean_of(answers)}, each class against all others."
    if left_out:
        note += f" Without a curve (no images of it here): {join(left_out, 8)}."
    below, handles = 0.21 * -(-len(drawn) // 2) + 0.05, []
    figure, axes = new_figure(2, 2, title=title, height=4.1 + below, note=note, height_ratios=[3.9, below])
    for place, k in enumerate(drawn):
        scored = [(one.y_true == k, one.probabilities[:, k]) for one in answers]
        n = int(np.mean([truth.sum() for truth, _ in scored]))
        style = {"color": ARMS[(place + 1) % len(ARMS)], "linestyle": LINES[place // len(ARMS) % len(LINES)], "linewidth": 1.6}
        area = np.mean([_area(truth, score) for truth, score in scored])
        handles += axes[0, 0].plot(*_mean_roc(scored), label=f"{wrap(classes[k], 32, 1)}  {number(float(area))} (n = {number(n)})", **style)
        axes[0, 1].plot(*_mean_pr(scored), **style)
    _roc_axes(axes[0, 0], "ROC, with AUROC")
    _pr_axes(axes[0, 1], "Precision and recall")
    legend_below(figure, axes, handles, min(len(drawn), 2))
    return figure


@house_style
def plot_positive(
    predictions: pd.DataFrame,      # rows of one arm, architecture and split
    classes:     Sequence[str],
    positive:    Sequence[str],     # the study's positive classes
    *,
    title:       str = "How well are the images to act on told from the rest?",
) -> Figure:
    """ROC and precision–recall curves of the summed probability of the positive classes, a line per seed, operating points marked."""
    answers, chosen = read_answers(predictions, classes), positive_indices(classes, positive)
    if not chosen:
        return say_instead(title, "The study names no positive classes (labels.positive), so there is no operating point.")
    scored = [(np.isin(one.y_true, chosen), one.probabilities[:, chosen].sum(axis=1)) for one in answers]
    if not any(truth.any() and not truth.all() for truth, _ in scored):
        return say_instead(title, "There are not both positive and other images here, so there is no curve.")
    note = f"Positive: {join(classes[k] for k in chosen)}. A line per seed. Filled point: the threshold chosen on validation images."
    figure, axes = new_figure(1, 2, title=title, height=3.9, note=note)
    for i, (one, (truth, score)) in enumerate(zip(answers, scored, strict=True)):
        colour = ARMS[1 + i % (len(ARMS) - 1)]
        if not truth.any() or truth.all():
            continue
        label = f"seed {one.seed}  AUROC {number(_area(truth, score))}"
        axes[0, 0].plot(*roc_points(truth, score), color=colour, linewidth=1.4, label=label)
        axes[0, 1].plot(*pr_points(truth, score), color=colour, linewidth=1.4)
        dot = {"marker": "o", "markersize": 8, "color": colour, "markeredgecolor": "white", "linestyle": "", "gid": "operating-point"}
        for point in operating_points([one], chosen).itertuples():
            axes[0, 0].plot(1 - point.specificity, point.sensitivity, **dot)
            if np.isfinite(point.precision):
                axes[0, 1].plot(point.sensitivity, point.precision, **dot)
    share = float(np.mean([truth.mean() for truth, _ in scored]))
    axes[0, 1].axhline(share, color=QUIET, linestyle=":", linewidth=1)
    axes[0, 1].annotate(f"share of positives {percent(share)}", (0, share), xytext=(2, 3), textcoords="offset points", color=QUIET,
                        fontsize=8)
    _roc_axes(axes[0, 0], "ROC")
    _pr_axes(axes[0, 1], "Precision and recall")
    axes[0, 0].legend(loc="lower right", handlelength=1.4)
    return figure


def describe_curves(
    predictions: pd.DataFrame,      # rows of one arm, architecture and split
    classes:     Sequence[str],
    positive:    Sequence[str] = (),
) -> list[str]:
    """Best and worst class by AUROC, classes without one, and sensitivity and specificity at the operating point."""
    answers = read_answers(predictions, classes)
    drawn, left_out = _drawable(answers, classes)
    if not drawn:
        return ["No class has both images of it and images of others, so there is no AUROC."]
    areas = {classes[k]: float(np.mean([_area(one.y_true == k, one.probabilities[:, k]) for one in answers])) for k in drawn}
    best, worst = max(areas, key=areas.__getitem__), min(areas, key=areas.__getitem__)
    over = mean_of(answers)
    values = f"highest for {best} ({number(areas[best])}), lowest for {worst} ({number(areas[worst])})"
    if number(areas[best]) == number(areas[worst]):
        values = f"{number(areas[best])} for {join(areas)}"
    sentences = [f"AUROC against the rest ({over}): {values}."]
    if left_out:
        sentences.append(f"No AUROC for {join(left_out, 8)}: there are no images of {'it' if len(left_out) == 1 else 'them'} here.")
    chosen = positive_indices(classes, positive)
    points = operating_points(answers, chosen) if chosen else pd.DataFrame()
    if len(points) and points[["sensitivity", "specificity"]].notna().all(axis=None):
        n = round(np.mean([np.isin(one.y_true, chosen).sum() for one in answers]))
        sentences.append(f"At the threshold chosen on validation images, {percent(points['sensitivity'].mean())} of the positive images "
                         f"(n = {number(n)}) are found and {percent(points['specificity'].mean())} of the others are left alone ({over}).")
    return sentences


def _hits(is_positive: np.ndarray, score: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """True and false positives when everything down to each distinct score is called positive."""
    order = np.argsort(-score, kind="stable")
    last = np.r_[np.flatnonzero(np.diff(score[order])), len(score) - 1]
    true = np.cumsum(is_positive[order])[last]
    return true.astype(float), (last + 1 - true).astype(float)


def _mean_roc(scored: list[tuple[np.ndarray, np.ndarray]]) -> tuple[np.ndarray, np.ndarray]:
    curves = [np.interp(_GRID, *roc_points(truth, score)) for truth, score in scored]
    return np.r_[0, _GRID], np.r_[0, np.mean(curves, axis=0)]


def _mean_pr(scored: list[tuple[np.ndarray, np.ndarray]]) -> tuple[np.ndarray, np.ndarray]:
    curves = []
    for truth, score in scored:
        recall, precision = pr_points(truth, score)
        curves.append(precision[np.minimum(np.searchsorted(recall, _GRID), len(recall) - 1)])      # first threshold that reaches the recall
    return _GRID, np.mean(curves, axis=0)


def _area(truth: np.ndarray, score: np.ndarray) -> float:
    return float(mann_whitney(truth, score, np.ones((1, len(truth))))[0])


def _drawable(answers: Sequence[Answers], classes: Sequence[str]) -> tuple[list[int], list[str]]:
    """Places of the classes that every run has images of and images beside; and the names of the others."""
    drawn = [k for k in range(len(classes)) if answers and all(0 < (one.y_true == k).sum() < len(one.y_true) for one in answers)]
    return drawn, [str(name) for k, name in enumerate(classes) if k not in drawn]


def _roc_axes(axes: Axes, title: str) -> None:
    axes.plot([0, 1], [0, 1], ":", color=QUIET, linewidth=1, zorder=1)
    axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), xlabel="1 − specificity", ylabel="sensitivity", title=title)
    light_grid(axes, "both")
    axes.title.set_color(INK)


def _pr_axes(axes: Axes, title: str) -> None:
    axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), xlabel="recall (sensitivity)", ylabel="precision", title=title)
    light_grid(axes, "both")
