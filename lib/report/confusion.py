"""What is taken for what (notebook 07): the confusion matrix, averaged over seeds."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from lib.report.answers import mean_of, read_answers
from lib.report.style import BLANK, COUNTS, QUIET, house_style, new_figure, say_instead, text_on, wrap
from lib.report.words import count, join, number, percent


def count_confusion(
    predictions: pd.DataFrame,      # rows of one arm, architecture and split
    classes:     Sequence[str],
) -> pd.DataFrame:
    """Images per true class (rows) × most probable class (columns), mean over seeds; `.attrs["over"]` says over what."""
    answers = read_answers(predictions, classes)
    counts = np.zeros((len(classes), len(classes)))
    for one in answers:
        np.add.at(counts, (one.y_true, one.probabilities.argmax(axis=1)), 1)
    counts /= max(len(answers), 1)
    frame = pd.DataFrame(counts, index=pd.Index(classes, name="true"), columns=pd.Index(classes, name="called"))
    frame.attrs["over"] = mean_of(answers) if answers else ""
    return frame


@house_style
def plot_confusion(
    counts: pd.DataFrame,           # of count_confusion
    *,
    title:  str = "Which classes are mistaken for which?",
) -> Figure:
    """Cells coloured by the share of their row, with the count; the share stands under it. Diagonal: correct."""
    k = len(counts)
    if not counts.to_numpy().sum():
        return say_instead(title, "There are no predictions to compare.")
    totals = counts.sum(axis=1).to_numpy()
    side = float(np.clip(6.4 / k, 0.52, 1.15))
    over = counts.attrs.get("over", "")
    shares = "below each its share of the row" if k <= 8 else "coloured by share of the row"
    note = (f"Counts of images{f', {over}' if over else ''}; {shares}. Rows: what it is (images "
            "in brackets). Columns: what it was called (most probable class).")
    figure, axes = new_figure(title=title, height=side * k * 0.86 + 1.3, width=min(max(2.4 + side * k, 5.0), 8.6), note=note)
    axes, small = axes[0, 0], k > 8
    for i, j in np.ndindex(k, k):
        n = counts.iat[i, j]
        share = n / totals[i] if totals[i] else 0
        colour = COUNTS(share) if n else BLANK
        axes.add_patch(Rectangle((j - 0.5, i - 0.5), 1, 1, facecolor=colour, edgecolor="white", linewidth=1.5))
        if n:
            centred = {"ha": "center", "va": "center", "color": text_on(colour)}
            axes.text(j, i - (0 if small else 0.13), _plain(n), fontsize=8 if small else 9.5, gid="count", **centred)
            if not small:
                axes.text(j, i + 0.2, percent(share), fontsize=7.5, gid="share", **centred)
        if i == j:
            axes.add_patch(Rectangle((j - 0.46, i - 0.46), 0.92, 0.92, fill=False, edgecolor=QUIET, linewidth=1))
    axes.set(xlim=(-0.5, k - 0.5), ylim=(k - 0.5, -0.5), xlabel="called", ylabel="true class")
    axes.xaxis.set_label_position("top")
    room = int(side * 12.5)
    turned = max(len(word) for name in counts.columns for word in str(name).split() or [""]) > room
    slant = {"rotation": 40, "ha": "left", "rotation_mode": "anchor"} if turned else {}
    axes.set_xticks(range(k), [wrap(name, 30, 1) if turned else wrap(name, room, 3) for name in counts.columns], **slant)
    axes.set_yticks(range(k), [f"{wrap(name, 24, 2)} ({_plain(n)})" for name, n in zip(counts.index, totals, strict=True)])
    axes.xaxis.tick_top()
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    return figure


def describe_confusion(counts: pd.DataFrame) -> list[str]:
    """Share right, the class most often mistaken and for what, classes without images or never called."""
    values = counts.to_numpy(dtype=float)
    totals, over = values.sum(axis=1), counts.attrs.get("over", "")
    if not values.sum():
        return ["There are no predictions to compare."]
    names = [str(name) for name in counts.index]
    right = np.trace(values) / values.sum()
    tail = f" ({over})" if over else ""
    sentences = [f"The most probable class is the right one for {percent(right)} of {_images(values.sum())}{tail}."]
    wrong = np.divide(values, totals[:, None], out=np.zeros_like(values), where=totals[:, None] > 0)
    np.fill_diagonal(wrong, 0)
    if wrong.max() == 0:
        sentences.append("No image was called by a wrong class.")
    else:
        i, j = np.unravel_index(int(np.argmax(wrong)), wrong.shape)
        sentences.append(f"Most often mistaken: {names[i]} called {names[j]}, {percent(wrong[i, j])} of its images "
                         f"({_plain(values[i, j])} of {_plain(totals[i])}{f', {over}' if over else ''}).")
    absent = [name for name, n in zip(names, totals, strict=True) if n == 0]
    silent = [name for name, n, here in zip(names, values.sum(axis=0), totals, strict=True) if n == 0 and here > 0]
    if absent:
        sentences.append(f"There are no images of {join(absent, 8, 'or')} here.")
    if silent:
        sentences.append(f"No image was called {join(silent, 8, 'or')}.")
    return sentences


def _plain(n: float) -> str:
    """A mean count: whole where it is (up to rounding), else one decimal."""
    return number(round(n)) if abs(n - round(n)) < 1e-6 else number(float(n), 1)


def _images(n: float) -> str:
    return count(round(n), "image") if abs(n - round(n)) < 1e-6 else f"{_plain(n)} images"
