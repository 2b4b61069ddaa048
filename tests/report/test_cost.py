"""Notebook 08: the price of a gain is a number only where something was gained, and has an upper end only where that is sure."""

import math

import pandas as pd
import pytest

from lib.report.cost import cost_table, describe_cost, plot_cost, price_gains

pytestmark = pytest.mark.filterwarnings("error")
NAN = float("nan")
ARMS = ["real", "oversampled", "diffusion_curated", "classical", "collected"]        # gains surely, maybe, loses, unknown
WORDS = {"metric": "auroc", "whom": "V–VI"}


def spent(**changes):
    frame = pd.DataFrame({"arm": ARMS, "training": [2.0, 2, 2, 3, 2], "generator": [0.0, 10, 10, 0, 4],
                          "devices": [("CPU",)] * 5, "unknown": [()] * 5})
    return frame.assign(**changes)


def gains(metric="auroc", sign=1):
    ends = [(0.04, 0.02, 0.06), (0.02, -0.01, 0.05), (-0.03, -0.05, -0.01), (NAN, NAN, NAN)]
    return pd.DataFrame([(arm, "real", metric, sign * value, *sorted((sign * low, sign * high)))
                         for arm, (value, low, high) in zip(ARMS[1:], ends, strict=True)],
                        columns=["arm", "baseline", "metric", "value", "low", "high"])


def costs(metric="auroc", sign=1, **changes):
    return price_gains(spent(**changes), gains(metric, sign), metric=metric, baseline="real")


def test_price_is_minutes_over_points():
    table = costs().set_index("arm")
    assert table.loc["oversampled", ["together", "gain", "price", "price_low", "price_high"]].tolist() == pytest.approx([12, 4, 3, 2, 6])
    assert table.loc["diffusion_curated", ["price", "price_low"]].tolist() == pytest.approx([6, 2.4])
    assert math.isinf(table.loc["diffusion_curated", "price_high"])
    assert table.loc[["classical", "collected", "real"], "price"].isna().all()
    assert table["why"].tolist() == ["baseline", "", "", "nothing gained", "gain not estimable"]


def test_a_measure_that_should_fall_gains_by_falling():
    pd.testing.assert_frame_equal(costs("brier", -1), costs())


def test_an_unknown_time_has_no_price():
    table = costs(generator=[0.0, NAN, 10, 0, 4], unknown=[(), ("03_lora",), (), (), ()]).set_index("arm")
    assert table.loc["oversampled", "why"] == "time not known" and math.isnan(table.loc["oversampled", "price"])
    said = describe_cost(costs(generator=[0.0, NAN, 10, 0, 4]), spent(unknown=[(), ("03_lora",), (), (), ()]), threads=1, **WORDS)
    assert said[-1] == "How long 03_lora took is not known."


def test_table_reads():
    table = cost_table(costs()).set_index("arm")
    assert table["minutes per point gained"].tolist() == [
        "baseline", "3.0 (2.0–6.0)", "at least 2.4: that nothing is gained is not ruled out", "not estimable: nothing gained",
        "gain not estimable"]
    assert table["points gained"].tolist() == ["–", "+4.0 (+2.0 to +6.0)", "+2.0 (−1.0 to +5.0)", "−3.0 (−5.0 to −1.0)", "not estimable"]
    assert table.loc["real"].tolist()[:3] == ["2.0", "–", "2.0"]


def test_cost_in_words():
    assert describe_cost(costs(), spent(), threads=1, **WORDS) == [
        "Minutes on one thread of a CPU, notebooks with their figures included; a point is 0.01 of AUROC (mean over classes) for V–VI. A "
        "generator is paid once, however many trainings use its images. A job counts with its last run, so these are at least the minutes "
        "it took: what that run found done by an earlier one (trained networks, drawn images) is not in them.",
        "Minutes for each point gained: oversampled 3.0 (2.0–6.0).",
        "That nothing was gained is not ruled out for diffusion_curated: no upper end to the price.",
        "Nothing gained, so no price: classical.", "What it took to collect the further images of collected is not in these minutes."]
    both = describe_cost(costs(), spent(devices=[("CPU",)] * 4 + [("CPU", "H100")]), threads=4, **WORDS)[0]
    assert both.startswith("Minutes on 4 threads of a CPU and H100,")
    assert describe_cost(costs().iloc[:0], spent().iloc[:0], threads=1, **WORDS) == ["Nothing was trained, so nothing was spent."]


def test_figure_shows_minutes_gains_and_prices(draw, fits, texts):
    figure = plot_cost(costs(), arms=ARMS, **WORDS)
    draw(figure)
    bars, points = figure.axes[:2]
    assert fits(figure) and [bar.get_width() for bar in bars.patches[5:]] == [0, 10, 10, 0, 4]
    assert [bar.get_x() for bar in bars.patches[5:]] == [2, 2, 2, 3, 2]
    drawn = [line.get_xdata().tolist() for line in points.lines if line.get_gid() == "interval"]
    assert drawn == [pytest.approx([2, 6]), pytest.approx([-1, 5]), pytest.approx([-5, -1])]
    assert texts(figure, "price") == ["baseline", "3.0 (2.0–6.0)", "at least 2.4", "nothing gained", "gain not estimable"]


def test_many_arms_stay_within_the_figure(draw, fits):
    arms = [f"diffusion_curated+a_rather_long_switch={i}" for i in range(12)]
    frame = pd.DataFrame({"arm": arms, "training": 2.0, "generator": 10.0, "devices": [("CPU",)] * 12, "unknown": [()] * 12})
    found = pd.DataFrame({"arm": arms, "value": 0.02, "low": 0.01, "high": 0.03})
    figure = plot_cost(price_gains(frame, found, metric="auroc", baseline="real"), arms=arms, **WORDS)
    draw(figure)
    assert fits(figure)


def test_nothing_known_is_said(draw, texts):
    figure = plot_cost(costs(training=NAN), arms=ARMS, **WORDS)
    draw(figure)
    assert "How long the arms took is not known." in texts(figure)
