"""What raters said of generated and real images (notebook 06)."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from lib.report.forest import ROW, fit_axis, label_rows, place_rows, write_beside
from lib.report.style import ALARM, ARMS, QUIET, house_style, new_figure, say_instead
from lib.report.words import estimate, number, percent

COLOURS   = {"generated": ARMS[1], "real": QUIET}
SIMULATED = "Simulated raters: invented numbers that show what this figure looks like and say nothing about the pictures."


@house_style
def plot_ratings(
    means: pd.DataFrame,                # of lib.curation.review: scale, kind, by, value, images, mean, low, high, under, share_under
    *,
    simulated: bool,                    # whether nobody rated; the title says so
    title:     str = "How do raters judge generated images, and real ones?",
) -> Figure:
    """A block per scale (and page): the mean over images with its interval, of all generated ones, of real ones, and by group."""
    if simulated:
        title = f"Simulated raters: {title[:1].lower()}{title[1:]}"
    if means.empty:
        return say_instead(title, "Nobody has rated these images.")
    rows = means[(means["by"].eq("all") | (means["by"].eq("group") & means["kind"].eq("generated"))) & means["images"].gt(0)]
    pages = rows["review"].nunique() > 1
    heads = [f"page {row.review[:6]}: {row.scale}" if pages else row.scale for row in rows.itertuples()]
    places, titles, height = place_rows(heads)
    note = ("Means with a 95 % interval over images; beside them the number of images and the share of poor ratings. "
            + (SIMULATED if simulated else ""))
    figure, axes = new_figure(title=title, height=ROW * height + 1.0, note=note.strip())
    axis = axes[0, 0]
    names = [f"{row.kind} images" if row.by == "all" else f"generated, {row.value}" for row in rows.itertuples()]
    label_rows(axis, places, names, titles, height)
    fit_axis(axis, rows[["mean", "low", "high"]].to_numpy(dtype=float).ravel())
    axis.xaxis.set_major_locator(MaxNLocator(6))
    axis.set_xlabel("mean rating" + (" (simulated)" if simulated else ""), color=ALARM if simulated else "black")
    for place, row in zip(places, rows.itertuples(), strict=True):
        colour = COLOURS[row.kind]
        axis.plot([row.low, row.high], [place, place], color=colour, linewidth=2, solid_capstyle="butt", gid="interval")
        axis.plot(row.mean, place, "o" if row.by == "all" else "s", color=colour, markersize=6, gid="point")
        write_beside(axis, place, f"{estimate(row.mean, row.low, row.high, 2)}   n = {number(int(row.images))}, "
                                  f"{percent(row.share_under)} under {number(float(row.under), 0)}")
    return figure
