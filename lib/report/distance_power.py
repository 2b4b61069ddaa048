"""The test of set distances on real images: its level, and its power against planted shifts (notebook 12)."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from lib.report.comparisons import p_value
from lib.report.style import ARMS, QUIET, house_style, light_grid, new_figure
from lib.report.words import join, number, percent
from lib.study import SetDistance

LEVEL_OF_KS = 0.05      # of the test that p-values are uniform
ENOUGH      = 0.8       # power that counts as seen


def name_shift(shift: str, options: SetDistance) -> str:
    """A shift as figures and sentences call it."""
    names = {"none": "nothing changed", "hue": f"hue turned by {percent(options.hue)}", "blur": f"blur of {options.blur:g} px"}
    return names.get(shift, shift)


@house_style
def plot_null(p_values: Mapping[str, np.ndarray]) -> Figure:
    """A panel per encoder: sorted p-values against those of a uniform distribution, and how far chance alone strays from the diagonal."""
    figure, axes = new_figure(1, len(p_values), title="Are p-values of halves of one data set uniform?", height=2.6, sharey=True,
                              note="Dots: half splits, sorted. Grey: where 95% of truly uniform values would lie, each rank by itself.")
    for axis, (encoder, values) in zip(axes[0], p_values.items(), strict=True):
        expected = (np.arange(len(values)) + 0.5) / len(values)
        strays = np.sort(np.random.default_rng(0).random((2_000, len(values))), axis=1)
        axis.fill_between(expected, *np.quantile(strays, [0.025, 0.975], axis=0), color=QUIET, alpha=0.25, linewidth=0)
        axis.plot(expected, np.sort(values), "o", markersize=3, color=ARMS[1])
        axis.set_title(encoder)
        axis.set_xlabel("uniform")
        light_grid(axis, "both")
    axes[0, 0].set_ylabel("p-value")
    return figure


@house_style
def plot_power(power: Mapping[str, pd.DataFrame], options: SetDistance) -> Figure:
    """A panel per encoder: share of halvings in which each shift is seen, over the images in each set, with 95 % intervals."""
    figure, axes = new_figure(1, len(power), title="Which shifts are seen, with how many images?", height=2.8, sharey=True,
                              note=f"Share of halvings with p ≤ {options.level:g}; bars: 95% intervals. Dotted: the level, which is what "
                                   "an unchanged set should give.")
    for axis, (encoder, rows) in zip(axes[0], power.items(), strict=True):
        for number_, (shift, part) in enumerate(rows.groupby("shift", sort=False)):
            bars = [part["power"] - part["low"], part["high"] - part["power"]]
            axis.errorbar(part["images"], part["power"], yerr=bars, marker="o", markersize=4, color=ARMS[number_ % len(ARMS)],
                          label=name_shift(shift, options), linewidth=1.4)
        axis.axhline(options.level, color=QUIET, linestyle=":", linewidth=1)
        axis.set_xscale("log")
        axis.set_xticks(options.sizes, [number(size) for size in options.sizes])
        axis.minorticks_off()
        axis.set_title(encoder)
        axis.set_xlabel("images in each set")
        axis.yaxis.set_major_formatter(PercentFormatter(1))
        light_grid(axis, "y")
    axes[0, -1].legend(fontsize=7, loc="center left", bbox_to_anchor=(1.02, 0.5))
    return figure


def power_table(power: Mapping[str, pd.DataFrame], options: SetDistance) -> pd.DataFrame:
    """A row per encoder and shift, a column per size: "power (low–high)"."""
    rows = pd.concat([part.assign(encoder=encoder) for encoder, part in power.items()], ignore_index=True)
    rows["text"] = [f"{percent(row.power)} ({percent(row.low)}–{percent(row.high)})" for row in rows.itertuples()]
    rows["shift"] = [name_shift(shift, options) for shift in rows["shift"]]
    table = rows.pivot(index=["encoder", "shift"], columns="images", values="text").reindex(rows[["encoder", "shift"]].drop_duplicates())
    return table.rename(columns=lambda images: f"{number(images)} images").reset_index().rename_axis(columns=None)


def describe_null(judged: Mapping[str, Mapping[str, float]]) -> list[str]:
    """Per encoder: whether the p-values look uniform, and how often unchanged halves were told apart."""
    return [f"{encoder}: over {number(found['splits'])} half splits the p-values "
            f"{'do not look' if found['uniform_p'] < LEVEL_OF_KS else 'look'} uniform (Kolmogorov–Smirnov {p_value(found['uniform_p'])}); "
            f"{percent(found['rejected'])} of them ({percent(found['low'])}–{percent(found['high'])}) lie at or under {found['level']:g}."
            for encoder, found in judged.items()]


def describe_power(power: Mapping[str, pd.DataFrame], options: SetDistance) -> list[str]:
    """Per encoder: from which size on, at every larger one too, each shift is seen in at least four of five halvings, and which is not."""
    sentences = []
    for encoder, rows in power.items():
        seen, missed = [], []
        for shift, part in rows[rows["shift"] != "none"].groupby("shift", sort=False):
            part = part.sort_values("images")
            lowest = part["power"][::-1].cummin()[::-1]                 # of this size and all larger ones: one lucky size is not enough
            enough = part.loc[lowest >= ENOUGH, "images"]
            if len(enough):
                seen.append(f"{name_shift(shift, options)} with {number(int(enough.min()))} images")
            else:
                last = part.iloc[-1]
                missed.append(f"{name_shift(shift, options)} ({percent(last['power'])} with {number(int(last['images']))})")
        parts = [f"seen in at least {percent(ENOUGH)} of the halvings: {join(seen)}"] if seen else []
        parts += [f"not seen that often with the most images: {join(missed)}"] if missed else []
        sentences.append(f"{encoder}: {'; '.join(parts)}.")
    return sentences
