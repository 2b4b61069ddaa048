"""How a generator learnt (notebooks 02 and 03): loss, validation score and token norms, and what they say."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from lib.diffusion.words import Cell, Words
from lib.report.grids import SHARP, small_picture
from lib.report.style import ARMS, DPI, GRID, QUIET, WIDTH, house_style, light_grid, new_figure, say_instead, shorten, wrap
from lib.report.words import count, join, number

CLEAR_FALL = 0.02           # loss this share below its first rows counts as learnt
_EM, _SMALLEST = 0.62, 5.0  # mean width of a letter, in font sizes; the smallest of these, in points
FAR = 2.0                   # a token this many times as long as the vocabulary's median stands apart


@house_style
def plot_learning(
    history: pd.DataFrame,              # step, loss, gradient_norm, learning_rate, score (NaN where nothing was scored)
    *,
    score:   str,                       # what the score is, with its encoder
    title:   str = "Did training settle?",
) -> Figure:
    """Loss with its running mean, the norm of the gradient, and the validation score, by optimiser step; the kept step is circled."""
    if history.empty:
        return say_instead(title, "No step was trained.")
    scored = history[history["score"].notna()]
    panels = {"loss": "Training loss", "gradient_norm": "Norm of the gradient", "score": f"Validation {score}"}
    figure, axes = new_figure(1, 3, title=title, height=2.7,
                              note="Each point is the mean of the steps since the one before. Lower scores are better; the circle "
                                   "marks the step whose weights are kept.")
    for axis, (column, name) in zip(axes[0], panels.items(), strict=True):
        shown = history[history[column].notna()]
        if shown.empty:
            axis.set_axis_off()
            axis.text(0, 0.5, "Nothing was scored.", color=QUIET, transform=axis.transAxes)
        else:
            thin = column == "loss" and len(shown) > 12
            axis.plot(shown["step"], shown[column], color=ARMS[1], linewidth=0.7 if thin else 1.4, alpha=0.45 if thin else 1,
                      marker="." if len(shown) < 12 else None)
            if thin:
                axis.plot(shown["step"], running_mean(shown["loss"].to_numpy()), color=ARMS[1], linewidth=1.8, gid="running")
            axis.set_xlabel("optimiser step", color=QUIET)
        axis.set_title(wrap(name, 30, 2))
        light_grid(axis)
    if len(scored):
        best = scored.loc[scored["score"].idxmin()]
        axes[0, 2].plot(best["step"], best["score"], "o", markersize=9, markerfacecolor="none", markeredgecolor=ARMS[2], gid="best")
    return figure


def running_mean(
    values: np.ndarray,                 # [N]
) -> np.ndarray:
    """[N] mean of the tenth of all rows around each, cut short at the ends."""
    half = max(1, len(values) // 20)
    sums = np.concatenate([[0.0], np.cumsum(values)])
    places = np.arange(len(values))
    low, high = np.maximum(places - half, 0), np.minimum(places + half + 1, len(values))
    return (sums[high] - sums[low]) / (high - low)


def describe_learning(
    history:   pd.DataFrame,
    best_step: int,
    stopped:   str,                     # why it ended
    *,
    score:     str,
    before:    float | None = None,     # the score before training
) -> list[str]:
    """Why it ended, whether the loss fell, and what validation says about the number of steps.

    A row of step 0 is the state before, which then was a candidate as well: a sentence says which is kept.
    """
    start, history = history[history["step"] == 0], history[history["step"] > 0]
    if history.empty:
        return ["No step was trained."]
    before = float(start["score"].iloc[0]) if len(start) else before
    smooth = running_mean(history["loss"].to_numpy(dtype=float))
    fall = 1 - smooth[-1] / smooth[0]
    moved = (f"fell from {number(smooth[0], 3)} to {number(smooth[-1], 3)} (running means)" if fall > CLEAR_FALL
             else f"stayed near {number(smooth[-1], 3)}, as a denoising loss may while pictures still improve" if fall > -CLEAR_FALL
             else f"rose from {number(smooth[0], 3)} to {number(smooth[-1], 3)} (running means): lower the learning rate")
    sentences = [f"It ended with {stopped}; the loss {moved}."]
    scored = history[history["score"].notna()]
    if scored.empty and len(start):
        return [*sentences, "No later state could be scored, so the one before it is kept."]
    if scored.empty:
        return [*sentences, "No validation score was taken, so the last step's weights are kept."]
    first, best = scored.iloc[0], scored.loc[scored["score"].idxmin()]
    sentences.append(f"Validation {score} is lowest at step {number(int(best['step']))}: {number(float(best['score']), 4)}"
                     + (f", from {number(float(first['score']), 4)} at step {number(int(first['step']))}" if len(scored) > 1 else "")
                     + ("." if before is None else f"; before training it was {number(before, 4)}."))
    if before is not None and float(best["score"]) >= before:
        sentences.append("By this score training did not help" + ("; the state before it is kept." if len(start) else "."))
    elif len(start):
        sentences.append(f"That is better, so the state of step {number(best_step)} is kept.")
    if len(scored) > 2 and best_step == scored["step"].iloc[-1]:
        sentences.append("The last score is the best: still improving when training ended; consider more steps.")
    return sentences


@house_style
def plot_token_norms(
    norms: pd.DataFrame,                # token, vector, initial, learnt: lengths; low, median, high: 5 %, 50 %, 95 % of the vocabulary's
    *,
    title: str = "Did the tokens stay near the vocabulary?",
) -> Figure:
    """Each token's length before and after training, over the range of the vocabulary's."""
    if norms.empty:
        return say_instead(title, "No token was trained.")
    figure, axes = new_figure(title=title, height=max(1.8, 0.22 * len(norms) + 1.0),
                              note="The band holds nine tenths of the vocabulary, the line is its median; a far longer token drowns "
                                   "the other words of a prompt.")
    axis, places, first = axes[0, 0], np.arange(len(norms))[::-1], norms.iloc[0]
    axis.axvspan(first["low"], first["high"], color=GRID, linewidth=0, gid="vocabulary")
    axis.axvline(first["median"], color=QUIET, linewidth=1)
    axis.hlines(places, norms["initial"], norms["learnt"], color=QUIET, linewidth=1)
    axis.plot(norms["initial"], places, "o", color=ARMS[0], markersize=4, label="initialiser")
    axis.plot(norms["learnt"], places, "o", color=ARMS[2], markersize=5, label="learnt")
    axis.set_yticks(places, [wrap(name, 34, 1) for name in _names(norms)])
    axis.set_xlabel("length of the embedding", color=QUIET)
    axis.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0))
    return figure


def describe_token_norms(norms: pd.DataFrame) -> list[str]:
    """How many tokens, how long they are, and which stand apart from the vocabulary."""
    if norms.empty:
        return ["No token was trained."]
    middle = float(norms["median"].iloc[0])
    sentences = [f"{count(norms['token'].nunique(), 'token')}; the median length is {number(float(norms['learnt'].median()), 2)}, "
                 f"that of the vocabulary {number(middle, 2)}."]
    far = [name for name, length in zip(_names(norms), norms["learnt"], strict=True) if length > FAR * middle]
    if far:
        sentences.append(f"{join(far, 6)} {'is' if len(far) == 1 else 'are'} over {number(FAR, 0)} times as long as a usual word and may "
                         "drown the rest of a prompt; a lower learning rate or diffusion.tokens.retraction would help.")
    return sentences


@house_style
def plot_pictures(
    asked:    pd.DataFrame,             # [N] label, tone: what each picture was asked to show
    real:     np.ndarray,               # uint8 [N, S, S, 3], held-out images of the same cells
    pictures: Mapping[int, np.ndarray], # steps → uint8 [N, s, s, 3], drawn at the same seeds each time
    *,
    most:  int = 12,                    # pictures per row
    title: str = "What does it draw as it learns?",
) -> Figure:
    """A row of real images, then a row for each time the generator was asked; a column is one cell (and one seed)."""
    if asked.empty or not pictures:
        return say_instead(title, "No validation image was drawn.")
    chosen = np.unique(np.linspace(0, len(asked) - 1, min(most, len(asked))).round().astype(int))
    rows = {"real": real} | {f"step {number(step)}": drawn for step, drawn in sorted(pictures.items())}
    tile = min((WIDTH - 1.0) / len(chosen), 1.0)
    figure, axes = new_figure(title=title, height=tile * len(rows) + 1.1, width=max(1.0 + tile * len(chosen), 5.0))
    axis = axes[0, 0]
    for i, drawn in enumerate(rows.values()):
        for j, place in enumerate(chosen):
            picture = small_picture(drawn[place], round(tile * DPI * SHARP))
            axis.imshow(picture, extent=(j, j + 0.96, i + 0.96, i), interpolation="antialiased")
    axis.set(xlim=(0, len(chosen)), ylim=(len(rows), 0), aspect="equal")
    names = [f"{row.label} {'' if pd.isna(row.tone) else row.tone}" for row in asked.iloc[chosen].itertuples()]
    letters = tile * 72 / _EM * np.array([1 / 7, 1 / _SMALLEST])    # that fit a picture's width, at 7 points and at the smallest
    longest = max(len(word) for name in names for word in name.split())
    room = int(np.clip(longest, *letters))
    words = [" ".join(shorten(word, room) for word in name.split()) for name in names]       # broken at spaces alone
    axis.set_xticks(np.arange(len(chosen)) + 0.48, [wrap(name, room, 4) for name in words], fontsize=7 * letters[0] / max(room, letters[0]))
    axis.set_yticks(np.arange(len(rows)) + 0.48, list(rows))
    axis.xaxis.tick_top()
    axis.tick_params(length=0)
    axis.spines[:].set_visible(False)
    return figure


def count_tokens(
    planned:  Mapping[Cell, str],       # of lib.diffusion.tokens.plan_tokens
    examples: pd.DataFrame,             # label, tone (key or None)
    words:    Words,
    initialisers: Mapping[str, str] = MappingProxyType({}),     # label → word
) -> pd.DataFrame:
    """A row per token: token, label, tone, the words it starts from, training images."""
    found = examples.groupby(["label", "tone"], dropna=False).size()
    images = {Cell(label, None if pd.isna(tone) else tone): n for (label, tone), n in found.items()}
    return pd.DataFrame([
        {"token": token, "label": cell.label, "tone": cell.tone, "starts from": initialisers.get(cell.label, words.diagnosis(cell.label)),
         "images": int(images.get(cell, 0))} for cell, token in planned.items()
    ], columns=["token", "label", "tone", "starts from", "images"])


def _names(norms: pd.DataFrame) -> list[str]:
    several = norms["vector"].max() > 0
    return [f"{row.token} {row.vector + 1}" if several else row.token for row in norms.itertuples()]
