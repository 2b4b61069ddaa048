"""Notebook 06: how curation is drawn and told."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_hex

from lib.report.curation import (
    describe_quota,
    describe_random_subset,
    plot_funnel,
    plot_rejected,
    plot_rejection_rates,
    plot_set_scores,
    quota_table,
    rejected_examples,
)
from lib.report.curation_words import (
    STATISTICS,
    describe_closest,
    describe_funnel,
    describe_rejection_rates,
    describe_set_scores,
    statistic_name,
)
from lib.report.style import ALARM

pytestmark = pytest.mark.filterwarnings("error")
NASTY = "<script>a_b*c$x^2$ \\alpha & 日本"


def make_steps(rejected=(0, 30, 0, 10), generated=100, selected=20) -> pd.DataFrame:
    left = generated - np.cumsum(rejected)
    return pd.DataFrame({"step": ["generated", "brightness", "blur", "realism", NASTY, "selected"], "left": [generated, *left, selected],
                         "rejected": [0, *rejected, 0], "unmeasured": [0, 0, 2, 0, 0, 0], "not_judged": [0, 0, 0, 5, 5, 0]})


def make_scores(values: dict, statistic="kernel_distance", encoder="x", floor=(-0.1, 0.2), reason="", group=None, p=np.nan,
                note="") -> pd.DataFrame:
    return pd.DataFrame([{
        "encoder": encoder, "statistic": statistic, "label": label, "group": group, "size": 12, "value": value, "low": value - 0.05,
        "high": value + 0.05, "p_value": p, "floor": 0.0, "floor_low": floor[0], "floor_high": floor[1], "floor_note": note,
        "reason": reason or ("few" if np.isnan(value) else ""),
    } for label, value in values.items()])


def make_rates() -> pd.DataFrame:
    return pd.DataFrame({"label": ["all classes", "nevus", "nevus", NASTY, NASTY], "group": ["I–II", "V–VI", "I–II", "I–II", None],
                         "images": [124, 50, 50, 20, 4], "rejected": [37, 30, 5, 2, 0], "share": [0.3, 0.6, 0.1, 0.1, 0.0],
                         "low": [0.22, 0.46, 0.04, 0.03, 0.0], "high": [0.38, 0.72, 0.21, 0.30, 0.49], "p": [np.nan, 0.001, 1, 0.9, 1],
                         "p_holm": [np.nan, 0.004, 1, 1, 1], "warning": [False, True, False, False, False]})


def colour_of(figure, gid):
    return [to_hex(line.get_color()).lower() for line in figure.findobj(lambda one: one.get_gid() == gid)]


def test_the_funnel_has_a_bar_for_what_is_left_and_what_fell(draw, texts, fits):
    figure = plot_funnel(make_steps())
    draw(figure)
    every = [bar for bars in figure.axes[0].containers for bar in bars]
    bars = {gid: [bar.get_width() for bar in every if bar.get_gid() == gid] for gid in ("left", "rejected")}
    assert fits(figure) and bars == {"left": [100, 100, 70, 70, 60, 20], "rejected": [0, 0, 30, 0, 10, 0]}
    assert "70   −30 (30%)" in texts(figure, "numbers") and "20" in texts(figure, "numbers")
    assert describe_funnel(make_steps()) == [
        "100 images went in and 60 images passed all checks (60.0%).",
        f"Most fell at blur (30) and {NASTY} (10).",
        "Images that could not be measured: 2 by blur.",
        f"Images that were not judged, as there was nothing to judge them by: 5 by realism and 5 by {NASTY}.",
        "Of those that passed 20 were selected for the quota.",
    ]


def test_a_funnel_with_nothing_at_its_end_or_at_its_start(draw):
    draw(plot_funnel(make_steps((0, 0, 0, 100), selected=0)))
    assert describe_funnel(make_steps((0, 0, 0, 100), selected=0))[-1].startswith("Nothing is left: ")
    for nothing in (make_steps().iloc[:0], make_steps((0, 0, 0, 0), generated=0, selected=0)):
        draw(plot_funnel(nothing))
        assert describe_funnel(nothing) == ["No image was generated, so there is nothing to check."]


def test_examples_carry_their_scores(draw, texts, fits):
    pixels = np.arange(12, dtype=np.uint8)[:, None, None, None] * np.ones((1, 8, 8, 3), np.uint8)
    figure = plot_rejected({"blur": (pixels, np.arange(12) / 10), NASTY: (pixels[:1], [np.nan]), "tone": (pixels[:0], [])}, most=5)
    draw(figure)
    shown = [axis.images[0].get_array()[0, 0, 0] for axis in figure.axes if axis.images]
    assert fits(figure) and shown == [0, 1, 2, 3, 4, 0]
    assert "0.400" in texts(figure) and "not measured" in texts(figure) and "tone" not in texts(figure)
    draw(plot_rejected({}))
    table = pd.DataFrame({"verdict": ["blur", "passed", "blur", "tone", "passed"], "score_blur": [3.0, 2.0, 9.0, 2.0, 2.0],
                          "score_tone": [np.nan] * 5})
    chosen = rejected_examples(table, pixels[:5], ["blur", "tone"], most=2)
    assert chosen["blur"][0][:, 0, 0, 0].tolist() == [2, 0] and chosen["blur"][1] == [9, 3] and np.isnan(chosen["tone"][1]).all()


def make_drawn(*cells) -> pd.DataFrame:
    """label, tone, verdict, selected, how many."""
    return pd.DataFrame([{"label": label, "tone_key": tone, "verdict": verdict, "selected": selected}
                         for label, tone, verdict, selected, times in cells for _ in range(times)])


def test_what_was_wanted_beside_what_there_is():
    drawn = make_drawn(("nevus", "5", "passed", True, 3), ("nevus", "5", "passed", False, 1), ("nevus", "6", "passed", True, 1),
                       ("nevus", "6", "blur", False, 4), ("wart", None, "passed", True, 2), ("other", "1", "passed", False, 1))
    wanted = pd.DataFrame([("nevus", "6", 4), ("nevus", "5", 3), ("wart", None, 5), ("melanoma", "6", 2), ("wart", "6", 0)],
                          columns=["label", "tone", "images"])
    cells = quota_table(drawn, wanted)
    assert cells.values.tolist() == [["nevus", "6", 4, 5, 1, 1], ["nevus", "5", 3, 4, 4, 3], ["wart", None, 5, 2, 2, 2],
                                     ["melanoma", "6", 2, 0, 0, 0], ["other", "1", 0, 1, 1, 0]]
    assert describe_quota(cells) == [
        "6 of 14 images wanted were selected. 3 cells of 5 are short: nevus, tone 6 (1 of 4), wart (2 of 5) and melanoma, tone 6 (0 of 2).",
        "In 2 of them fewer were generated than wanted, whatever the checks say: raise generation.over_generation or generation.attempts.",
        "In 1 of them enough were generated and the checks took them: see what they rejected, then draw more or train again.",
    ]
    assert describe_quota(cells.iloc[[1]]) == ["3 of 3 images wanted were selected. Every cell has as many as it asked for."]
    alone = make_drawn(("wart", None, "passed", True, 2))
    assert quota_table(alone, wanted.iloc[[2]]).values.tolist() == [["wart", None, 5, 2, 2, 2]]


def test_what_the_random_subset_shares_with_the_selection_is_said():
    drawn = make_drawn(("nevus", "5", "passed", True, 3), ("nevus", "5", "blur", False, 2))
    drawn = drawn.assign(random_subset=[True, False, True, True, False])
    assert describe_random_subset(drawn) == ["2 of the 3 images drawn by chance were selected too: arms with the one set and with the "
                                             "other differ by the rest alone."]
    assert describe_random_subset(drawn.assign(random_subset=False)) == []


def test_a_group_that_is_rejected_more_stands_out(draw, texts, fits):
    figure = plot_rejection_rates(make_rates(), labels=["nevus"], groups=["I–II", "V–VI"])
    draw(figure)
    said = {text.get_text(): text.get_color() for text in figure.axes[0].texts if text.get_gid() == "numbers"}
    assert fits(figure) and list(said) == ["0.30 (0.22–0.38)   37 of 124", "0.10 (0.04–0.21)   5 of 50", "0.60 (0.46–0.72)   30 of 50",
                                           "0.10 (0.03–0.30)   2 of 20", "0.00 (0.00–0.49)   0 of 4"]
    assert [colour == ALARM for colour in said.values()] == [False, False, True, False, False]
    overall = next(line for line in figure.axes[0].lines if line.get_gid() == "overall")
    assert overall.get_xdata()[0] == pytest.approx(37 / 124)
    draw(plot_rejection_rates(make_rates().iloc[:0]))
    assert describe_rejection_rates(make_rates()) == [
        "Warning: V–VI of nevus is rejected more than the other groups, 60% (46% to 72%; p = 0.004 after Holm); the checks would undo the "
        "balance that was drawn."]
    assert describe_rejection_rates(make_rates().iloc[2:])[0].startswith("No group is rejected more")
    assert describe_rejection_rates(make_rates().iloc[:1])[0].startswith("Each class was generated for one group alone")


def test_points_outside_the_band_on_the_bad_side_are_red(draw, texts, fits):
    values = {None: 0.5, "nevus": 0.1, "melanoma": -0.3, NASTY: np.nan}
    both = pd.concat([make_scores(values), make_scores(values, "precision")])
    figure = plot_set_scores(both, "x", ["kernel_distance", "precision"], labels=["melanoma", "nevus"])
    draw(figure)
    alarm = ALARM.lower()
    assert fits(figure) and [axis.get_title(loc="left") for axis in figure.axes] == ["kernel distance", "precision"]
    assert [colour == alarm for colour in colour_of(figure, "point")] == [True, False, False, False, True, False]
    assert texts(figure, "not-estimable") == ["not estimable"] * 2
    assert len(figure.findobj(lambda one: one.get_gid() == "floor")) == 6


def test_scores_by_group_and_scores_of_nothing(draw, fits, texts):
    parts = [make_scores({"nevus": 0.1, NASTY: 0.3}, group=group) for group in ("I–II", "V–VI", "unknown")]
    figure = plot_set_scores(pd.concat([make_scores({None: 0.1}), *parts]), "x", ["kernel_distance"], groups=True)
    draw(figure)
    assert fits(figure) and len(colour_of(figure, "point")) == 6 and "V–VI" in texts(figure)
    figure = plot_set_scores(make_scores({None: np.nan}), "x", ["kernel_distance"])
    draw(figure)
    assert "None of this is estimable: few." in texts(figure)
    draw(plot_set_scores(make_scores({None: 0.1}), "other", ["kernel_distance"]))


def test_published_names_belong_to_the_published_network():
    assert statistic_name("kernel_distance", "inception") == "kernel distance (KID)"
    assert statistic_name("frechet_distance", "phantom-siglip") == "Fréchet distance"
    assert {bad for _, bad in STATISTICS.values()} == {"low", "high", "both"}


def test_words_about_sets():
    values = {None: 0.5, "nevus": 0.1, "melanoma": 0.4, "wart": np.nan}
    said = describe_set_scores(make_scores(values), "x", ["kernel_distance", "recall"])
    halves = "(two halves of the real images: −0.100 to 0.200, 12 images on each side)"
    assert said == [
        f"Kernel distance (x) of all classes: 0.500 (0.450–0.550), outside the band of real images on the worse side {halves}.",
        "Kernel distance (x): of 2 classes that can be judged alone, melanoma lies outside the band of real images on the worse side.",
        "Not estimable: kernel distance of wart (few).",
    ]
    inside = describe_set_scores(make_scores({None: 0.1}), "x", ["kernel_distance"])[0]
    assert ", not outside the band of real images" in inside and "no worse" not in inside
    flagged = make_scores({None: 0.1}, reason="flagged: few images")
    assert "; flagged: few images)" in describe_set_scores(flagged, "x", ["kernel_distance"])[0]


def test_words_about_sets_that_were_tested():
    """Inside the band and yet different: the test of all images has the last word, with Holm's correction over the classes."""
    tested = pd.concat([make_scores({None: 0.1, "nevus": 0.1, "wart": 0.1}, p=0.01), make_scores({"melanoma": 0.4}, p=0.03)])
    said = describe_set_scores(tested, "x", ["kernel_distance"])
    assert "p = 0.010 that real and generated images are drawn alike (two halves of the real images: " in said[0]
    assert said[1].endswith("that can be judged alone, nevus, wart and melanoma differ from real images (p under 0.05 after Holm).")
    said = describe_set_scores(tested.assign(p_value=[0.9, 0.02, 0.5, 0.02]), "x", ["kernel_distance"])
    assert said[1].endswith("none differs from real images (p under 0.05 after Holm).")


def test_words_about_what_the_checks_say():
    scores = make_scores({None: 0.5}, "rejected", "checks", floor=(0.0, 0.2), note="of another mix")
    assert describe_set_scores(scores, "checks", ["rejected"])[0] == (
        "Share rejected of all classes: 0.500 (0.450–0.550), of 12 generated images that were measured (held-out real images "
        "0.000 (0.000–0.200), of another mix).")
    nothing = scores.assign(floor=np.nan, floor_low=np.nan, floor_high=np.nan, floor_note="no real image was measured")
    assert describe_set_scores(nothing, "checks", ["rejected"])[0].endswith("that were measured (no real image was measured).")


def test_words_about_closest_pairs():
    assert describe_closest([0.5, 1.5, np.nan, 1.0]) == (
        "Where 5 % of held-out real images come within a distance of 1 of a training image, 33.3% of 3 generated images do; the nearest "
        "lies at 0.50.")
    assert describe_closest([np.nan]) == "No distance to a training image could be measured."
