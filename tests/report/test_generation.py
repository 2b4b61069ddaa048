"""Notebook 05: asked against made."""

import pandas as pd
import pytest

from lib.report.generation import count_cells, describe_generation, name_tones, plot_cells

pytestmark = pytest.mark.filterwarnings("error")
QUOTA = pd.DataFrame({"label": ["melanoma", "melanoma", "nevus"], "tone": ["5", None, "5"], "images": [2, 1, 1]})


def make_rows(*attempts) -> pd.DataFrame:
    """(label, tone, reason or None), …"""
    frame = pd.DataFrame(attempts, columns=["label", "tone_key", "reason"])
    return frame.assign(image_id=[str(i) for i in range(len(frame))], accepted=frame["reason"].isna())


def test_every_attempt_is_counted():
    rows = make_rows(("melanoma", "5", None), ("melanoma", "5", "too dark"), ("melanoma", "5", None), ("melanoma", None, None))
    cells = count_cells(QUOTA, rows).set_index(["label", "tone"])
    assert cells.loc[("melanoma", "5"), ["asked", "made", "attempts"]].tolist() == [2, 2, 3]
    assert cells.loc[("melanoma", "5"), "refused"] == pytest.approx(1 / 3)
    assert cells.loc[("melanoma", "tone not asked"), ["asked", "made", "attempts"]].tolist() == [1, 1, 1]
    assert cells.loc[("nevus", "5"), ["asked", "made", "attempts"]].tolist() == [1, 0, 0]
    assert pd.isna(cells.loc[("nevus", "5"), "refused"])


def test_in_words():
    rows = make_rows(("melanoma", "5", None), ("melanoma", "5", "too dark"), ("melanoma", "5", None), ("melanoma", None, None))
    assert describe_generation(count_cells(QUOTA, rows), rows) == [
        "3 images of 4 asked for; 1 cell of 3 fell short: nevus 5 (0 of 1).",
        "1 attempt of 4 (25.0%) was refused: too dark (1)."]
    full = make_rows(("melanoma", "5", None), ("melanoma", "5", None), ("melanoma", None, None), ("nevus", "5", None))
    assert describe_generation(count_cells(QUOTA, full), full) == [
        "4 images of 4 asked for; every cell of the quota is full.",
        "No attempt of 4 was refused by the checks of generation."]


def test_a_gan_s_missing_tone_was_not_asked_for(draw, texts):
    quota = pd.DataFrame({"label": ["melanoma", "nevus"], "tone": pd.Series([None, None], dtype=object), "images": [2, 1]})
    rows = make_rows(("melanoma", None, None), ("melanoma", None, "too dark"), ("nevus", None, None))
    cells = count_cells(quota, rows)
    assert name_tones(quota)["tone"].tolist() == cells["tone"].tolist() == ["tone not asked"] * 2
    assert describe_generation(cells, rows)[0] == "2 images of 3 asked for; 1 cell of 2 fell short: melanoma (1 of 2)."
    figure = plot_cells(cells, labels=["melanoma", "nevus"], tones=[])
    draw(figure)
    assert texts(figure, "count") == ["1 of 2", "1"] and "tone not asked" in texts(figure)
    assert not [text for text in texts(figure) if "unknown" in text]


def test_is_drawn(draw, texts, fits):
    rows = make_rows(("melanoma", "5", None), ("melanoma", None, None))
    figure = plot_cells(count_cells(QUOTA, rows), labels=["nevus", "melanoma"], tones=["5"])
    draw(figure)
    assert texts(figure, "count") == ["0 of 1", "0", "1 of 2", "1"] and fits(figure)
    draw(plot_cells(count_cells(QUOTA.iloc[:0], rows.iloc[:0]), labels=["a"], tones=["5"]))
