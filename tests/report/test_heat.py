"""Notebook 08: the map of differences says what the intervals carry, by colour, frame and words."""

import pandas as pd
import pytest
from matplotlib.colors import to_rgb

from lib.report.heat import MEAN, describe_heat, describe_networks, plot_heat

pytestmark = pytest.mark.filterwarnings("error")
NASTY = "<script>a_b*c$x^2$ \\alpha & 日本"
NAN, FEW = float("nan"), "not estimable: 12 positives, needs 20"


def changes(arms=("more", NASTY), heads=("all", "V–VI"), values=((0.05, -0.02), (0.0, NAN)), reach=0.03, column="group", metric="auroc"):
    """A row per arm × head, interval ± reach."""
    rows = [{"arm": arm, "baseline": "real", "architecture": "small_cnn", "metric": metric, "group": "all", column: head, "value": value,
             "low": value - reach, "high": value + reach, "note": FEW if value != value else ""}
            for arm, line in zip(arms, values, strict=True) for head, value in zip(heads, line, strict=True)]
    return pd.DataFrame(rows)


def patches(figure, gid):
    return [patch for patch in figure.axes[0].patches if patch.get_gid() == gid]


def test_every_cell_has_its_difference_and_only_those_apart_from_zero_a_frame(draw, fits, texts):
    figure = plot_heat(changes(), metric="auroc", arms=["real", "more", NASTY])
    draw(figure)
    assert fits(figure) and texts(figure, "difference") == ["+0.050", "−0.020", "0.000"]
    assert texts(figure, "interval")[0] == "+0.020 to +0.080" and "not estimable" in texts(figure)
    assert len(patches(figure, "cell")) == 3 and len(patches(figure, "not-estimable")) == 1
    (frame,) = patches(figure, "apart")
    assert (round(frame.get_x()), round(frame.get_y())) == (0, 0)
    assert [label.get_text() for label in figure.axes[0].get_xticklabels()] == ["everybody", "V–VI"]


def test_better_is_blue_whichever_way_the_measure_runs():
    for metric, better in (("auroc", 0), ("brier", 1)):
        frame = changes(values=((0.05, -0.05), (0.0, 0.0)), metric=metric)
        cells = patches(plot_heat(frame, metric=metric, arms=["more", NASTY]), "cell")
        red, _, blue = to_rgb(cells[better].get_facecolor())
        assert blue > red
        red, _, blue = to_rgb(cells[1 - better].get_facecolor())
        assert red > blue


def test_differences_too_small_to_matter_stay_pale():
    def colour(margin):
        figure = plot_heat(changes(values=((0.01, 0.0), (0.0, 0.0))), metric="auroc", arms=["more", NASTY], margin=margin)
        return sum(to_rgb(patches(figure, "cell")[0].get_facecolor()))

    assert colour(0.2) > colour(0.02) > colour(0.001) - 1e-9


def test_many_arms_and_networks_stay_within_the_figure(draw, fits, texts):
    arms = [f"diffusion_curated+a_rather_long_switch={i}" for i in range(8)]
    networks = ["all", *(f"network_with_a_name_{i}" for i in range(5))]
    frame = changes(arms, networks, [[0.01 * j for j in range(6)]] * 8, column="architecture")
    figure = plot_heat(frame, metric="auroc", arms=arms, columns="architecture")
    draw(figure)
    assert fits(figure) and len(texts(figure, "difference")) == 48 and MEAN in texts(figure)


def test_a_training_that_is_not_there_is_no_zero(draw, texts):
    figure = plot_heat(changes().iloc[:3], metric="auroc", arms=["more", NASTY])
    draw(figure)
    assert "no such training" in texts(figure) and len(texts(figure, "difference")) == 3


def test_nothing_to_compare(draw, texts):
    figure = plot_heat(changes().iloc[:0], metric="auroc", arms=["real"])
    draw(figure)
    assert "There is nothing to compare: only the baseline was trained." in texts(figure)
    assert describe_heat(changes().iloc[:0], metric="auroc") == ["There is nothing to compare: only the baseline was trained."]


def test_map_in_words():
    assert describe_heat(changes(("a", "b"), values=((0.05, -0.2), (0.0, NAN))), metric="auroc") == [
        "Of 3 differences in AUROC (mean over classes), 2 have an interval that leaves zero out; were there none at all, about 0.2 would.",
        "Better: a for everybody (+0.050).", "Worse: a for V–VI (−0.200).", "V–VI: not estimable (12 positives, needs 20)."]
    higher = changes(("a", "b"), values=((0.05, 0.0), (0.0, 0.0)), metric="brier")
    assert describe_heat(higher, metric="brier")[1] == "Worse: a for everybody (+0.050)."


def effects(values, reach=0.02):
    return pd.DataFrame([("more", network, value, value - reach, value + reach, FEW if value != value else "")
                         for network, value in values.items()], columns=["arm", "architecture", "value", "low", "high", "note"])


def test_networks_in_words():
    single = changes(("more",), ("all", "deep", "small"), ((0.02, 0.07, -0.03),), column="architecture")
    assert describe_networks(single, effects({"deep": 0.05, "small": -0.05})) == [
        "more changes AUROC (mean over classes) by +0.070 with deep and −0.030 with small; that depends on the network; apart from "
        "their mean: deep by +0.050 (+0.030 to +0.070)."]
    assert describe_networks(single, effects({"deep": 0.01, "small": -0.01}))[0].endswith("that it depends on the network is not shown.")
    assert describe_networks(single, effects({"deep": NAN, "small": NAN})) == ["more: not estimable (12 positives, needs 20)."]
    assert describe_networks(single, effects({})) == ["One network was trained, so nothing is known about others."]
