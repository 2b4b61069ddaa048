"""Image grids: classes × groups with the number in every cell."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from PIL import Image

from lib.report.arrange import cross_count, in_order
from lib.report.style import ALARM, BLANK, DPI, QUIET, WIDTH, house_style, new_figure, say_instead, wrap
from lib.report.words import number

LARGEST = 128                                       # px of a picture on the page
SHARP = 2                                           # picture pixels kept per page pixel


@house_style
def cell_grid(
    pixels:   Sequence[np.ndarray] | np.ndarray,    # uint8 [N, S, S, 3], also a memory map; only the pictures shown are read
    rows:     pd.Series,                            # [N] e.g. samples["label"]
    columns:  pd.Series,                            # [N] e.g. samples["group"], null allowed
    *,
    row_names:    Sequence[str] = (),
    column_names: Sequence[str] = (),
    per_cell: int = 2,
    seed:     int = 0,                              # which pictures of a cell are shown
    title:    str = "What do the images look like?",
) -> Figure:
    """Pictures drawn at random from every class × group cell, with the cell's n; a cell without pictures says "none".

    Raises ValueError when `pixels`, `rows` and `columns` differ in length.
    """
    if not len(pixels) == len(rows) == len(columns):
        raise ValueError(f"{len(pixels)} pictures, {len(rows)} row names and {len(columns)} column names: give one of each per picture")
    counts = cross_count(rows, columns, row_names, column_names)
    if counts.empty:
        return say_instead(title, "There are no images to show.")
    row_values, column_values = in_order(rows, row_names)[0].to_numpy(), in_order(columns, column_names)[0].to_numpy()
    rng, across = np.random.default_rng(seed), counts.shape[1]
    room = (WIDTH - 1.9) / across                                               # inches for one cell
    per_cell = max(1, min(per_cell, int(room / 0.34)))
    tile = min((room - 0.1) / per_cell, LARGEST / DPI, 1.0)                     # inches of one picture
    cell, tall = tile * per_cell + 0.1, tile + 0.26
    figure, axes = new_figure(title=title, height=counts.shape[0] * tall + 0.75, width=max(1.9 + cell * across, 5.0))
    axes = axes[0, 0]
    for i, j in np.ndindex(counts.shape):
        n, left, top = int(counts.iat[i, j]), j * cell, i * tall
        where = np.flatnonzero((row_values == counts.index[i]) & (column_values == counts.columns[j]))
        axes.text(left, top + 0.2, f"n = {number(n)}" if n else "none", va="bottom", fontsize=8, color=QUIET if n else ALARM, gid="n",
                  fontstyle="normal" if n else "italic")
        if not n:
            axes.add_patch(Rectangle((left, top + 0.22), cell - 0.13, tile - 0.03, facecolor=BLANK, edgecolor="#D0D0D0", hatch="///",
                                     linewidth=0.8, gid="empty"))
        for k, index in enumerate(np.sort(rng.permutation(where)[:per_cell])):
            _place(axes, pixels[int(index)], left + k * tile, top + 0.22, tile)
    axes.set(xlim=(0, cell * across), ylim=(counts.shape[0] * tall, 0), aspect="equal")
    axes.set_xticks([j * cell + (cell - 0.1) / 2 for j in range(across)],
                    [wrap(name, max(int(cell * 11), 8), lines=4) for name in counts.columns])
    axes.set_yticks([i * tall + 0.22 + tile / 2 for i in range(len(counts))], [wrap(name, 20) for name in counts.index])
    axes.xaxis.tick_top()
    _bare(axes)
    return figure


def small_picture(
    picture: np.ndarray,                            # uint8 [H, W, 3]
    longest: int,                                   # px
) -> np.ndarray:
    """The picture with its longer side at most `longest`, averaged down (never enlarged)."""
    picture = np.asarray(picture)
    if picture.dtype != np.uint8 or picture.ndim != 3 or picture.shape[2] != 3:
        raise ValueError(f"expected a uint8 picture [height, width, 3], got {picture.dtype} {list(picture.shape)}")
    height, width = picture.shape[:2]
    share = longest / max(height, width)
    if share >= 1:
        return picture
    return np.asarray(Image.fromarray(picture).resize((max(1, round(width * share)), max(1, round(height * share))), Image.Resampling.BOX))


def _place(axes: Axes, picture: np.ndarray, left: float, top: float, tile: float) -> None:
    """Draw one picture centred in a square of `tile` inches with a hair of space around."""
    picture = small_picture(picture, round(tile * DPI * SHARP))
    high, wide = (side / max(picture.shape[:2]) * (tile - 0.03) for side in picture.shape[:2])
    left, top = left + (tile - 0.03 - wide) / 2, top + (tile - 0.03 - high) / 2
    axes.imshow(picture, extent=(left, left + wide, top + high, top), interpolation="antialiased", aspect="equal")


def _bare(axes: Axes) -> None:
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    axes.set_anchor("NW")               # else the names at the left are measured from a box that then moves
