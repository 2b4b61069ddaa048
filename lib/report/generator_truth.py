"""What the oracle says of each generator (notebook 11): class, skin tone and variety, beside drawn phantoms, with figures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter

from lib.diffusion.base.agreement import DRAWN, agreement, skin_tones, tone_errors
from lib.diffusion.base.judge import diversity
from lib.encoders.encoder import Encoder
from lib.report.generator_truth_words import (
    ACCURACIES,
    check_targets,
    describe_agreement,
    describe_diversity,
    describe_skin,
    describe_targets,
    targets_table,
    title_of,
    titles,
)
from lib.report.grids import cell_grid
from lib.report.headline import table_record
from lib.report.style import ARMS, MARKERS, QUIET, house_style, legend_below, light_grid, new_figure, wrap
from lib.report.words import percent

ROMAN = {1: "I", 2: "II", 3: "III", 4: "IV", 5: "V", 6: "VI"}
LINES = {"plain": ":", "anchored": "-"}


@dataclass(frozen=True)
class Findings:
    """What notebook 11 finds; each table is made when it is first looked at."""

    judged:     pd.DataFrame                # of `lib.diffusion.base.judge.judge`, drawn phantoms among them
    pixels:     np.ndarray                  # uint8 [N, S, S, 3], of the same rows
    encoder:    Encoder
    neighbours: int                         # of coverage

    @cached_property
    def bands(self) -> pd.DataFrame:
        """Agreement by seen and unseen types."""
        return agreement(self.judged)

    @cached_property
    def by_tone(self) -> pd.DataFrame:
        """Agreement by type."""
        return agreement(self.judged, "tone")

    @cached_property
    def tones(self) -> pd.DataFrame:
        """See `skin_tones`."""
        return skin_tones(self.judged)

    @cached_property
    def errors(self) -> pd.DataFrame:
        """See `tone_errors`."""
        return tone_errors(self.tones)

    @cached_property
    def varied(self) -> pd.DataFrame:
        """See `diversity`."""
        return diversity(self.judged, self.pixels, self.encoder, neighbours=self.neighbours)

    @cached_property
    def targets(self) -> pd.DataFrame:
        """See `check_targets`."""
        return check_targets(self.bands, self.errors, self.varied)

    @property
    def per_variant(self) -> pd.Series:
        """Generated pictures of each variant and start."""
        return self.judged[self.judged["variant"] != DRAWN].groupby(["variant", "start"]).size()

    def metrics(
        self,
        ceilings: Mapping[str, Mapping[str, Any]],      # of the oracle
        images:   int,                                  # pictures of each class × type
    ) -> dict[str, Any]:
        """All of it for metrics.json."""
        return {
            "oracle":    {what: ceilings[what]["all"] for what in ACCURACIES},
            "agreement": self.bands.to_dict("records"),
            "by_tone":   self.by_tone.to_dict("records"),
            "by_label":  agreement(self.judged, "label").to_dict("records"),
            "skin":      {"tones": self.tones.to_dict("records"), "errors": self.errors.to_dict("records")},
            "diversity": {"encoder": self.encoder.name, "rows": self.varied.to_dict("records")},
            "targets":   self.targets.to_dict("records"),
            "headline":  table_record(targets_table(self.targets), f"Targets, set before the run; {images} pictures of each class × type"),
            "findings":  [*describe_targets(self.targets), *describe_agreement(self.bands), *describe_skin(self.errors),
                          *describe_diversity(self.varied)],
        }


def together(
    *parts: tuple[np.ndarray, pd.DataFrame],    # pixels uint8 [N, S, S, 3], and what was asked for, row by row
) -> tuple[np.ndarray, pd.DataFrame]:
    """The pictures of all parts in their order, and one table with its rows counted from 0."""
    return np.concatenate([pixels for pixels, _ in parts]), pd.concat([asked for _, asked in parts], ignore_index=True)


def side_by_side(
    pixels:   np.ndarray,                   # uint8 [N, S, S, 3]
    asked:    pd.DataFrame,                 # variant, start, label, tone; of the same rows
    tone:     int,                          # Fitzpatrick type that is shown
    *,
    labels:   Sequence[str],
    per_cell: int = 2,
) -> Figure:
    """Pictures of every label: drawn phantoms, then each variant and start, which begin from the same noise in every column."""
    of_tone = asked.reset_index(drop=True)
    of_tone = of_tone[of_tone["tone"] == tone]
    shown = of_tone[of_tone.groupby(["variant", "start", "label"]).cumcount() < per_cell]
    order = sorted(dict.fromkeys(zip(shown["variant"], shown["start"], strict=True)), key=lambda pair: pair[0] != DRAWN)
    names = pd.Series(titles(shown), name="generator")
    return cell_grid(pixels[shown.index.to_numpy()], shown["label"].reset_index(drop=True), names, row_names=labels,
                     column_names=[title_of(*pair) for pair in order], per_cell=per_cell,
                     title=f"What does type {ROMAN[tone]} look like, drawn and generated?")


@house_style
def plot_agreement(
    by_tone: pd.DataFrame,                  # of `agreement(judged, "tone")`
) -> Figure:
    """Class and tone agreement with the oracle per type; the grey line is the ceiling, its agreement on drawn phantoms."""
    pairs = list(dict.fromkeys(zip(by_tone["variant"], by_tone["start"], strict=True)))
    below = 0.2 * -(-len(pairs) // 3) + 0.05
    figure, axes = new_figure(2, 2, title="Does the oracle see what was asked for?", height=2.9 + below, height_ratios=[2.7, below],
                              note="Share of the pictures in which the oracle sees the class (left) and exactly the type (right) that was "
                                   "asked for. Grey: its agreement on drawn phantoms, the ceiling. The base model never saw types V–VI.")
    colours = _colours(by_tone["variant"])
    for axis, what, name in zip(axes[0], ("label", "tone"), ("Class", "Skin type"), strict=True):
        first = by_tone.drop_duplicates("part").sort_values("part")
        axis.plot(first["part"], first[f"{what}_ceiling"], color=QUIET, linewidth=3, alpha=0.4, gid="ceiling")
        for variant, start in pairs:
            line = by_tone[(by_tone["variant"] == variant) & (by_tone["start"] == start)].sort_values("part")
            axis.plot(line["part"], line[f"{what}_agrees"], linestyle=LINES[start], color=colours[variant], marker="o", markersize=4)
        axis.axvspan(4.5, 6.4, color="#F4F4F4", zorder=0)
        axis.set_xticks(list(ROMAN), list(ROMAN.values()))
        axis.set(xlim=(0.6, 6.4), ylim=(0, 1.03), title=name)
        axis.yaxis.set_major_formatter(FuncFormatter(lambda share, _: percent(share)))
        light_grid(axis)
    handles = [Line2D([], [], color=colours[variant], linestyle=LINES[start], marker="o", markersize=4, label=title_of(variant, start))
               for variant, start in pairs]
    legend_below(figure, axes, handles, min(len(pairs), 3))
    return figure


@house_style
def plot_skin(
    tones: pd.DataFrame,                    # of `skin_tones`: variant, start, tone, asked, obtained
) -> Figure:
    """Obtained against asked skin tone (ITA) per type, a panel per variant; on the diagonal is as dark as asked for."""
    variants = list(dict.fromkeys(tones["variant"]))
    figure, axes = new_figure(1, len(variants), title="Is the skin as dark as it was asked to be?", height=2.9, sharey=True,
                              note="Median ITA of all pictures of a type, in degrees: dark skin at the left, light skin at the "
                                   "right. Asked: that of drawn phantoms.")
    both = tones[["asked", "obtained"]].to_numpy(dtype=float)
    low, high = np.nanmin(both) - 5, np.nanmax(both) + 5
    for axis, variant in zip(axes[0], variants, strict=True):
        axis.plot([low, high], [low, high], color=QUIET, linewidth=1, zorder=0)
        for place, (start, line) in enumerate(tones[tones["variant"] == variant].groupby("start", sort=False)):
            axis.plot(line["asked"], line["obtained"], linestyle=LINES[start], color=ARMS[1 + place], marker=MARKERS[place],
                      label=f"{start} start")
        axis.set(xlim=(low, high), ylim=(low, high), title=wrap(variant, 24, 1))
        axis.set_xlabel("asked, °", color=QUIET)
        light_grid(axis, "both")
    axes[0, 0].set_ylabel("obtained, °", color=QUIET)
    axes[0, 0].legend(loc="upper left")
    return figure


def _colours(variants: pd.Series) -> dict[str, str]:
    return {variant: ARMS[i % len(ARMS)] for i, variant in enumerate(dict.fromkeys(variants))}
