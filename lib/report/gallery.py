"""Pictures of every class × group as an HTML table whose thumbnails lead to the originals."""

from __future__ import annotations

import base64
import html
import io
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from urllib.parse import quote

import numpy as np
import pandas as pd
from IPython.display import HTML
from PIL import Image

from lib.data.images import read_image
from lib.report.words import literal, number

UNKNOWN = "unknown"


def gallery(
    samples:  pd.DataFrame,              # image_id, dataset, path, label, group
    roots:    Mapping[str, Path],        # dataset → folder of its paths
    folder:   Path,                      # where the page will lie; links are relative to it
    *,
    labels:   Sequence[str],
    groups:   Sequence[str],
    per_cell: int = 2,
    side:     int = 72,                  # px, the longer side of a thumbnail
    seed:     int = 0,                   # which pictures of a cell are shown
) -> HTML:
    """Rows are classes, columns are groups; under the pictures how many images the cell has, "none" where it is empty."""
    shown = samples.assign(group=samples["group"].astype(object).where(samples["group"].notna(), UNKNOWN))
    columns = [*groups, *([UNKNOWN] if (shown["group"] == UNKNOWN).any() else [])]
    order = np.random.default_rng(seed).permutation(len(shown))
    cells = {key: cell for key, cell in shown.iloc[order].groupby(["label", "group"], observed=True)}
    head = "".join(f"<th>{literal(column)}</th>" for column in columns)
    body = ""
    for label in labels:
        row = "".join(_cell(cells.get((label, column)), roots, folder, per_cell, side) for column in columns)
        body += f"<tr><th>{literal(label)}</th>{row}</tr>"
    return HTML(f'<table class="gallery"><thead><tr><th></th>{head}</tr></thead><tbody>{body}</tbody></table>')


def _cell(cell: pd.DataFrame | None, roots: Mapping[str, Path], folder: Path, per_cell: int, side: int) -> str:
    if cell is None:
        return "<td>none</td>"
    shown = cell.head(per_cell).itertuples()
    pictures = "".join(_thumbnail(Path(roots[row.dataset]) / row.path, row.image_id, folder, side) for row in shown)
    return f'<td>{pictures}<div class="muted">n = {number(len(cell))}</div></td>'


def _thumbnail(path: Path, image_id: str, folder: Path, side: int) -> str:
    small = Image.fromarray(read_image(path))
    small.thumbnail((side, side))
    buffer = io.BytesIO()
    small.save(buffer, "PNG")
    link = quote(os.path.relpath(path, folder).replace(os.sep, "/"))
    name = html.escape(str(image_id), quote=True)
    data = base64.b64encode(buffer.getvalue()).decode()
    return f'<a href="{link}"><img alt="{name}" title="{name}" src="data:image/png;base64,{data}"></a>'
