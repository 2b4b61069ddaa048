"""Notebook 04: how a GAN's training is drawn and told."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from lib.report.gan import (
    describe_comparison,
    describe_crops,
    judged,
    plot_beside,
    plot_curves,
    plot_grids,
    plot_nearest,
    tiled,
    told,
)

pytestmark = pytest.mark.filterwarnings("error")
NASTY = "<script>a_b*c$x^2$ \\alpha & 日本"
COLUMNS = ["encoder", "kind", "images", "distance", "low", "high", "sharpness", "sigma"]
EMPTY = pd.DataFrame(columns=COLUMNS)


def make_history(rows=40) -> pd.DataFrame:
    columns = ("critic_loss", "generator_loss", "wasserstein", "penalty", "gradient_norm", "diversity")
    return pd.DataFrame({"iteration": np.arange(1, rows + 1) * 10, **{name: np.linspace(1, 2, rows) for name in columns},
                         "quality": np.where(np.arange(rows) % 10 == 9, 0.1, np.nan)})


def make_table(generated=0.04, sigma=1.2, blurred=0.1, encoder="x") -> pd.DataFrame:
    return pd.DataFrame({"encoder": encoder, "kind": ["generated", "real", "blurred", "noise"], "images": 40,
                         "distance": [generated, 0.01, blurred, 0.4], "low": 0.0, "high": 0.5, "sharpness": 100.0,
                         "sigma": [np.nan, np.nan, sigma, np.nan]})


def pictures(count, shade=0):
    return (np.arange(count, dtype=np.uint8)[:, None, None, None] + shade) * np.ones((1, 8, 8, 3), np.uint8)


@pytest.mark.parametrize("runs", [["nevus"], [f"class {i}" for i in range(6)] + [NASTY]])
def test_curves_have_a_line_per_run_and_say_what_is_wanted(draw, texts, fits, runs):
    figure = plot_curves({name: make_history() for name in runs}, floors=dict.fromkeys(runs, 0.02), score="kernel distance in x features")
    draw(figure)
    assert fits(figure) and "Wasserstein estimate" in texts(figure)
    assert len(figure.axes[0].lines) == 2 * len(runs)                                   # as recorded, and the running mean
    assert len([line for line in figure.axes[5].lines if line.get_gid() == "floor"]) == len(runs)
    assert any(line.get_ydata()[0] == 1 and line.get_linestyle() == "--" for line in figure.axes[3].lines)


def test_curves_of_nothing(draw):
    draw(plot_curves({}))
    draw(plot_curves({"a": make_history().assign(quality=np.nan)}, floors={"a": np.nan}))
    draw(plot_curves({"a": make_history(1)}))


def test_grids_keep_the_first_and_the_last(draw, texts, fits):
    grids = {"a": {step: np.full((16, 16, 3), step, np.uint8) for step in range(1, 10)}, NASTY: {5: np.zeros((16, 16, 3), np.uint8)}}
    figure = plot_grids(grids)
    draw(figure)
    titles = [title for axis in figure.axes if (title := axis.get_title(loc="left"))]
    assert fits(figure) and titles == ["iteration 1", "iteration 4", "iteration 6", "iteration 9", "iteration 5"]
    draw(plot_grids({}))


@pytest.mark.parametrize("count", [1, 2, 7])
def test_real_stands_beside_generated(draw, fits, count):
    sets = {f"class {i}" if i else NASTY: (pictures(30), pictures(9, 100)) for i in range(count)}
    figure = plot_beside(sets)
    draw(figure)
    assert fits(figure) and len(figure.axes) == 2 * count
    assert [axis.get_title(loc="left") for axis in figure.axes[:2]] == ["real", "generated"]
    left = figure.axes[0].images[0].get_array()
    assert left.min() == 0 and left.max() == 29                                          # spread over all of them
    draw(plot_beside({"a": (pictures(0), pictures(3))}))


def test_the_nearest_come_first(draw, texts, fits):
    distances = np.array([0.3, 0.1, 0.2])
    figure = plot_nearest({"a": (pictures(3, 10), pictures(5, 100), distances, np.array([4, 2, 0]))}, most=4)
    draw(figure)
    shown = [axis.images[0].get_array()[0, 0, 0] for axis in figure.axes if axis.images]
    assert fits(figure) and shown == [11, 12, 10, 102, 100, 104] and "0.100" in texts(figure)
    draw(plot_nearest({}))


def test_tiles_lie_in_rows():
    sheet = tiled(pictures(5), 3)
    assert sheet.shape == (16, 24, 3)
    assert [sheet[8 * (i // 3), 8 * (i % 3), 0] for i in range(6)] == [0, 1, 2, 3, 4, 255]


def test_words():
    assert describe_crops(10, 0, "lesion") == "All 10 images are cut out around the lesion's mask."
    assert "8 of 10 images are cut out around the lesion's mask; 2 have none" in describe_crops(8, 2, "lesion")
    assert describe_crops(0, 0, "lesion") == "No images."
    assert describe_crops(1, 0, "lesion") == "The only image is cut out around the lesion's mask."
    assert describe_crops(0, 3, "whole") == "3 whole images, as the study asks for no crop."
    assert told({"a": ["x"]}) == ["x"] and told({"a": ["x"], "b": ["y", "z"]}) == ["a: x", "b: y", "b: z"]


def test_words_of_every_encoder():
    both = pd.concat([make_table(), make_table(generated=0.09, encoder=NASTY)], ignore_index=True)
    said = describe_comparison(both)
    assert said[0].startswith("The kernel distance in x features is 0.0400 between generated and held-out images, and 0.0100 between real")
    assert said[1:3] == ["That is 0.40 times the 0.1000 of real ones blurred to the generator's sharpness: at most half, as it should be.",
                         "That is 0.10 times the 0.4000 of noise: at most a fifth, as it should be."]
    assert said[3].startswith(f"The kernel distance in {NASTY} features is 0.0900")
    assert said[4].endswith("generator's sharpness: more than half, which is too much.")
    assert said[5].endswith("of noise: more than a fifth, which is too much.")
    assert describe_comparison(EMPTY) == ["Too few held-out images to judge what it draws; raise split.validation."]


def test_words_where_half_of_blurred_cannot_be_asked():
    said = describe_comparison(pd.concat([make_table(sigma=0.0), make_table(sigma=0.0, encoder="y")]))
    assert len(said) == 5 and not any("times" in sentence and "blurred" in sentence for sentence in said)
    assert said[-1] == ("What it draws is as sharp as real images or noisier, so there is no blurred reference, and half of its distance "
                        "cannot be asked.")
    unseen = describe_comparison(make_table(blurred=-0.002))[1]
    assert unseen == ("The real ones blurred to the generator's sharpness are no farther (−0.0020) than real training images: these "
                      "features do not see the difference, so half of it cannot be asked.")


def test_tables_of_several_runs_are_one():
    assert list(judged({"a": make_table()}).columns) == COLUMNS
    both = judged({"a": make_table(), "b": make_table()})
    assert both["run"].tolist() == ["a"] * 4 + ["b"] * 4 and both["kind"].iloc[1] == "real training images"
    assert judged({"a": EMPTY, "b": make_table()})["run"].tolist() == ["b"] * 4
