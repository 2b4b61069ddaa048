"""House style and image grids."""

import matplotlib
import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_rgb
from matplotlib.text import Text

from lib.report.grids import cell_grid, small_picture
from lib.report.style import arm_colours, arm_markers, group_colours, house_style, new_figure, printable, shorten, text_on, wrap

pytestmark = pytest.mark.filterwarnings("error")


def test_colours_belong_to_places_and_groups_darken():
    assert arm_colours(["a", "b"]) == dict(list(arm_colours(["a", "b", "c"]).items())[:2])
    assert len(set(arm_colours("abcdefgh").values())) == len(set(arm_markers("abcdefgh").values())) == 8
    shades = group_colours(["I", "II", "III", "unknown"])
    light = [sum(to_rgb(shades[group])) for group in ("I", "II", "III")]
    assert light == sorted(light, reverse=True) and len(set(light)) == 3
    assert group_colours(["only"]).keys() == {"only"} and group_colours([]) == {}
    assert text_on("white") != text_on("black")


def test_wrap_shorten():
    assert wrap("basal cell carcinoma", 12) == "basal cell\ncarcinoma"
    long = wrap("a rather long diagnosis name number 11", 12, 2)
    assert long.count("\n") == 1 and "…" in long and long.endswith("11") and max(map(len, long.split("\n"))) <= 12
    assert wrap("", 10) == "" and wrap("x" * 50, 10, 1) == shorten("x" * 50, 10)
    assert len(shorten("abcdefghij", 6)) == 6


def test_signs_that_the_font_lacks_are_replaced():
    assert printable("naïve αβγ –≥") == "naïve αβγ –≥"
    assert printable("日\x07") == "\ufffd\ufffd" and printable("a\x07b\nc") == "a b\nc"


def test_no_global_setting_is_touched_and_figures_show_themselves(draw):
    before = dict(matplotlib.rcParams)

    @house_style
    def plot():
        figure, axes = new_figure(title="Is <b>this</b> $x$?", height=2, note="A $note$.")
        axes[0, 0].plot([0, 1], label="$a$")
        axes[0, 0].legend()
        return figure

    figure = plot()
    draw(figure)
    assert not any(text.get_parse_math() for text in figure.findobj(Text) if "$" in text.get_text()), "a dollar sign opens no formula"
    data, metadata = figure._repr_png_()
    assert dict(matplotlib.rcParams) == before
    assert data[:8] == b"\x89PNG\r\n\x1a\n" and metadata == {"width": 860, "height": 226, "alt": "Is <b>this</b> $x$?"}


def pictures(count: int, size: int = 40) -> np.ndarray:
    return np.broadcast_to((np.arange(count, dtype=np.uint8) * 3 + 5)[:, None, None, None], (count, size, size, 3)).copy()


def test_cell_grid_shows_each_picture_in_its_cell(samples, draw, texts, fits):
    pixels = pictures(12)
    figure = cell_grid(pixels, samples["label"], samples["group"], row_names=["melanoma", "nevus"], column_names=["I–II", "V–VI"],
                       per_cell=2)
    draw(figure)
    assert texts(figure, "n") == ["n = 1", "none", "none", "n = 4", "n = 2", "n = 1", "none", "n = 4", "none"]
    assert sum(patch.get_gid() == "empty" for patch in figure.axes[0].patches) == 4
    shown = sorted((image.get_extent()[0], image.get_extent()[3], int(image.get_array()[0, 0, 0])) for image in figure.axes[0].images)
    assert len(shown) == 1 + 2 + 2 + 1 + 2 and fits(figure)
    columns, rows = sorted({round(x, 3) for x, _, _ in shown}), sorted({round(y, 3) for _, y, _ in shown})
    assert len(columns) == 5 and len(rows) == 3
    for x, y, value in shown:
        i = (value - 5) // 3
        column = {None: 2, "I–II": 0, "V–VI": 1}[None if pd.isna(samples["group"][i]) else samples["group"][i]]
        assert round(y, 3) == rows[{"melanoma": 0, "nevus": 1}.get(samples["label"][i], 2)]
        assert round(x, 3) in columns[2 * column:2 * column + 2]


def test_cell_grid_is_drawn_alike_twice_and_checks_lengths(samples, draw):
    same = [draw(cell_grid(pictures(12), samples["label"], samples["group"], seed=1)) for _ in range(2)]
    np.testing.assert_array_equal(*same)
    with pytest.raises(ValueError, match="11 pictures, 12 row names"):
        cell_grid(pictures(11), samples["label"], samples["group"])
    draw(cell_grid(pictures(0), samples["label"][:0], samples["group"][:0]))


def test_pictures_of_any_shape_stay_small(draw, fits):
    mixed = [*pictures(3), np.zeros((900, 300, 3), np.uint8)]
    figure = cell_grid(mixed, pd.Series(["a", "$b$", "<c>", "d"]), pd.Series(["x"] * 4), per_cell=1)
    draw(figure)
    assert fits(figure) and len(figure.axes[0].images) == 4
    assert max(max(image.get_array().shape) for image in figure.axes[0].images) <= 256


def test_pictures_are_averaged_down_never_up():
    checker = np.indices((64, 64)).sum(axis=0)[..., None].repeat(3, axis=2) % 2 * 200
    np.testing.assert_allclose(small_picture(checker.astype(np.uint8), 16), 100, atol=1)
    assert small_picture(np.zeros((10, 20, 3), np.uint8), 50).shape == (10, 20, 3)
    with pytest.raises(ValueError, match="uint8 picture"):
        small_picture(np.zeros((4, 4, 3)), 2)
