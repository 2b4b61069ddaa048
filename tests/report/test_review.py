"""Notebook 06: ratings, drawn; invented ones are called so wherever they stand."""

from __future__ import annotations

import pandas as pd
import pytest

from lib.report.review import plot_ratings

pytestmark = pytest.mark.filterwarnings("error")
NASTY = "<script>a_b*c$x^2$ \\alpha & 日本"


def make_means(scales=("realism",), review="a" * 12) -> pd.DataFrame:
    rows = [("generated", "all", "all", 40, 5.2), ("generated", "group", "V–VI", 10, 4.5), ("generated", "group", NASTY, 1, 3.0),
            ("generated", "label", "nevus", 40, 5.2), ("real", "all", "all", 40, 6.1), ("real", "group", "V–VI", 10, 6.0)]
    return pd.DataFrame([{
        "scale": scale, "kind": kind, "by": by, "value": value, "images": images, "mean": mean, "under": 3.0, "share_under": 0.2,
        "low": mean - 0.2 if images > 1 else float("nan"), "high": mean + 0.2 if images > 1 else float("nan"), "review": review,
    } for scale in scales for kind, by, value, images, mean in rows])


def points(figure):
    return [line.get_xdata()[0] for line in figure.axes[0].lines if line.get_gid() == "point"]


def test_generated_ones_by_group_beside_real_ones(draw, texts, fits):
    figure = plot_ratings(make_means(), simulated=False)
    draw(figure)
    assert fits(figure) and points(figure) == [5.2, 4.5, 3.0, 6.1]
    assert texts(figure, "numbers")[0] == "5.20 (5.00–5.40)   n = 40, 20% under 3" and not any("imulated" in text for text in texts(figure))


def test_a_block_per_scale_and_page(draw, texts, fits):
    both = pd.concat([make_means(("realism", "colour")), make_means(review="b" * 12)])
    figure = plot_ratings(both, simulated=False)
    draw(figure)
    assert fits(figure) and len(points(figure)) == 12 and "page bbbbbb: realism" in texts(figure)


def test_invented_ratings_say_so_three_times(draw, texts, fits):
    figure = plot_ratings(make_means(), simulated=True)
    draw(figure)
    assert fits(figure) and sum("imulated" in text for text in texts(figure)) == 3


def test_nobody_rated(draw, texts):
    figure = plot_ratings(pd.DataFrame(), simulated=False)
    draw(figure)
    assert "Nobody has rated these images." in texts(figure)
