"""Helpers to look at figures without eyes."""

import io

import numpy as np
import pandas as pd
import pytest
from matplotlib.legend import Legend
from matplotlib.text import Text
from PIL import Image

NASTY = "<script>a_b*c$x^2$ \\alpha & 日本"
LABELS = ["melanoma", "nevus", NASTY]
GROUPS = ["I–II", "V–VI"]


@pytest.fixture
def draw():
    """Draw a figure for real (text laid out, ticks made) and give its pixels [H, W, 3]."""

    def drawn(figure) -> np.ndarray:
        buffer = io.BytesIO()
        figure.savefig(buffer, format="png")
        return np.asarray(Image.open(buffer).convert("RGB"))

    return drawn


@pytest.fixture
def texts():
    """All texts of a figure that are shown, with line breaks as spaces; optionally only those with a gid."""

    def found(figure, gid: str | None = None) -> list[str]:
        every = [text for text in figure.findobj(Text) if text.get_visible() and text.get_text()]
        return [text.get_text().replace("\n", " ") for text in every if gid is None or text.get_gid() == gid]

    return found


@pytest.fixture
def fits():
    """Whether all that is drawn, legends too, lies within the figure, to a pixel."""

    def inside(figure) -> bool:
        renderer = figure._get_renderer()                                           # laid out by `draw` before
        drawn = figure.get_tightbbox(renderer)                                      # inches
        boxes = [np.array(drawn.extents) * figure.dpi, *(legend.get_window_extent(renderer).extents for legend in figure.findobj(Legend))]
        width, height = figure.get_size_inches() * figure.dpi
        return all(x0 >= -1 and y0 >= -1 and x1 <= width + 1 and y1 <= height + 1 for x0, y0, x1, y1 in boxes)

    return inside


@pytest.fixture
def samples() -> pd.DataFrame:
    """Twelve images: melanoma 1 in I–II; nevus 4 in I–II, 2 in V–VI, 1 unknown; NASTY 4 in V–VI."""
    labels = ["melanoma"] + ["nevus"] * 7 + [NASTY] * 4
    groups = ["I–II"] + ["I–II"] * 4 + ["V–VI"] * 2 + [None] + ["V–VI"] * 4
    return pd.DataFrame({
        "image_id": [f"i{i}" for i in range(12)], "label": labels, "group": groups, "domain": ["clinical"] * 9 + ["phone"] * 3,
        "dataset": "x", "tone": pd.array([1, 1, 2, 2, 1, 5, 6, None, 5, 6, 6, 5], dtype="Int8"),
        "ita": [60.0, 50, 40, 30, 46, -10, -30, 20, -15, -40, np.nan, 0],
        "split": ["train", "train", "train", "validation", "test", "train", "test", "train", "train", "validation", "test", "train"],
        "patient_id": [f"p{i}" for i in range(12)], "lesion_id": ["l"] * 11 + [" "], "mask_path": None,
    })


@pytest.fixture
def account() -> pd.DataFrame:
    return pd.DataFrame({
        "dataset": ["ham", NASTY], "listed": [100, 50], "missing": [0, 40], "excluded": [20, 1], "refused": [1, 0], "used": [79, 9],
    })
