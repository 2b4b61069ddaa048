"""From what the judge said of each picture to shares and errors, each beside the same figure of drawn phantoms."""

from __future__ import annotations

import pandas as pd

DRAWN = "drawn"                             # the variant (and start) of phantoms that the optical model drew
BANDS = {"I–IV": (1, 2, 3, 4), "V–VI": (5, 6)}      # types that phantom-sd was trained on, and types that it never saw


def agreement(
    judged: pd.DataFrame,                   # of `judge`, drawn phantoms among them
    by:     str = "band",                   # or "tone", "label"
) -> pd.DataFrame:
    """A row per variant, start and part: images, label and tone (shares the oracle agrees with), their ceilings, and the ratios.

    Shares are means over label × tone cells, so every cell counts alike. A ceiling is the same share of drawn phantoms.
    """
    right = with_bands(judged).assign(right_label=judged["said_label"].eq(judged["label"]).to_numpy(),
                                       right_tone=judged["said_tone"].eq(judged["tone"]).to_numpy())
    cells = right.groupby(["variant", "start", "band", "label", "tone"], sort=False).agg(
        images=("ita", "size"), label_agrees=("right_label", "mean"), tone_agrees=("right_tone", "mean")).reset_index()
    table = cells.assign(part=cells[by]).groupby(["variant", "start", "part"], sort=False).agg(
        images=("images", "sum"), label_agrees=("label_agrees", "mean"), tone_agrees=("tone_agrees", "mean")).reset_index()
    ceiling = table[table["variant"] == DRAWN].set_index("part")
    table = table[table["variant"] != DRAWN].reset_index(drop=True)
    for what in ("label", "tone"):
        table[f"{what}_ceiling"] = table["part"].map(ceiling[f"{what}_agrees"])
        table[f"{what}_ratio"] = table[f"{what}_agrees"] / table[f"{what}_ceiling"]
    return table


def skin_tones(judged: pd.DataFrame) -> pd.DataFrame:
    """A row per variant, start and type: asked and obtained (median ITA of drawn and of generated pictures, degrees) and error.

    Both are measured alike, on the ring along the border, so what lies there besides skin moves both.
    """
    table = judged.groupby(["variant", "start", "tone"], sort=False)["ita"].median().reset_index(name="obtained")
    asked = table[table["variant"] == DRAWN].set_index("tone")["obtained"]
    table = table[table["variant"] != DRAWN].assign(asked=lambda rows: rows["tone"].map(asked))
    return table.assign(error=table["obtained"] - table["asked"]).reset_index(drop=True)


def tone_errors(tones: pd.DataFrame) -> pd.DataFrame:
    """variant, start, error: mean over the types of the absolute difference of median ITA, degrees."""
    return tones.assign(error=tones["error"].abs()).groupby(["variant", "start"], sort=False)["error"].mean().reset_index()


def with_bands(judged: pd.DataFrame) -> pd.DataFrame:
    """The table with a column `band`, by type, and rows counted from 0."""
    band_of = {tone: band for band, tones in BANDS.items() for tone in tones}
    return judged.reset_index(drop=True).assign(band=lambda table: table["tone"].map(band_of))
