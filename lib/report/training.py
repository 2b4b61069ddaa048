"""How training went (notebook 07): curves per seed, and what they say about the number of epochs."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from lib.report.style import ARMS, LINES, QUIET, arm_colours, house_style, legend_below, light_grid, new_figure, say_instead, wrap
from lib.report.words import count, join, number

RUN = ("arm", "architecture", "fold", "train_fraction", "seed")
CLEAR_RISE = 0.05           # validation loss this share above its minimum counts as a sign of overfitting


@house_style
def plot_training(
    history: pd.DataFrame,              # seed, epoch, train_loss, validation_loss, macro_f1; optionally arm, architecture
    *,
    title:   str = "Did training settle, and did it overfit?",
) -> Figure:
    """Training loss, validation loss and validation macro-F1 by epoch: a line per run, its best epoch circled.

    Colours tell the arms apart where there are several, else the seeds.
    """
    if history.empty:
        return say_instead(title, "No epoch was trained.")
    runs = _runs(history)
    parts = [column for column in ("arm", "architecture") if column in history and history[column].nunique() > 1]
    names = {key: " · ".join(str(line[part].iloc[0]) for part in parts) or f"seed {line['seed'].iloc[0]}" for key, line in runs.items()}
    order = list(dict.fromkeys(names.values()))
    colours = arm_colours(order) if parts else dict(zip(order, [ARMS[1 + i % (len(ARMS) - 1)] for i in range(len(order))], strict=True))
    dashes = {name: LINES[(i // len(ARMS)) % len(LINES)] for i, name in enumerate(order)}
    note = "A line per run; the circle marks its best epoch on validation (highest macro-F1), whose weights are kept."
    below = 0.2 * -(-len(order) // 4) + 0.05
    figure, axes = new_figure(2, 3, title=title, height=2.95 + below, note=note, height_ratios=[2.7, below])
    panels = {"train_loss": "Training loss", "validation_loss": "Validation loss", "macro_f1": "Validation macro-F1"}
    for axis, (column, name) in zip(axes[0], panels.items(), strict=True):
        for key, line in runs.items():
            colour = colours[names[key]]
            axis.plot(line["epoch"], line[column], color=colour, linestyle=dashes[names[key]], linewidth=1.4, alpha=0.9,
                      marker="." if len(line) < 3 else None)
            best = best_epoch(line)
            if best is not None:
                at = line[line["epoch"] == best]
                axis.plot(at["epoch"], at[column], "o", markersize=8, markerfacecolor="none", markeredgecolor=colour, markeredgewidth=1.5,
                          gid="best")
        axis.set_title(name)
        _epoch_axis(axis, sorted(history["epoch"].unique()))
        light_grid(axis)
    axes[0, 2].set_ylim(top=min(1.02, axes[0, 2].get_ylim()[1]) if history["macro_f1"].notna().any() else None)
    handles = [Line2D([], [], color=colours[name], linestyle=dashes[name], label=wrap(name, 40, 1)) for name in order]
    legend_below(figure, axes, handles, min(len(order), 4))
    return figure


def best_epoch(line: pd.DataFrame) -> int | None:
    """The epoch with the highest validation macro-F1 of one run, the first of equals; None when it was never a number."""
    known = line[line["macro_f1"].notna()]
    return None if known.empty else int(known["epoch"].iloc[int(np.argmax(known["macro_f1"].to_numpy()))])


def describe_training(history: pd.DataFrame) -> list[str]:
    """Best epochs, runs that were still improving at the end, signs of overfitting, losses that are not numbers."""
    if history.empty:
        return ["No epoch was trained."]
    runs = _runs(history)
    names = _run_names(runs)
    lengths = [len(line) for line in runs.values()]
    best = {key: best_epoch(line) for key, line in runs.items()}
    found = sorted({epoch for epoch in best.values() if epoch is not None})
    trained = number(max(lengths)) if min(lengths) == max(lengths) else f"{number(min(lengths))} to {number(max(lengths))}"
    sentences = [f"{count(len(runs), 'run')} of {trained} epoch{'s' if max(lengths) != 1 else ''}"
                 + (f"; best validation macro-F1 at epoch{'s' if len(found) > 1 else ''} {join(found, 6)}." if found else ".")]
    losses = {key: line[["train_loss", "validation_loss"]].to_numpy(dtype=float) for key, line in runs.items()}
    broken = [names[key] for key, values in losses.items() if not np.isfinite(values).all()]
    if broken:
        sentences.append(f"The loss was not a finite number in some epoch of {join(broken, 6)}.")
    last = [names[key] for key, line in runs.items() if len(line) > 1 and best[key] == line["epoch"].iloc[-1]]
    if last:
        sentences.append(f"The last epoch was the best in {number(len(last))} of {count(len(runs), 'run')} ({join(last, 6)}): "
                         f"still improving when training ended; consider more epochs.")
    rises = {names[key]: rise for key, line in runs.items() if (rise := _overfitting(line))}
    if rises:
        worst = max(rises, key=lambda name: rises[name][0])
        most = f"most in {worst}, {rises[worst][1]}" if len(rises) > 1 else rises[worst][1]
        sentences.append(f"A sign of overfitting in {number(len(rises))} of {count(len(runs), 'run')} ({join(rises, 6)}): while training "
                         f"loss fell, validation loss rose, {most}.")
    flat = [names[key] for key, values in losses.items()
            if len(values) > 1 and np.isfinite(values).all() and values[1:, 0].min() >= values[0, 0]]
    if flat:
        sentences.append(f"The training loss never fell below its first value in {join(flat, 6)}: nothing was learned there.")
    return sentences


def _overfitting(line: pd.DataFrame) -> tuple[float, str] | None:
    """How much validation loss rose above its minimum (ratio) and in words; None without a clear rise under a falling training loss."""
    loss, learned = line["validation_loss"].to_numpy(dtype=float), line["train_loss"].to_numpy(dtype=float)
    if len(line) < 3 or not (np.isfinite(loss).all() and np.isfinite(learned).all()):
        return None
    lowest = int(np.argmin(loss))
    if not (loss[-1] > loss[lowest] * (1 + CLEAR_RISE) and learned[-1] < learned[lowest]):
        return None
    epochs = line["epoch"].to_numpy()
    return loss[-1] / loss[lowest], (f"from {number(loss[lowest], 2)} (epoch {epochs[lowest]}) to {number(loss[-1], 2)} "
                                     f"(epoch {epochs[-1]})")


def _runs(history: pd.DataFrame) -> dict[tuple, pd.DataFrame]:
    keys = [column for column in RUN if column in history and (column == "seed" or history[column].nunique(dropna=False) > 1)]
    return {key: line.sort_values("epoch", kind="stable") for key, line in history.groupby(keys, sort=False, dropna=False)}


def _run_names(runs: dict[tuple, pd.DataFrame]) -> dict[tuple, str]:
    return {key: " ".join([*(str(part) for part in key[:-1]), f"seed {key[-1]}"]) for key in runs}


def _epoch_axis(axes: Axes, epochs: list[int]) -> None:
    shown = epochs[::-(-len(epochs) // 6)]
    axes.set_xticks(shown, [number(int(epoch)) for epoch in shown])
    room = max(0.06 * (epochs[-1] - epochs[0]), 0.3)
    axes.set_xlim(epochs[0] - room, epochs[-1] + room)
    axes.set_xlabel("epoch", color=QUIET)
