"""What was generated (notebook 05): asked against made, per cell, and why attempts failed."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from lib.report.style import COUNTS, house_style, new_figure, say_instead, text_on, wrap
from lib.report.words import count, join, number, percent

NOT_ASKED = "tone not asked"            # of a generator that is asked by class alone, such as a GAN


def name_tones(table: pd.DataFrame) -> pd.DataFrame:
    """The table with a column `tone` of texts; a null tone was not asked for."""
    return table.assign(tone=table["tone"].astype(object).where(table["tone"].notna(), NOT_ASKED).map(str))


def count_cells(
    quota: pd.DataFrame,                # label, tone (key or None), images
    rows:  pd.DataFrame,                # of the `synthetic` table: image_id, label, tone_key, accepted
) -> pd.DataFrame:
    """A row per cell: label, tone (NOT_ASKED for null), asked, made, attempts, and the share of attempts that the checks refused."""
    keyed = name_tones(rows.assign(tone=rows["tone_key"]))
    found = keyed.groupby(["label", "tone"]).agg(made=("accepted", "sum"), attempts=("accepted", "size")).reset_index()
    cells = name_tones(quota).rename(columns={"images": "asked"}).merge(found, how="left", on=["label", "tone"])
    cells[["made", "attempts"]] = cells[["made", "attempts"]].fillna(0).astype(int)
    refused = (cells["attempts"] - cells["made"]) / cells["attempts"].where(cells["attempts"] > 0)
    return cells.assign(refused=refused)


@house_style
def plot_cells(
    cells: pd.DataFrame,                # of count_cells
    *,
    labels: Sequence[str],
    tones:  Sequence[str],
    title:  str = "How many images did each cell get?",
) -> Figure:
    """Made images per class × tone as a table of shades; "12 of 14" where the quota was missed."""
    if cells.empty:
        return say_instead(title, "The quota asks for no image.")
    shown = [tone for tone in [*tones, NOT_ASKED] if (cells["tone"] == tone).any()]
    made, asked = (cells.pivot_table(index="label", columns="tone", values=column, aggfunc="sum", fill_value=0)
                   .reindex(index=labels, columns=shown, fill_value=0) for column in ("made", "asked"))
    figure, axes = new_figure(title=title, height=0.34 * len(labels) + 0.8)
    axis, most = axes[0, 0], max(int(made.to_numpy().max()), 1)
    axis.imshow(made.to_numpy(), cmap=COUNTS, vmin=0, vmax=most, aspect="auto")
    for i, j in np.ndindex(made.shape):
        have, want = int(made.iat[i, j]), int(asked.iat[i, j])
        axis.text(j, i, number(have) if have == want else f"{number(have)} of {number(want)}", ha="center", va="center",
                  color=text_on(COUNTS(have / most)), gid="count")
    axis.set_xticks(range(len(shown)), [wrap(tone, 16) for tone in shown])
    axis.set_yticks(range(len(labels)), [wrap(label, 28, 1) for label in labels])
    axis.xaxis.tick_top()
    axis.tick_params(length=0)
    axis.spines[:].set_visible(False)
    return figure


def describe_generation(cells: pd.DataFrame, rows: pd.DataFrame) -> list[str]:
    """Whether the quota was met, how many attempts it took, and the reasons for refusals."""
    asked, made = int(cells["asked"].sum()), int(cells["made"].sum())
    short = cells[cells["made"] < cells["asked"]]
    met = "every cell of the quota is full" if short.empty else (
        f"{count(len(short), 'cell')} of {number(len(cells))} fell short: "
        + join([f"{_cell(row.label, row.tone)} ({number(row.made)} of {number(row.asked)})" for row in short.itertuples()], 6))
    sentences = [f"{count(made, 'image')} of {number(asked)} asked for; {met}."]
    refused = rows[~rows["accepted"].astype(bool)]
    if refused.empty:
        return [*sentences, f"No attempt of {number(len(rows))} was refused by the checks of generation."]
    reasons = refused["reason"].value_counts()
    return [*sentences, f"{count(len(refused), 'attempt')} of {number(len(rows))} ({percent(len(refused) / len(rows), 1)}) "
                        f"{'was' if len(refused) == 1 else 'were'} refused: "
                        + join([f"{reason} ({number(int(n))})" for reason, n in reasons.items()], 6) + "."]


def _cell(label: str, tone: str) -> str:
    return label if tone == NOT_ASKED else f"{label} {tone}"
