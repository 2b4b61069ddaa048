"""Measured skin colour (ITA) against the annotated Fitzpatrick type (notebook 01)."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from scipy import stats

from lib.data.skin import CUT_POINTS, ita_group
from lib.report.style import INK, QUIET, WIDTH, group_colours, house_style, new_figure, say_instead
from lib.report.words import count, number, percent

TYPES = ("I", "II", "III", "IV", "V", "VI")
MOST_POINTS = 250                                   # drawn per type; the boxes use every image


@house_style
def plot_ita(
    samples: pd.DataFrame,              # tone 1–6 or null, ita in degrees or null
    *,
    cut_points: str = "groh",           # a key of lib.data.skin.CUT_POINTS
    title:   str = "Does measured skin colour agree with the annotated skin type?",
) -> Figure:
    """ITA of every image (points) and its quartiles (boxes) per annotated type, over the bands of the ITA groups."""
    measured = samples[samples["ita"].notna()] if len(samples) else samples
    if measured.empty:
        return say_instead(title, "No image has a measured skin colour (ITA).")
    tones = measured["tone"].astype("Float64").to_numpy(dtype=float, na_value=np.nan)
    ita = measured["ita"].astype(float).to_numpy()
    places = [(TYPES[t - 1], ita[tones == t]) for t in range(1, 7)] if np.isfinite(tones).any() else []
    if np.isnan(tones).any():
        places.append(("not annotated", ita[np.isnan(tones)]))
    cuts = [float(bound) for bound, _ in CUT_POINTS[cut_points]]
    note = (f"Bands: ITA groups I to VI with cut points {', '.join(number(c, 0) for c in cuts)}°. ITA (individual typology angle) is "
            f"measured on skin outside the lesion; lower is darker. Box: quartiles of all images. Points: at most {MOST_POINTS} per type.")
    width = min(3.4 + 0.8 * len(places), WIDTH)
    figure, axes = new_figure(title=title, height=4.3, width=width, note=note)
    axes, rng, colours = axes[0, 0], np.random.default_rng(0), group_colours(TYPES)
    low, high = min(float(ita.min()), cuts[-1]) - 8, max(float(ita.max()), cuts[0]) + 8
    edges = [high, *cuts, low]
    for i, name in enumerate(TYPES):
        axes.axhspan(edges[i + 1], edges[i], color=colours[name], alpha=0.16, linewidth=0)
        axes.text(len(places) - 0.35, (edges[i] + edges[i + 1]) / 2, name, va="center", ha="left", color=QUIET, fontsize=8.5)
    for place, (name, values) in enumerate(places):
        if not len(values):
            axes.text(place, (low + high) / 2, "none", ha="center", color=QUIET, fontstyle="italic")
            continue
        points = values if len(values) <= MOST_POINTS else rng.choice(values, MOST_POINTS, replace=False)
        axes.plot(place + rng.uniform(-0.24, 0.24, len(points)), points, "o", markersize=2.6, alpha=0.55, markeredgewidth=0,
                  color=colours.get(name, "#707070"))
        if len(values) >= 5:
            line = {"color": INK}
            axes.boxplot([values], positions=[place], widths=0.62, showfliers=False, manage_ticks=False, boxprops=line, whiskerprops=line,
                         capprops=line, medianprops={"color": INK, "linewidth": 2})
    axes.set(xlim=(-0.6, len(places) - 0.1), ylim=(low, high), ylabel="ITA in degrees (lighter ↑)", xlabel="annotated Fitzpatrick type")
    axes.set_xticks(range(len(places)), [f"{name.replace(' ', chr(10))}\nn = {number(len(values))}" for name, values in places])
    axes.tick_params(length=0)
    return figure


def describe_ita(
    samples: pd.DataFrame,              # tone 1–6 or null, ita in degrees or null
    *,
    cut_points: str = "groh",           # a key of lib.data.skin.CUT_POINTS
) -> list[str]:
    """Spearman correlation of ITA and annotated type with its n, how often the ITA group is the type, and what is missing."""
    total = len(samples)
    if total == 0:
        return ["There are no images."]
    both = samples[samples["ita"].notna() & samples["tone"].notna()]
    ita, tone = both["ita"].astype(float).to_numpy(), both["tone"].astype(int).to_numpy()
    sentences = []
    missing_ita, missing_tone = int(samples["ita"].isna().sum()), int(samples["tone"].isna().sum())
    if missing_ita:
        sentences.append(f"Skin colour could not be measured in {number(missing_ita)} of {count(total, 'image')} "
                         f"({percent(missing_ita / total)}).")
    if missing_tone:
        sentences.append(f"{number(missing_tone)} of {count(total, 'image')} ({percent(missing_tone / total)}) "
                         f"{'has' if missing_tone == 1 else 'have'} no annotated skin type.")
    if len(both) < 3 or np.ptp(ita) == 0 or np.ptp(tone) == 0:
        reason = f"{count(len(both), 'image')} with both" if len(both) < 3 else "one of them never varies"
        return [*sentences, f"The correlation of measured colour and annotated type cannot be computed ({reason})."]
    rho = float(stats.spearmanr(ita, tone).statistic)
    sentences.append(f"Spearman correlation of ITA and annotated type: {number(rho, 2)} (n = {number(len(both))} images with both). "
                     f"Darker skin has a lower ITA, so full agreement in rank would be −1.")
    steps = np.abs(ita_group(ita, cut_points) - tone)
    sentences.append(f"The ITA group equals the annotated type in {percent((steps == 0).mean())} of these images "
                     f"and is at most one step away in {percent((steps <= 1).mean())}.")
    return sentences
