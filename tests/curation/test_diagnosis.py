"""Sets with a known trouble: the right sentence is said of the right class, and of no other."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.ndimage import gaussian_filter

from lib.curation.diagnosis import BUT, GO_ON, RETRAIN, UNSURE, decide, describe_decision, diagnose, sentences
from lib.curation.image_set import ImageSet
from lib.curation.set_scores import COLUMNS, set_scores
from lib.phantom.render import draw
from lib.phantom.world import sample_world
from lib.study import PhantomOptions
from lib.study.curation import Gate

GATE = Gate()
NAMES = ["blurred", "wrong colour", "collapsed", "not distinct", "copies", "wrong tone"]


N = 24                          # images of each kind of each class


def blurred(pixels: np.ndarray) -> np.ndarray:
    return gaussian_filter(pixels, (0, 1.5, 1.5, 0))


def tinted(pixels: np.ndarray) -> np.ndarray:
    return (pixels * [1, 0.85, 1.1]).clip(0, 255).astype(np.uint8)


def collapsed(pixels: np.ndarray) -> np.ndarray:
    """One picture again and again, with a little noise."""
    return (pixels[:1] + np.random.default_rng(0).normal(0, 4, pixels.shape)).clip(0, 255).astype(np.uint8)


# Class → what is done to its generated pictures, and to their checks' scores. The same phantoms serve for all classes.
PLANTED = {
    "sound":        (None, {}),
    "blurred":      (blurred, {}),
    "wrong colour": (tinted, {}),
    "collapsed":    (collapsed, {}),
    "not distinct": (None, {"agreement": [1.0] * 8 + [0.3] * (N - 8)}),
    "copies":       (None, {"copied": 5}),
    "wrong tone":   (None, {"tone": 32.0}),
    "negative":     (lambda pixels: 255 - pixels, {"copied": 16, "ssim": 0.2}),
}


def make_scores(agreement=1.0, tone=4.0, ssim=0.6, copied=0) -> pd.DataFrame:
    passed = np.arange(N) >= copied
    return pd.DataFrame({"score_agreement": agreement, "score_tone": tone + np.linspace(-2, 2, N), "score_ssim": ssim,
                         "pass_memorisation": pd.array(passed, dtype="boolean"), "verdict": np.where(passed, "passed", "memorisation")})


def make_set(pictures: np.ndarray, *, planted: bool) -> ImageSet:
    parts = [change(pictures) if planted and change else pictures for change, _ in PLANTED.values()]
    scores = [make_scores(**(options if planted else {})) for _, options in PLANTED.values()]
    pixels = np.concatenate(parts)
    blocks = pixels.reshape(len(pixels), 4, 8, 4, 8, 3).swapaxes(2, 3).reshape(len(pixels), 16, 192) - 128.0
    return ImageSet(
        image_id = [str(i) for i in range(len(pixels))],
        labels   = np.repeat(list(PLANTED), N),
        groups   = ["I–II"] * len(pixels),
        features = {"thumbs": blocks.mean(axis=2)},
        pixels   = pixels,
        maps     = lambda rows: [blocks[rows]],
        maps_of  = "blocks",
        scores   = pd.concat(scores, ignore_index=True),
    )


@pytest.fixture(scope="module")
def scores() -> pd.DataFrame:
    """Phantoms of one class, skin type and camera; half of them as real, half as generated."""
    options = PhantomOptions(patients=2 * N, lesions_per_patient=(1, 1), images_per_lesion=(1, 1), class_shares={"nevus": 1},
                             tone_shares={2: 1}, domain_shares={"clinical": 1})
    drawn = np.stack([draw(scene, 32)[0] for scene in sample_world(options, "test").to_dict("records")])
    return set_scores(make_set(drawn[::2], planted=False), make_set(drawn[1::2], planted=True), draws=20)


def held(scores: pd.DataFrame, gate: Gate = GATE) -> dict[str, set[str]]:
    """Class → the troubles it has."""
    found = {label: set() for label in PLANTED}
    for finding in diagnose(scores, gate, perceptual="blocks"):
        found[finding.label] |= {finding.name} if finding.holds else set()
    return found


def only(scores: pd.DataFrame, *labels: str) -> pd.DataFrame:
    return scores[scores["label"].isin(labels)]


def test_good_images_have_no_trouble(scores):
    findings = diagnose(only(scores, "sound"), GATE, perceptual="blocks")
    assert [finding.name for finding in findings] == NAMES and not any(finding.holds for finding in findings)
    assert sentences(findings) == ["None of the six troubles: sound."]
    decision = decide(only(scores, "sound"), GATE, encoder="thumbs", perceptual="blocks")
    assert decision.decision == GO_ON
    assert describe_decision(decision)[0] == "Go on: none of the 5 figures that could be judged is past its limit."


@pytest.mark.parametrize("name", NAMES)
def test_a_planted_trouble_is_named_with_its_evidence(scores, name):
    found = held(scores)[name]
    assert name in found and (len(found) == 1 or name == "collapsed")                            # the one picture may have a colour too
    finding = next(one for one in diagnose(only(scores, name), GATE, perceptual="blocks") if one.name == name)
    assert finding.sentence.startswith(f"{name} is ") and "real images" in finding.sentence
    assert finding.figure < min(finding.threshold, finding.floor_low) or finding.figure > max(finding.threshold, finding.floor_high)


@pytest.mark.parametrize("name", ["blurred", "wrong colour", "not distinct", "wrong tone"])
def test_a_trouble_that_no_limit_speaks_of_reaches_the_decision(scores, name):
    wide = Gate(distance=1_000)                                                                  # a blur may move features as well
    decision = decide(only(scores, "sound", name), wide, encoder="thumbs", perceptual="blocks")
    assert not decision.limits["past"].any() and decision.decision == BUT
    assert [(one.label, one.name) for one in decision.troubles] == [(name, name)]
    said = describe_decision(decision)
    assert said[0].startswith("Go on, but look at the troubles below: ")
    assert f"Troubles that no limit of the study speaks of: {name} ({name})." in said


def test_known_shares_are_held_against_their_limits_alone():
    """No interval and no floor excuses them, none is needed, and a limit that is just reached is not past."""
    def one(statistic, value, floor):
        return dict.fromkeys(COLUMNS, np.nan) | {"encoder": "checks", "statistic": statistic, "label": "nevus", "value": value,
                                                 "reason": "", "floor": floor, "floor_low": floor, "floor_high": floor,
                                                 "floor_note": "no real image"}

    table = pd.DataFrame([one("rejected", 0.6, np.nan), one("copies", 0.06, 0.5), one("recognised", 0.1, np.nan)])
    decision = decide(table, GATE, encoder="thumbs", perceptual="blocks")
    known = decision.limits[decision.limits["label"].eq("nevus")].set_index("limit")
    assert decision.decision == RETRAIN and known.loc[["rejected", "copies"], "past"].tolist() == [True, True]
    assert "nevus: the checks reject a share of 0.60, over the limit of 0.50 (no real image)." in describe_decision(decision)
    found = {finding.name: finding for finding in diagnose(table, GATE, perceptual="blocks")}
    assert found["copies"].holds and found["not distinct"].holds is None and found["not distinct"].reason == "no real image"
    just = decide(pd.DataFrame([one("rejected", 0.5, 0.0)]), GATE, encoder="thumbs", perceptual="blocks")
    assert just.decision == GO_ON


@pytest.mark.parametrize(("label", "limits"), [
    ("collapsed", {"diversity"}), ("copies", {"copies"}), ("negative", {"distance", "similarity", "rejected", "copies"}),
    ("not distinct", set()), ("wrong tone", set()),                                              # no limit of the study speaks of these
])
def test_a_limit_that_is_passed_means_to_train_again(scores, label, limits):
    decision = decide(only(scores, label), GATE, encoder="thumbs", perceptual="blocks")
    past = decision.limits[decision.limits["past"].fillna(False)]
    assert limits <= set(past["limit"]) and (limits or past.empty)
    assert decision.decision == (RETRAIN if limits else BUT)
    said = describe_decision(decision)
    assert sum("over the limit of" in one or "under the limit of" in one for one in said) == len(past)
    assert said[0].startswith("Retrain: " if limits else "Go on, but ")


def test_all_images_together_are_judged_too(scores):
    limits = decide(scores, GATE, encoder="thumbs", perceptual="blocks").limits
    assert limits["label"].isna().sum() == 5 and limits["past"].notna().all()


def test_limits_of_the_study_count(scores):
    loose = Gate(copies=0.4)
    assert decide(only(scores, "copies"), loose, encoder="thumbs", perceptual="blocks").decision == GO_ON
    assert not held(only(scores, "copies"), loose)["copies"]


def test_what_cannot_be_told_is_said():
    nothing = pd.DataFrame([dict.fromkeys(COLUMNS) | {"encoder": "thumbs", "statistic": "kernel_distance", "label": label, "reason": why}
                            for label, why in ((None, "no real image"), ("nevus", "no real image"))])
    findings = diagnose(nothing, GATE, perceptual="blocks")
    assert [finding.holds for finding in findings] == [None] * 6
    assert sentences(findings)[0] == "Cannot tell for nevus: blurred (it was not measured)."
    decision = decide(nothing, GATE, encoder="thumbs", perceptual="blocks")
    assert decision.decision == UNSURE
    said = describe_decision(decision)
    assert said[0].startswith("Cannot tell") and any("(no real image)" in one for one in said)
