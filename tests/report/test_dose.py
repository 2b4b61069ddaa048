"""Notebook 08: the curve over doses shows each dose's interval, and no dose is picked."""

import numpy as np
import pandas as pd
import pytest

from lib.report.dose import describe_dose, dose, plot_dose
from lib.stats.dose import halvings

pytestmark = pytest.mark.filterwarnings("error")
NASTY = "<script>a_b*c$x^2$ \\alpha & 日本"
NAN, FEW = float("nan"), "not estimable: 12 positives, needs 20"
RATIOS = (0, 1, 3, 10)


def response(series=("drawn",), groups=("all", "V–VI"), values=(0.8, 0.82, 0.9, 0.7), reach=0.03, metric="auroc"):
    rows = [(name, ratio, f"{name}+ratio={ratio}", metric, group, value, value - reach, value + reach,
             *((value - values[0] + shift for shift in (0, -reach, reach)) if ratio else (NAN,) * 3), FEW if value != value else "")
            for name in series for group in groups for ratio, value in zip(RATIOS, values, strict=True)]
    return pd.DataFrame(rows, columns=["series", "ratio", "arm", "metric", "group", "value", "low", "high", "difference", "difference_low",
                                       "difference_high", "note"])


def trends(value=-0.02, reach=0.01, series=("drawn",), groups=("all", "V–VI"), metric="auroc", note=""):
    return pd.DataFrame([(name, 4, metric, group, value, value - reach, value + reach, 0.01, note) for name in series for group in groups],
                        columns=["series", "doses", "metric", "group", "value", "low", "high", "p_value", "note"])


def lines(figure, gid):
    return [[line for line in axes.lines if line.get_gid() == gid] for axes in figure.axes[:-1]]


def test_every_dose_is_drawn_at_its_halvings_with_its_interval(draw, fits, texts):
    figure = plot_dose(response(), metric="auroc", arms=["real", "drawn"])
    draw(figure)
    assert fits(figure) and [axes.get_title(loc="left") for axes in figure.axes[:2]] == ["everybody", "V–VI"]
    for panel in lines(figure, "response"):
        np.testing.assert_allclose(panel[0].get_xdata(), [halvings(ratio) for ratio in RATIOS])
        np.testing.assert_allclose(panel[0].get_ydata(), [0.8, 0.82, 0.9, 0.7])
    bars = [part for part in figure.axes[0].collections if part.get_gid() == "interval"]
    np.testing.assert_allclose([segment[:, 1] for segment in bars[0].get_segments()], [(v - 0.03, v + 0.03) for v in (0.8, 0.82, 0.9, 0.7)])
    assert "higher is better" in " ".join(texts(figure)) and "10" in texts(figure)


def test_many_series_and_groups_stay_within_the_figure(draw, fits, texts):
    series = ["drawn", NASTY, *(f"diffusion_curated+another_long_name_{i}" for i in range(4))]
    figure = plot_dose(response(series, ("all", *(f"group {i}" for i in range(3)))), metric="auroc", arms=series)
    draw(figure)
    assert fits(figure) and all(len(panel) == 6 for panel in lines(figure, "response")[:4])
    starts = {tuple(line.get_xdata()) for line in lines(figure, "response")[0]}
    assert len(starts) == 6                                             # beside each other, none covers another


def test_a_group_without_enough_images_says_so(draw, texts):
    frame = response()
    few = frame["group"] == "V–VI"
    numbers = ["value", "low", "high", "difference", "difference_low", "difference_high"]
    frame[numbers] = frame[numbers].mask(few)
    frame["note"] = np.where(few, FEW, "")
    figure = plot_dose(frame, metric="auroc", arms=["drawn"])
    draw(figure)
    assert texts(figure, "not-estimable") == ["not estimable: 12 positives, needs 20"]
    slopes = trends()
    assert describe_dose(frame, slopes, metric="auroc")[1] == "drawn, V–VI: not estimable (12 positives, needs 20)."


def test_nothing_to_show(draw):
    draw(plot_dose(response().iloc[:0], metric="auroc", arms=[]))
    assert describe_dose(response().iloc[:0], trends().iloc[:0], metric="auroc") == [
        "No arm was trained at several ratios of generated to real images."]


def test_doses_in_words():
    assert [dose(ratio) for ratio in (0, 0.5, 10)] == ["none", "0.5:1", "10:1"]
    said = describe_dose(response(groups=("all",)), trends(groups=("all",)), metric="auroc")
    assert said == [
        "drawn, everybody: better than without any at 3:1 and worse than without any at 10:1; each halving of the real share changes AUROC "
        "(mean over classes) by −0.020 (−0.030 to −0.010): more is worse over these doses.",
        "The best of these doses is not picked: chance would have helped to pick it, and its value would flatter."]
    said = describe_dose(response(groups=("all",), metric="brier"), trends(groups=("all",), metric="brier"), metric="brier")[0]
    assert "better than without any at 10:1 and worse than without any at 3:1" in said and "more is better over these doses" in said


def test_where_intervals_hold_zero_nothing_is_said_to_help():
    said = describe_dose(response(groups=("all",), reach=0.2), trends(0.001, 0.01, groups=("all",)), metric="auroc")[0]
    assert "no dose (1:1, 3:1 and 10:1) is told from none" in said and said.endswith("no trend is shown.")
    later = response(groups=("all",))
    later = later[later["ratio"] > 0].assign(**{name: later[name].mask(later["ratio"] == 1) for name in later if "difference" in name})
    said = describe_dose(later, trends(groups=("all",)), metric="auroc")[0]                  # the arm real was not trained
    assert "better than with 1:1 at 3:1 and worse than with 1:1 at 10:1" in said and "without any" not in said
    unsure = later.assign(difference_low=-0.5, difference_high=0.5)
    assert "no dose (3:1 and 10:1) is told from 1:1" in describe_dose(unsure, trends().iloc[:0], metric="auroc")[0]
    two = describe_dose(response(groups=("all",)), trends().iloc[:0], metric="auroc")[0]
    assert "halving" not in two
    missing = describe_dose(response(groups=("all",)), trends(NAN, groups=("all",), note=FEW), metric="auroc")[0]
    assert missing.endswith("; the trend is not estimable (12 positives, needs 20).")
