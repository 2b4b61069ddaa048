"""The verdict paragraph: each sentence follows from a number, and a better arm is held against simpler ones."""

import dataclasses
import math

import pandas as pd
import pytest

from lib.metrics.estimate import Estimate
from lib.report.baselines import generated_arms
from lib.report.comparisons import title_of
from lib.report.conclusion import conclude, control_pairs
from lib.report.declared import describe_declaration
from lib.stats.fairness import GAP, WORST
from lib.stats.verdict import Verdict
from lib.study import Primary

ARMS = ["real", "classical", "oversampled", "diffusion_curated", "diffusion_random", "diffusion_curated+mixup", "gan_curated"]
BETTER = Verdict(
    kind="better", sentence="", metric="auroc", group="V–VI", arm="diffusion_curated", baseline="real", architecture="small_cnn",
    margin=0.02, difference=Estimate(0.05, 0.03, 0.07),
    arm_value=0.8, baseline_value=0.75, n_images=300, n_clusters=150, n_positives=40, seeds=3,
    p_value=0.001, p_adjusted=0.001, p_equivalence=1.0, p_equivalence_adjusted=1.0,
)
EMPTY = pd.DataFrame(columns=["arm", "baseline", "architecture", "quantity", "metric", "group", "before", "after", "value", "low", "high",
                              "note", "reading", "kind", "detectable"])
NAME = "In AUROC (mean over classes) for V–VI, diffusion_curated"
ALONE = (f"{NAME} is better, but no simpler arm was trained beside it (classical or oversampled), so it is not shown that generated images "
         "were needed.")
ONCE = ("Trainings of an arm that differ in their seed alone share its generator and its generated images, so no interval holds what "
        "learning and drawing them again would change.")
ROW = {"arm": "diffusion_curated", "metric": "auroc", "label": "all", "group": "V–VI", "n_real": 100, "n_added": 500, "fraction": 1.4,
       "low": 1.22, "high": 1.71, "images": 40.0, "images_low": 22.0, "images_high": 71.0, "limit": 4.0, "exponent": 0.0, "kind": "worth",
       "reason": ""}
RATES = pd.DataFrame([ROW, ROW | {"group": "I–II", "images": 7.0}, ROW | {"label": "nevus", "images": 8.0}])
SAID = "In AUROC (mean over classes) for V–VI, diffusion_curated is shown to be better than real: the difference is 0.050 (0.030–0.070)."


def concluded(*verdicts, **tables) -> str:
    power = pd.DataFrame([{"metric": one.metric, "group": one.group, "detectable": 0.036} for one in verdicts])
    given = {"fairness": EMPTY, "controls": EMPTY, "readings": EMPTY, "power": power}
    return conclude(verdicts, **(given | tables))


def changed(**values):
    low, high = values.pop("interval")
    return dataclasses.replace(BETTER, difference=Estimate(values.pop("value"), low, high), **values)


def test_one_clear_answer():
    assert concluded(BETTER) == f"1 comparison was declared before the run. {SAID} {ALONE} {ONCE}"
    assert concluded(BETTER, notes=["Phantoms."]).endswith("Phantoms.")


@pytest.mark.parametrize(("kind", "words"), [
    ("worse", "is shown to be worse than real"), ("equivalent", "makes no difference that matters against real"),
    ("cannot tell", "cannot be told from real"),
])
def test_the_words_of_each_answer(kind, words):
    text = concluded(changed(kind=kind, value=0.01, interval=(-0.02, 0.03)))
    assert f"diffusion_curated {words}: the difference is 0.010 (−0.020 to 0.030)." in text and "better" not in text
    assert ("a study of this size finds a difference of 0.036" in text) == (kind == "cannot tell")


def test_what_correction_took_away_is_said_and_not_brought_back():
    lost = dataclasses.replace(BETTER, kind="cannot tell", declared=3, p_adjusted=0.081)
    text = concluded(lost, exchange=RATES)
    assert (f"{NAME} cannot be told from real: the difference is 0.050 (0.030–0.070) before correction for 3 declared comparisons "
            "(adjusted p = 0.081).") in text
    assert "collected" not in text and "collected" in concluded(BETTER, exchange=RATES)
    small = changed(kind="cannot tell", value=0.001, interval=(-0.01, 0.012), declared=2, p_equivalence_adjusted=0.03)
    assert "0.001 (−0.010 to 0.012), within 0.02, before correction for 2 declared comparisons (adjusted p = 0.030)." in concluded(small)
    open_ = changed(kind="cannot tell", value=0.01, interval=(-0.02, 0.04), declared=3)
    assert "correction" not in concluded(open_) and "collected" in concluded(open_, exchange=RATES)


def test_a_second_list_is_not_declared_before_the_run():
    text = concluded(BETTER, lists=2)
    assert text.startswith("1 comparison was declared. These outputs were judged by 2 different lists of comparisons, so none counts as "
                           "declared before the run: take what follows as exploration. In AUROC")


def test_nothing_to_be_found_and_nothing_to_estimate():
    unsure = changed(kind="cannot tell", value=0.0, interval=(-0.5, 0.5), group="all")
    text = concluded(unsure, power=pd.DataFrame([{"metric": "auroc", "group": "all", "detectable": math.inf}]))
    assert "finds no difference in AUROC (mean over classes) for everybody 80% of the time; 0.02 was declared to matter." in text
    missing = dataclasses.replace(BETTER, kind="cannot tell", difference=Estimate.missing("12 positives, needs 20", n=12, confidence=0.95))
    assert "diffusion_curated against real is not estimable (12 positives, needs 20)." in concluded(missing)


def controls(**intervals) -> pd.DataFrame:
    return pd.DataFrame([{"arm": "diffusion_curated", "baseline": name, "architecture": "small_cnn", "metric": "auroc", "group": "V–VI",
                          "value": sum(ends) / 2, "low": ends[0], "high": ends[1], "note": ""} for name, ends in intervals.items()])


def test_a_better_arm_is_held_against_simpler_ones():
    text = concluded(BETTER, controls=controls(classical=(0.01, 0.03), oversampled=(-0.01, 0.03), diffusion_random=(-0.04, -0.02)))
    assert f"{NAME} is also ahead of classical." in text
    assert (f"{NAME} is not shown to be ahead of oversampled (0.010 (−0.010 to 0.030)) and diffusion_random (−0.030 (−0.040 to −0.020)), "
            "so the same may be had by simpler means.") in text
    assert "ahead of classical (not estimable), so the same" in concluded(BETTER, controls=controls(classical=(math.nan, math.nan)))
    worse = dataclasses.replace(BETTER, kind="worse")
    assert "ahead of" not in concluded(worse, controls=controls(classical=(0.01, 0.03)))


def test_a_better_arm_without_a_simpler_one_beside_it():
    assert ALONE in concluded(BETTER) and ALONE in concluded(BETTER, controls=controls(diffusion_random=(0.01, 0.03)))
    assert "no simpler arm" not in concluded(BETTER, controls=controls(oversampled=(-0.01, 0.03)))
    against = dataclasses.replace(BETTER, baseline="classical", kind="cannot tell")
    assert "no simpler arm" not in concluded(BETTER, against)                   # declared itself, so it is no control
    assert "no simpler arm" not in "".join(concluded(dataclasses.replace(BETTER, arm=arm)) for arm in ("classical", "collected"))


def test_no_interval_holds_drawing_again():
    assert ONCE in concluded(BETTER) and ONCE in concluded(dataclasses.replace(BETTER, arm="classical", baseline="gan_curated"))
    assert "share its generator, so no interval holds what learning it again" in concluded(
        dataclasses.replace(BETTER, arm="diffusion_uncurated+on_the_fly"))
    assert "share its" not in concluded(dataclasses.replace(BETTER, arm="classical"))


def test_the_controls_that_were_trained():
    primaries = [Primary(metric="auroc", arm=arm, baseline="real") for arm in ("diffusion_curated", "classical")]
    pairs = [("diffusion_curated", name) for name in ("classical", "oversampled", "diffusion_random")]
    assert control_pairs(primaries, ARMS) == pairs
    against = [Primary(metric="auroc", arm="diffusion_curated", baseline="classical")]
    assert control_pairs(against, ARMS) == pairs[1:] and control_pairs(primaries[1:], ARMS) == []
    assert generated_arms([*ARMS, "synthetic_only", "collected"]) == [*ARMS[3:], "synthetic_only"]


def test_what_it_is_worth_in_collected_images():
    text = concluded(BETTER, exchange=RATES)
    assert "diffusion_curated for V–VI: 500 added images ≈ 40 (22–71) collected ones." in text and text.count("collected ones") == 1
    silent = concluded(BETTER, exchange=RATES.assign(kind="not estimable", reason="the curve is flat"))
    assert "What diffusion_curated is worth for V–VI is not estimable: the curve is flat." in silent
    assert "collected" not in concluded(BETTER, exchange=RATES.assign(arm="gan_curated")) + concluded(BETTER)


def fairness(low: float, high: float) -> pd.DataFrame:
    return pd.DataFrame([{"arm": "diffusion_curated", "baseline": "real", "architecture": "small_cnn", "quantity": GAP, "metric": "auroc",
                          "before": 0.1, "after": 0.06, "value": -0.04, "low": low, "high": high, "note": ""}])


def test_fairer_or_not_to_be_told():
    fairer = ("diffusion_curated is fairer than real in the gap between groups (0.100 → 0.060, change −0.040 (−0.060 to −0.020); not "
              "corrected for the number of changes looked at).")
    unsure = "Whether diffusion_curated is fairer than real in the {} cannot be told: {} no change."
    assert fairer in concluded(BETTER, fairness=fairness(-0.06, -0.02))
    assert unsure.format("gap between groups", "its interval includes") in concluded(BETTER, fairness=fairness(-0.06, 0.02))
    wide = fairness(-0.06, 0.02)
    both = concluded(BETTER, fairness=pd.concat([fairness(-0.06, -0.02), wide.assign(quantity=WORST)]))
    assert fairer in both and unsure.format("worst group", "its interval includes") in both       # one that is known hides no other
    two = concluded(BETTER, fairness=pd.concat([wide, wide.assign(quantity=WORST)]))
    assert unsure.format("gap between groups or the worst group", "their intervals include") in two
    assert "fairer" not in concluded(BETTER, fairness=fairness(-0.06, -0.02).assign(arm="classical"))       # nobody declared that arm


def test_readings_and_one_seed():
    read = pd.DataFrame([{"reading": reading, "metric": "auroc_positive", "group": "all", "arm": "classical", "baseline": "real",
                          "kind": kind} for reading, kind in (("malignant", "worse"), ("benign", "cannot tell"))])
    words = "counted as malignant or counted as benign"
    ranking = f"In the ranking of what to act on, by {title_of('auroc_positive')}, "
    assert (f"{ranking}the answer on classical against real depends on whether actinic keratosis is {words}."
            in concluded(BETTER, readings=read))
    assert f"{ranking}no answer changes with actinic keratosis {words}." in concluded(BETTER, readings=read.assign(kind="worse"))
    assert "keratosis" not in concluded(BETTER, readings=read.iloc[:1])                  # nothing to hold it against
    assert concluded(dataclasses.replace(BETTER, seeds=1)).endswith("as there is one training per arm.")


def test_what_speaks_against_a_declaration():
    clean = describe_declaration("ab", commit="1234", overrides=False)
    assert clean == ["This list has the SHA-256 ab; the study file at commit 1234 must give the same."]
    assert "The files differ from that commit, so it proves nothing" in describe_declaration("ab", commit="1234+", overrides=False)[1]
    assert "not under version control" in describe_declaration("ab", commit="unknown", overrides=False)[1]
    text = " ".join(describe_declaration("ab", commit="1234", overrides=True, lists=3))
    assert "given on the command line" in text and "2 other lists came before it on these very outputs." in text
