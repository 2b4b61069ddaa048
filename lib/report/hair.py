"""How much of the pictures dark hair covers, group by group (notebook 01)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from lib.report.arrange import UNKNOWN, in_order
from lib.report.style import INK, QUIET, UNKNOWN_COLOUR, WIDTH, group_colours, house_style, light_grid, new_figure, say_instead, wrap
from lib.report.words import count, join, number, percent

VISIBLE = 0.005                                     # share of the picture from which on hair is worth a word
FEWEST = 20                                         # images; with fewer, a group gets no share
_LINEAR = 0.01                                      # the axis is even up to here, then every step multiplies


@house_style
def plot_hair(
    measured: pd.DataFrame,             # of lib.data.hair.measure_hair: group (null allowed), hair 0–1
    groups:   Sequence[str] = (),       # in the study's order
    *,
    minimum:  int = FEWEST,             # images from which on a group's share is written
    title:    str = "How much of the picture is covered by hair, by group?",
) -> Figure:
    """One row of points per group, a line at its median, and beside it how many of its images show hair."""
    if not len(measured):
        return say_instead(title, "Hair was measured on no image.")
    values, names = in_order(measured["group"], groups)
    shares, rng = measured["hair"].to_numpy(dtype=float), np.random.default_rng(0)
    note = ("Each point is one image. The upright line is the group's median. Only dark hair that stands out is found; on dark skin "
            f"less of it does. Hair shows: {percent(VISIBLE, 1)} of the picture or more (dashed). Beyond 1% the axis is logarithmic.")
    figure, axes = new_figure(title=title, height=1.1 + 0.62 * len(names), width=WIDTH, note=note)
    axes, colours = axes[0, 0], group_colours([name for name in names if name != UNKNOWN])
    most = max(0.1, float(shares.max()) * 1.2)
    axes.axvline(VISIBLE, color=QUIET, linestyle="--", linewidth=0.9)
    for row, name in enumerate(names):
        own = shares[(values == name).to_numpy()]
        axes.plot(own, row + rng.uniform(-0.26, 0.26, len(own)), "o", markersize=3, alpha=0.5, markeredgewidth=0,
                  color=colours.get(name, UNKNOWN_COLOUR), gid="image")
        if len(own):
            axes.plot([np.median(own)] * 2, [row - 0.36, row + 0.36], color=INK, linewidth=2, gid="median")
        text = f"shows in {percent((own >= VISIBLE).mean())}\nof {count(len(own), 'image')}" if len(own) >= minimum else \
            f"{count(len(own), 'image')}:\ntoo few" if len(own) else "no images"
        axes.text(1.01, row, text, transform=axes.get_yaxis_transform(), va="center", fontsize=8.5, color=QUIET)
    axes.set_xscale("symlog", linthresh=_LINEAR, linscale=0.7)
    axes.set(xlim=(-0.0006, most), ylim=(len(names) - 0.45, -0.55), xlabel="share of the picture under dark hair")
    axes.set_xticks([tick for tick in (0, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5) if tick <= most])
    axes.xaxis.set_major_formatter(FuncFormatter(lambda tick, _: f"{100 * tick:g}%"))
    axes.minorticks_off()
    axes.set_yticks(range(len(names)), [wrap(name, 20, 2) for name in names])
    light_grid(axes, "x")
    return figure


def describe_hair(
    measured: pd.DataFrame,             # of lib.data.hair.measure_hair
    groups:   Sequence[str] = (),       # in the study's order
    *,
    total:    int | None = None,        # images of the study, where not all were looked at
    minimum:  int        = FEWEST,      # images; a group with fewer is named, without a share
) -> list[str]:
    """How many images were measured, how often hair shows in each group, and how far the groups' medians lie apart."""
    if not len(measured):
        return ["Hair was measured on no image."]
    values, names = in_order(measured["group"], groups)
    shares = {name: measured.loc[(values == name).to_numpy(), "hair"].to_numpy(dtype=float) for name in names}
    shares = {name: own for name, own in shares.items() if len(own)}
    of_all = f" of {number(total)}" if total is not None and total > len(measured) else ""
    taken = ", taken evenly from the groups" if of_all else ""
    sentences = [f"Dark hair was looked for in {number(len(measured))}{of_all} images{taken}; it covers {percent(VISIBLE, 1)} of the "
                 f"picture or more in {percent((measured['hair'] >= VISIBLE).mean())} of them."]
    parts = [f"{percent((own >= VISIBLE).mean())} of the {count(len(own), 'image')} {_of(name)}" for name, own in shares.items()
             if len(own) >= minimum]
    if parts and len(shares) > 1:
        sentences.append(f"It does in {join(parts)}.")
    rough = [f"{count(len(own), 'image')} {_of(name)}" for name, own in shares.items() if len(own) < minimum]
    if rough:
        sentences.append(f"Too few to compare (under {number(minimum)}): {join(rough)}.")
    known = {name: own for name, own in shares.items() if name != UNKNOWN and len(own) >= minimum}
    return [*sentences, *_compare_medians(known)] if len(known) > 1 else sentences


def _compare_medians(shares: dict[str, np.ndarray]) -> list[str]:
    medians = {name: float(np.median(own)) for name, own in shares.items()}
    low, high = min(medians, key=medians.get), max(medians, key=medians.get)
    if medians[high] - medians[low] < 0.001:
        first = f"The groups' medians hardly differ ({percent(medians[low], 1)} to {percent(medians[high], 1)} of the picture)."
    else:
        ends = [f"in images {_of(name)} ({percent(medians[name], 1)}, {count(len(shares[name]), 'image')})" for name in (low, high)]
        first = f"The median cover is lowest {ends[0]} and highest {ends[1]}."
    return [first, "Such a difference describes the pictures, not the people: it depends on camera and body site, and dark hair stands out "
                   "less on dark skin, so more of it is missed there, most of all in small pictures."]


def _of(group: str) -> str:
    return "without a known group" if group == UNKNOWN else f"of {group}"
