"""Notebook 08: every training is shown, and nothing is ranked that the intervals do not carry."""

import numpy as np
import pandas as pd
import pytest

from lib.report.ablations import MEAN, comparison_table, mixing_table, plot_runs, worth_by_class
from lib.report.ablations_words import describe_comparison, describe_grid, describe_mixing, describe_runs

pytestmark = pytest.mark.filterwarnings("error")
NASTY = "<script>a_b*c$x^2$ \\alpha & 日本"
NAN = float("nan")
FEW = "not estimable: 12 positives, needs 20"
AGAINST = {"real": {"more": "real"}}


def study(arms=("real", "more"), networks=("small_cnn",), seeds=(0, 1, 2), groups=("all", "V–VI"), metrics=("auroc",), step=0.1):
    """Frames of per_run, per_arm, differences and worst_groups: arm number i is `step` · i better; "V–VI" is 0.2 under everybody."""
    shown = ["all", *networks] if len(networks) > 1 else list(networks)
    means = {(arm, group): 0.5 + step * i - 0.2 * (group != "all") for i, arm in enumerate(arms) for group in groups}
    runs = pd.DataFrame([(arm, network, seed, metric, group, means[arm, group] + 0.01 * (seed - np.mean(seeds)))
                         for arm in arms for network in networks for seed in seeds for metric in metrics for group in groups],
                        columns=["arm", "architecture", "seed", "metric", "group", "value"])
    estimates = pd.DataFrame([(arm, network, metric, group, value, value - 0.05, value + 0.05, len(seeds), "")
                              for (arm, group), value in means.items() for network in shown for metric in metrics],
                             columns=["arm", "architecture", "metric", "group", "value", "low", "high", "seeds", "note"])
    estimates["arm"] = pd.Categorical(estimates["arm"], arms)
    estimates = estimates.sort_values("arm", kind="stable").astype({"arm": object})
    changes = estimates[estimates["arm"] != arms[0]].assign(baseline=arms[0])
    for name in ("value", "low", "high"):
        changes[name] = changes[name] - [means[arms[0], group] for group in changes["group"]]
    worst = estimates[estimates["group"] != "all"]
    return runs, estimates, changes, worst


def test_table_has_a_row_per_arm_and_network_in_the_studys_order():
    _, estimates, changes, worst = study(("real", NASTY), ("resnet18", "small_cnn"), metrics=("auroc", "macro_f1"))
    table = comparison_table(estimates, changes, worst, metric="macro_f1", metrics=["auroc", "macro_f1"], arms=["real", NASTY],
                             against={"real": {NASTY: "real"}})
    assert list(table.columns) == ["arm", "network", "trainings", "macro F1", "difference from real", "worst group",
                                   "AUROC (mean over classes)"]
    assert table["arm"].tolist() == ["real"] * 3 + [NASTY] * 3 and table["network"].tolist() == [MEAN, "resnet18", "small_cnn"] * 2
    half = "0.500 (0.450–0.550)"
    assert table.iloc[0].tolist() == ["real", MEAN, 3, half, "baseline", "V–VI: 0.300 (0.250–0.350)", half]
    assert table["difference from real"].iloc[4] == "0.100 (0.050–0.150)"


def test_table_of_one_arm_without_groups_and_of_the_not_estimable():
    _, estimates, changes, worst = study(("real",), groups=("all",))
    table = comparison_table(estimates, changes, worst, metric="auroc", metrics=["auroc"], arms=["real"], against={"real": {}})
    assert table.to_dict("records") == [{"arm": "real", "trainings": 3, "AUROC (mean over classes)": "0.500 (0.450–0.550)"}]
    _, estimates, changes, worst = (frame.assign(value=NAN, low=NAN, high=NAN, note=FEW) if "low" in frame else frame for frame in study())
    table = comparison_table(estimates, changes, worst, metric="auroc", metrics=["auroc"], arms=["real", "more"], against=AGAINST)
    assert table.iloc[1].tolist() == ["more", 3] + ["not estimable"] * 3


def test_table_holds_each_arm_against_all_its_baselines():
    _, estimates, changes, worst = study(("real", "classical", "drawn", "by chance"), groups=("all",))
    among = changes.assign(baseline="classical", value=0.2, low=0.1, high=0.3)
    chance = changes[changes["arm"] == "drawn"].assign(baseline="by chance", value=-0.1, low=-0.2, high=0.0)
    against = {"real": {arm: "real" for arm in ("classical", "drawn", "by chance")}, "classical": {"drawn": "classical"},
               "its random subset": {"drawn": "by chance"}}
    table = comparison_table(estimates, pd.concat([changes, among, chance]), worst, metric="auroc", metrics=["auroc"],
                             arms=["real", "classical", "drawn", "by chance"], against=against).set_index("arm")
    assert table.loc["drawn"].tolist()[2:] == ["0.200 (0.150–0.250)", "0.200 (0.100–0.300)", "−0.100 (−0.200 to 0.000)"]
    assert table["difference from classical"].tolist() == ["–", "baseline", "0.200 (0.100–0.300)", "–"]
    assert table["difference from its random subset"].tolist() == ["–", "–", "−0.100 (−0.200 to 0.000)", "–"]


def mixed(groups=("all", "V–VI")):
    """Three ways of mixing: one better for everybody, one of two switches against both of its parents, told from neither."""
    rows = [("drawn+mixup", "drawn", 0.1, 0.02), ("drawn+ramp", "drawn", 0.0, 0.05), ("drawn+ramp+mixup", "drawn+mixup", -0.02, 0.05),
            ("drawn+ramp+mixup", "drawn+ramp", 0.01, 0.05)]
    return pd.DataFrame([(arm, baseline, "small_cnn", "auroc", group, value, value - reach * (1 + 5 * (group != "all")),
                          value + reach * (1 + 5 * (group != "all")), "") for arm, baseline, value, reach in rows for group in groups],
                        columns=["arm", "baseline", "architecture", "metric", "group", "value", "low", "high", "note"])


def test_each_way_of_mixing_is_a_row():
    table = mixing_table(mixed())
    assert table.columns.tolist() == ["arm", "against", "everybody", "V–VI"] and len(table) == 4
    assert table.iloc[0].tolist() == ["drawn+mixup", "drawn", "0.100 (0.080–0.120)", "0.100 (−0.020 to 0.220)"]
    assert table["against"].tolist() == ["drawn", "drawn", "drawn+mixup", "drawn+ramp"]


def test_worth_by_class_keeps_the_order_of_arms_classes_and_groups():
    rows = [(arm, name, group, f"{arm} {name} {group}")
            for arm in ("z", "a") for name in ("nevus", "melanoma") for group in ("V–VI", "I–II")]
    table = worth_by_class(pd.DataFrame(rows, columns=["arm", "class", "group", "worth, in collected images"]))
    assert table.columns.tolist() == ["arm", "class", "V–VI", "I–II"] and table["arm"].tolist() == ["z", "z", "a", "a"]
    assert table.iloc[1].tolist() == ["z", "melanoma", "z melanoma V–VI", "z melanoma I–II"]


def test_mixing_in_words():
    assert describe_mixing(mixed(), ["other+ramp"]) == [
        "drawn+mixup against drawn, by the intervals: better for everybody; not to be told apart for V–VI.",
        "Not to be told from drawn, for everybody or any group: drawn+ramp.",
        "Not to be told from drawn+mixup, for everybody or any group: drawn+ramp+mixup.",
        "Not to be told from drawn+ramp, for everybody or any group: drawn+ramp+mixup.",
        "What the mixing of other+ramp does cannot be seen: no arm without it was trained."]
    assert "worse for everybody" in describe_mixing(mixed().assign(metric="brier"))[0]
    assert describe_mixing(mixed().assign(value=NAN, note=FEW))[-1].startswith("Not estimable for anybody: drawn+mixup")
    assert describe_mixing(mixed().iloc[:0]) == ["No arm of this study mixes generated images in a way of its own."]


def lines(figure, gid):
    return [[line for line in axes.lines if line.get_gid() == gid] for axes in figure.axes]


def test_figure_shows_every_training_and_the_intervals(draw, fits, texts):
    runs, estimates, *_ = study(("real", NASTY))
    figure = plot_runs(runs, estimates, metric="auroc", arms=["real", NASTY], baseline="real")
    draw(figure)
    assert fits(figure) and [axes.get_title(loc="left") for axes in figure.axes] == ["everybody", "V–VI"]
    for panel, group in zip(lines(figure, "run"), ("all", "V–VI"), strict=True):
        for line, arm in zip(panel, ("real", NASTY), strict=True):
            assert sorted(line.get_xdata()) == sorted(runs[(runs["arm"] == arm) & (runs["group"] == group)]["value"])
    np.testing.assert_allclose([line.get_xdata() for line in lines(figure, "interval")[0]], [(0.45, 0.55), (0.55, 0.65)])
    np.testing.assert_allclose([line.get_xdata()[0] for line in lines(figure, "point")[1]], [0.3, 0.4])
    assert "AUROC (mean over classes): higher is better" in texts(figure)


def test_many_arms_networks_and_seeds_stay_within_the_figure(draw, fits, texts):
    arms = ["real", *(f"an arm with a rather long $name$ {i}" for i in range(9))]
    runs, estimates, *_ = study(arms, ("resnet18", "small_cnn"), range(8), ("all", *(f"group {i}" for i in range(5))), step=0.02)
    figure = plot_runs(runs, estimates, metric="auroc", arms=arms, baseline="real")
    draw(figure)
    assert fits(figure) and sum(map(len, lines(figure, "interval"))) == 10 * 2 * 6
    assert sum(len(line.get_xdata()) for panel in lines(figure, "run") for line in panel) == 10 * 2 * 6 * 8
    ticks = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    assert ticks[:3] == ["real", "resnet18", "small_cnn"] and len(ticks) == 30


def test_figure_says_once_why_a_group_is_missing(draw, fits, texts):
    runs, estimates, *_ = study()
    few = estimates["group"] == "V–VI"
    ends = {name: estimates[name].mask(few) for name in ("value", "low", "high")}
    estimates = estimates.assign(note=np.where(few, FEW, ""), **ends)
    figure = plot_runs(runs[runs["group"] == "all"], estimates, metric="auroc", arms=["real", "more"], baseline="real")
    draw(figure)
    assert fits(figure) and texts(figure, "not-estimable") == ["not estimable: 12 positives, needs 20"] and not lines(figure, "run")[1]
    one = estimates.assign(note=[FEW, "", "", "one training seed"]).assign(value=[NAN, 0.3, 0.6, 0.4], low=0.2, high=0.7)
    figure = plot_runs(runs, one, metric="auroc", arms=["real", "more"], baseline="real")
    draw(figure)
    assert texts(figure, "not-estimable") == ["12 positives, needs 20"] and len(lines(figure, "run")[0]) == 1


def test_nothing_to_show(draw):
    runs, estimates, changes, _ = study()
    draw(plot_runs(runs.iloc[:0], estimates.iloc[:0], metric="auroc", arms=[], baseline="real"))
    assert describe_runs(runs.iloc[:0], estimates.iloc[:0], changes.iloc[:0], metric="auroc") == ["There are no results."]
    assert describe_grid(runs.iloc[:0]) == "Nothing was trained."


def test_grid_in_words():
    assert describe_grid(study(networks=("a", "b"))[0]) == "12 trainings: 2 arms, 2 networks, 3 seeds (0, 1 and 2) each."
    assert describe_grid(study(("real",), seeds=(7,))[0]) == "1 training: 1 arm, 1 network, 1 seed (7) each."


def test_runs_in_words():
    runs, estimates, changes, _ = study()
    assert describe_runs(runs, estimates, changes, metric="auroc") == [
        "Everybody: trainings that differ in nothing but their seed have a standard deviation of 0.010 in AUROC (mean over classes).",
        "The arms' means lie between 0.500 (real) and 0.600 (more), 0.100 apart, 10.0 times the spread between trainings; "
        "these two were picked for being furthest apart, so the distance flatters.",
        "Everybody, by the intervals: more is better than real.", "V–VI, by the intervals: more is better than real.",
        "These intervals are not corrected for their number; notebook 09 does that, and names what was declared before.",
    ]


def test_an_interval_with_zero_ranks_nothing():
    runs, estimates, changes, _ = study(("real", "a", "b"), groups=("all",), step=0.004)
    sentences = describe_runs(runs, estimates, changes, metric="auroc")
    assert "0.008 apart, less than the spread between trainings" in sentences[1]
    assert sentences[2] == "Everybody, by the intervals: a and b are not to be told from real."
    assert not any(word in " ".join(sentences) for word in ("better", "worse", "best"))


def test_one_training_tells_nothing_of_the_spread_and_one_arm_nothing_of_differences():
    runs, estimates, changes, _ = study(seeds=(0,))
    assert describe_runs(runs, estimates, changes, metric="auroc")[0].startswith("With one training per arm and network nothing is known")
    runs, estimates, changes, _ = study(("real",))
    assert describe_runs(runs, estimates, changes, metric="auroc")[1:] == ["There is nothing to compare: only the baseline was trained."]
    assert describe_comparison(changes) == ["There is nothing to compare: only the baseline was trained."]


def test_not_estimable_in_words():
    runs, estimates, changes, _ = (frame.assign(value=NAN, note=FEW) if "note" in frame else frame for frame in study(groups=("all",)))
    assert describe_runs(runs, estimates, changes, metric="auroc")[:2] == [
        "AUROC (mean over classes) for everybody is not estimable (12 positives, needs 20).",
        "Everybody: not estimable (12 positives, needs 20).",
    ]
    assert describe_comparison(changes) == ["Not estimable against real in any measure: more."]


def test_arms_that_no_measure_tells_apart_share_a_sentence():
    _, _, changes, _ = study(("real", "a", "b", "c"), groups=("all",), metrics=("auroc", "brier"), step=0.02)
    assert describe_comparison(changes) == [
        "c against real, everybody, by the intervals: better in AUROC (mean over classes); worse in Brier score.",
        "Not to be told from real for everybody in any of 2 measures: a and b."]


def test_lower_is_better_where_the_measure_says_so():
    runs, estimates, changes, _ = study(metrics=("brier", "auroc"))
    assert describe_comparison(changes) == [
        "more against real, everybody, by the intervals: better in AUROC (mean over classes); worse in Brier score."]
    assert "more is worse than real" in describe_runs(runs, estimates, changes, metric="brier")[2]
