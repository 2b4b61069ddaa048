"""Hair by group: what the figure shows and how carefully the sentences speak."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from lib.report.hair import describe_hair, plot_hair

GROUPS = ["I–II", "V–VI"]


def measured(**groups) -> pd.DataFrame:
    rows = [(None if name == "none" else name.replace("_", "–"), share) for name, shares in groups.items() for share in shares]
    return pd.DataFrame(rows, columns=["group", "hair"])


@pytest.fixture
def table() -> pd.DataFrame:
    return measured(I_II=[0.0] * 10 + [0.02] * 30, V_VI=[0.0] * 20 + [0.005] * 5, none=[0.1] * 3)


def test_the_figure_shows_every_image_its_group_and_its_number(table, draw, texts, fits):
    figure = plot_hair(table, GROUPS)
    assert draw(figure).std() > 5 and fits(figure)
    axes = figure.axes[0]
    assert [len(line.get_xdata()) for line in axes.lines if line.get_gid() == "image"] == [40, 25, 3]
    assert [line.get_xdata()[0] for line in axes.lines if line.get_gid() == "median"] == [0.02, 0.0, 0.1]
    shown = texts(figure)
    for text in ("I–II", "V–VI", "unknown", "shows in 75% of 40 images", "shows in 20% of 25 images", "3 images: too few"):
        assert text in shown
    assert "How much of the picture is covered by hair, by group?" in shown


@pytest.mark.parametrize("values", [{"I_II": [0.0]}, {"I_II": [0.9, 1.0]}, {"none": [0.0] * 5}, {"I_II": [0.003] * 50, "zz": [0.5]}])
def test_odd_tables_are_drawn(values, draw, fits):
    figure = plot_hair(measured(**values), GROUPS)
    draw(figure)
    assert fits(figure)


def test_nothing_measured(draw, texts):
    empty = measured()
    figure = plot_hair(empty, GROUPS)
    draw(figure)
    assert "Hair was measured on no image." in texts(figure)
    assert describe_hair(empty) == ["Hair was measured on no image."]


def test_sentences_give_counts_and_medians_and_a_caution(table):
    first, each, few, medians, caution = describe_hair(table, GROUPS, total=1_200)
    assert first == ("Dark hair was looked for in 68 of 1,200 images, taken evenly from the groups; it covers 0.5% of the picture or more "
                     "in 56% of them.")
    assert each == ("It does in 75% of the 40 images of I–II and 20% of the 25 images of V–VI.")
    assert few == "Too few to compare (under 20): 3 images without a known group."
    assert medians == "The median cover is lowest in images of V–VI (0.0%, 25 images) and highest in images of I–II (2.0%, 40 images)."
    assert "not the people" in caution and "less on dark skin" in caution


def test_the_smallest_group_with_a_share_is_the_studys_choice(table, texts):
    assert "100% of the 3 images" in describe_hair(table, GROUPS, minimum=3)[1]
    assert "V–VI" in describe_hair(table, GROUPS, minimum=26)[2] and "V–VI" not in describe_hair(table, GROUPS, minimum=26)[1]
    assert "shows in 100% of 3 images" in texts(plot_hair(table, GROUPS, minimum=3))


def test_sentences_without_a_difference_or_without_groups():
    same = describe_hair(measured(I_II=[0.0] * 25, V_VI=[0.0004] * 25), GROUPS)
    assert same[0].startswith("Dark hair was looked for in 50 images; it covers 0.5% of the picture or more in 0% of them")
    assert "The groups' medians hardly differ (0.0% to under 0.1% of the picture)." in same
    few = describe_hair(measured(I_II=[0.0] * 25, V_VI=[0.2] * 5), GROUPS)
    assert len(few) == 3 and "100%" not in few[1] and few[-1] == "Too few to compare (under 20): 5 images of V–VI."
    one = describe_hair(measured(I_II=list(np.linspace(0, 0.1, 30))), GROUPS)
    assert len(one) == 1
    assert len(describe_hair(measured(none=[0.0] * 30))) == 1
