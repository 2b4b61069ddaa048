"""Do probabilities mean what they say (notebook 07): the reliability diagram."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from lib.report.answers import mean_of, positive_indices, read_answers
from lib.report.style import ARMS, QUIET, house_style, light_grid, new_figure, say_instead
from lib.report.words import count, join, number, percent, signed

FEW = 10                                # bins with fewer images are drawn hollow and left out of the sentence


def count_reliability(
    predictions: pd.DataFrame,          # rows of one arm, architecture and split
    classes:     Sequence[str],
    positive:    Sequence[str] = (),    # with positive classes: their summed probability; else that of the most probable class
    *,
    bins:        int = 10,
) -> pd.DataFrame:
    """Per bin of equal width: low, high, images (mean over seeds), predicted (mean probability), observed (share that is so).

    `.attrs` hold "of" (what the probability is of) and "over" (how many seeds). Empty bins have NaN.
    """
    answers, chosen = read_answers(predictions, classes), positive_indices(classes, positive)
    pieces = [(one.probabilities[:, chosen].sum(axis=1), np.isin(one.y_true, chosen)) if chosen else
              (one.probabilities.max(axis=1), one.probabilities.argmax(axis=1) == one.y_true) for one in answers]
    score = np.concatenate([piece[0] for piece in pieces]) if pieces else np.zeros(0)
    truth = np.concatenate([piece[1] for piece in pieces]) if pieces else np.zeros(0, dtype=bool)
    edges = np.linspace(0, 1, bins + 1)
    which = np.clip(np.searchsorted(edges, score, side="right") - 1, 0, bins - 1)
    n = np.bincount(which, minlength=bins).astype(float)
    full = np.where(n > 0, n, np.nan)
    frame = pd.DataFrame({
        "low": edges[:-1], "high": edges[1:], "images": n / max(len(answers), 1),
        "predicted": np.bincount(which, score, bins) / full, "observed": np.bincount(which, truth.astype(float), bins) / full,
    })
    frame.attrs["of"] = join([classes[k] for k in chosen], 4, "or") if chosen else "the most probable class"
    frame.attrs["over"] = mean_of(answers) if answers else ""
    return frame


@house_style
def plot_reliability(
    bins:  pd.DataFrame,                # of count_reliability
    *,
    title: str = "Do the probabilities mean what they say?",
) -> Figure:
    """Observed frequency against predicted probability per bin, with the number of images in each bin under it."""
    shown = bins[bins["images"] > 0]
    if shown.empty:
        return say_instead(title, "There are no predictions to compare.")
    over = f" ({bins.attrs['over']})" if bins.attrs.get("over") else ""
    note = (f"Probability of {bins.attrs.get('of', 'the class')}{over}. On the dotted line predicted equals observed; under it the "
            f"probabilities are too high. Hollow: fewer than {FEW} images.")
    figure, axes = new_figure(2, 1, title=title, height=4.6, width=6.2, note=note, height_ratios=[3, 1], sharex=True)
    top, below = axes[:, 0]
    top.plot([0, 1], [0, 1], ":", color=QUIET, linewidth=1)
    top.plot(shown["predicted"], shown["observed"], "-", color=ARMS[1], linewidth=1, alpha=0.6)
    for row in shown.itertuples():
        fill = ARMS[1] if row.images >= FEW else "white"
        top.plot(row.predicted, row.observed, "o", markersize=7, color=ARMS[1], markerfacecolor=fill, gid="bin")
    top.set(ylim=(-0.03, 1.03), ylabel="observed share")
    light_grid(top, "both")
    below.bar(bins["low"], bins["images"], width=bins["high"] - bins["low"], align="edge", color="#B9C7D4", edgecolor="white")
    for row in shown.itertuples():
        text = number(round(row.images)) if abs(row.images - round(row.images)) < 1e-6 else number(float(row.images), 1)
        below.annotate(text, ((row.low + row.high) / 2, row.images), xytext=(0, 2), textcoords="offset points", ha="center", fontsize=8,
                       gid="images")
    below.set(xlim=(-0.02, 1.02), ylim=(0, 1.3 * bins["images"].max()), xlabel="predicted probability", ylabel="images")
    below.set_yticks([])
    below.tick_params(length=0)
    return figure


def describe_reliability(bins: pd.DataFrame) -> list[str]:
    """Mean distance of predicted and observed (expected calibration error, Naeini et al. 2015) and the bin furthest off."""
    total = bins["images"].sum()
    if not total:
        return ["There are no predictions to compare."]
    shown = bins[bins["images"] > 0]
    off = shown["predicted"] - shown["observed"]
    error, bias = float((off.abs() * shown["images"]).sum() / total), float((off * shown["images"]).sum() / total)
    over = f", {bins.attrs['over']}" if bins.attrs.get("over") else ""
    sentences = [f"Predicted probability and observed share differ by {number(error)} on average over {count(len(shown), 'bin')} "
                 f"(expected calibration error{over}); predicted minus observed is {signed(bias)} overall."]
    big = shown[shown["images"] >= FEW]
    if big.empty:
        return [*sentences, f"No bin has {FEW} images, so no single bin can be judged."]
    row = big.loc[(big["predicted"] - big["observed"]).abs().idxmax()]
    low, high = (number(float(row[end]), 1) for end in ("low", "high"))
    sentences.append(f"Among bins with at least {FEW} images, the furthest off is {low} to {high}: "
                     f"{percent(row['predicted'])} predicted, {percent(row['observed'])} observed "
                     f"({count(round(row['images']), 'image')}).")
    return sentences
