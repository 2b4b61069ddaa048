"""Each check against plain arithmetic, and the whole of curation with bad input: one failing part leaves the others alone."""

from __future__ import annotations

import inspect

import numpy as np
import pandas as pd
import pytest
from scipy.special import softmax
from skimage.metrics import structural_similarity

from lib.curation.candidates import Candidates, Encoders, Material
from lib.curation.checks import classifier, duplicate, memorisation
from lib.curation.checks.reference import Reference
from lib.curation.checks.registry import MODULES, applies, module_of
from lib.curation.curate import curate
from lib.encoders.spectrum import Spectrum
from lib.study import Check, Curation
from lib.study.curation import CHECKS
from lib.tables import read_table, write_table

CHEAP = Curation(encoder="colours", perceptual="colours", clusters=2, checks=[
    Check(check="resolution", least=8), Check(check="brightness", least={"percentile": 2}, most={"percentile": 98}),
    Check(check="realism", least={"percentile": 2}), Check(check="tone", most={"percentile": 98}),
    Check(check="confidence", least={"percentile": 2}), Check(check="match", least={"percentile": 2}),
    Check(check="memorisation", least={"percentile": 2}), Check(check="duplicate", most={"percentile": 99}),
])
WANTED = pd.DataFrame({"label": ["melanoma", "nevus"], "tone": ["1", "6"], "images": [5, 5]})


@pytest.fixture
def material(small_pool, make_candidates, cheap) -> Material:
    return Material(make_candidates(small_pool, np.arange(120, 180), cheap, generated=True),
                    make_candidates(small_pool, np.arange(70), cheap), make_candidates(small_pool, np.arange(70, 120), cheap))


@pytest.fixture
def reference(material) -> Reference:
    return Reference(material.train, material.held_out, CHEAP)


def scored(name: str, images: Candidates, reference: Reference) -> np.ndarray:
    return module_of(name).score(images, reference, Check(check=name, least=0))


def test_the_study_knows_every_check_and_its_unit():
    assert set(CHECKS) == set(MODULES)
    for name, module in MODULES.items():
        assert module.META.unit == CHECKS[name]
        assert list(inspect.signature(module.score).parameters) == ["candidates", "reference", "check"]
    with pytest.raises(ValueError, match=r"did you mean realism\?"):
        module_of("realsm")


@pytest.mark.parametrize("name", sorted(set(MODULES) - {"perceptual", "match", "duplicate"}))
def test_scores_lie_in_their_range_and_do_not_depend_on_order(name, material, reference):
    order = np.random.default_rng(0).permutation(len(material.generated))
    first = scored(name, material.generated, reference)
    low, high = MODULES[name].META.range
    assert first.shape == (60,) and np.isfinite(first).all() and low <= first.min() and first.max() <= high
    assert scored(name, material.generated.take(order), reference) == pytest.approx(first[order], rel=1e-5, abs=1e-6)
    assert len(scored(name, material.generated.take(order[:0]), reference)) == 0


def test_ssim_is_that_of_scikit_image(material, reference):
    grey = [np.rint(np.asarray(side.pixels) @ [0.299, 0.587, 0.114]) for side in (material.generated, material.train)]
    found = scored("ssim", material.generated, reference)
    same = np.flatnonzero(material.train.table["label"] == material.generated.table["label"].iat[0])
    assert found[0] == pytest.approx(max(structural_similarity(grey[0][0], grey[1][place], data_range=255) for place in same), abs=1e-4)


def test_a_label_without_training_images_cannot_be_measured(material, reference):
    odd = Candidates(material.generated.table.assign(label="wart"), material.generated.pixels, material.generated.encoders)
    assert np.isnan(scored("ssim", odd, reference)).all() and np.isnan(scored("confidence", odd, reference)).all()


def test_a_gan_has_no_tone_to_miss(material):
    table = material.generated.table.assign(tone_key=None)
    assert not applies("tone", Candidates(table, material.generated.pixels, material.generated.encoders)).any()
    assert not applies("match", Candidates(table, material.generated.pixels, material.generated.encoders)).any()


def test_the_classifier_is_calibrated_and_knows_its_labels():
    rng = np.random.default_rng(0)
    middle = rng.normal(size=(3, 6))
    truth = rng.integers(0, 3, 1500)
    vectors = middle[truth] + rng.normal(size=(1500, 6))
    labels = np.array(["a", "b", "c"], dtype=object)[truth]
    model = classifier.fit_label_model(vectors[:750], labels[:750], np.arange(750), seed=0)
    exact = softmax(-0.5 * ((vectors[750:, None] - middle) ** 2).sum(axis=2), axis=1)          # Bayes' rule
    assert np.abs(model.probabilities(vectors[750:]) - exact).mean() < 0.03
    asked, most = model.of_asked(np.array([vectors[0], [np.nan] * 6]), np.array(["z", "a"]))
    assert np.isnan(asked).all() and np.isfinite(most[0])
    assert classifier.fit_label_model(vectors[:9], np.array(["a"] * 9), np.arange(9), seed=0) is None


def test_of_alike_images_the_first_accepted_one_stays(material, reference):
    table = material.generated.table.assign(label="nevus", tone_key="1").iloc[[0, 1, 2, 3]].assign(image_id=["d", "b", "c", "a"])
    pixels = np.stack([material.generated.pixels[place] for place in (0, 0, 1, 0)])
    images = Candidates(table, pixels, material.generated.encoders)
    check = Check(check="duplicate", most=0.999)
    scores = duplicate.walk(images, reference, check, np.ones(4, dtype=bool), 0.999)
    assert scores[3] == duplicate.NONE and scores[[0, 1]] == pytest.approx(1) and scores[2] < 0.999
    unaccepted = duplicate.walk(images, reference, check, np.array([True, True, True, False]), 0.999)
    assert unaccepted[1] == duplicate.NONE and unaccepted[0] == pytest.approx(1)


@pytest.mark.parametrize("size", [32, 64, 160])
def test_turned_mirrored_and_moved_copies_lead_to_their_original(size, small_pool, make_candidates, cheap):
    train = make_candidates(small_pool, np.arange(60), cheap)
    large = np.asarray(train.pixels).repeat(size // 32, axis=1).repeat(size // 32, axis=2)
    real = Candidates(train.table, large, cheap)
    turned = np.stack([np.roll(np.rot90(picture, place % 4)[:, ::-1 if place % 2 else 1], (size // 32, -(size // 32)), (0, 1))
                       for place, picture in enumerate(large[:20])])
    found = memorisation.closest(Candidates(train.table[:20], turned, cheap), Reference(real, real, CHEAP))
    assert (found == np.arange(20)).mean() >= 0.95


def test_five_in_a_hundred_held_out_images_lie_under_one(material, reference):
    """The least of three looks, each scaled to its own 5 %, would be under 1 far more often."""
    scores = scored("memorisation", material.held_out, reference)
    assert (scores < 1).mean() <= 0.05 < (scores <= 1).mean()


def test_the_pair_that_is_shown_is_the_one_that_was_scored(material, reference, monkeypatch):
    """Pixels that lead nowhere leave the place to the encoders, and nothing is searched twice."""
    calls = []

    def lost(candidates, _):
        calls.append(candidates)
        return np.full(len(candidates), 100.0) + np.arange(len(candidates)) % 2, np.zeros(len(candidates), dtype=int)

    monkeypatch.setattr(memorisation, "pixel_distance", lost)
    copies = Candidates(material.train.table[10:30], np.array(material.train.pixels[10:30]), material.train.encoders)
    assert scored("memorisation", copies, reference) == pytest.approx(0, abs=1e-2)
    assert memorisation.closest(copies, reference).tolist() == list(range(10, 30))
    assert len(calls) == 2


def test_authenticity_stands_beside_that_of_held_out_images(material, reference):
    copies = Candidates(material.train.table[:20], np.array(material.train.pixels[:20]), material.train.encoders)
    found = memorisation.authenticity(copies, reference)
    assert found["encoder"].tolist() == ["colours", "spectrum"] and found["authenticity"].tolist() == [0, 0]
    assert found["authenticity_held_out"].between(0.2, 0.9).all() and not found["reason"].any()


# ── the whole ────────────────────────────────────────────────────────────────────────────────────────────────────

def test_every_image_has_a_verdict_and_the_table_keeps_its_contract(material, tmp_path):
    result = curate(material, CHEAP, WANTED)
    table = result.table
    write_table("curated", table, tmp_path / "curated.parquet")
    assert read_table("curated", tmp_path / "curated.parquet")["verdict"].tolist() == table["verdict"].tolist()
    passes = table.filter(like="pass_")
    first = [next((name.removeprefix("pass_") for name, good in row.items() if pd.notna(good) and not good), "passed")
             for _, row in passes.iterrows()]
    assert table["verdict"].tolist() == first
    assert len(result.held_out) == 50 and result.false_alarms["check"].tolist() == [*(check.title for check in CHEAP.checks), "any"]
    alarms = result.false_alarms.set_index("check")
    assert alarms.loc["duplicate", ["n", "rate"]].tolist() == [0, None] and alarms.loc["any", "n"] == 50
    by_group = result.group_alarms[result.group_alarms["check"] == "any"]
    assert set(by_group["group"]) == {"I–II", "III–IV", "V–VI"} and by_group["rejected"].sum() == alarms.loc["any", "rejected"]
    again = curate(material, CHEAP, WANTED)
    pd.testing.assert_frame_equal(table, again.table)


def test_one_broken_check_leaves_the_others_alone(material):
    """No text in block means, no feature maps either: both say so, and nobody is rejected for it."""
    options = CHEAP.model_copy(update={"checks": [*CHEAP.checks, Check(check="perceptual", most={"percentile": 99}, encoder="spectrum")]})
    result = curate(material, options, WANTED)
    assert result.table["pass_perceptual"].isna().all() and result.table["pass_match"].isna().all()
    assert any("perceptual: spectrum has no feature maps" in note for note in result.notes)
    assert any(note.startswith("match: cannot be measured on any held-out image") for note in result.notes)
    assert result.table["verdict"].eq("passed").any()


def test_a_constant_picture_and_a_vector_of_nan_are_rejected_and_counted(material, monkeypatch):
    pixels = np.array(material.generated.pixels)
    pixels[0] = 0
    spoilt = Candidates(material.generated.table, pixels, material.generated.encoders, prompts=material.generated.prompts,
                        labels=material.generated.labels)
    vectors = np.array(spoilt.vectors("colours"))
    vectors[1] = np.nan
    spoilt._vectors["colours"] = vectors
    table = curate(Material(spoilt, material.train, material.held_out), CHEAP, WANTED).table
    assert table["verdict"].iat[0] == "brightness" and table["verdict"].iat[1] == "realism"
    assert np.isnan(table["score_realism"].iat[1]) and not table["selected"].iloc[:2].any()
    kept = CHEAP.model_copy(update={"checks": [check.model_copy(update={"unmeasured": "keep"}) for check in CHEAP.checks]})
    assert curate(Material(spoilt, material.train, material.held_out), kept, WANTED).table["verdict"].iat[1] != "realism"


def test_all_rejected_and_next_to_no_real_images(material):
    nothing = CHEAP.model_copy(update={"checks": [Check(check="brightness", most=0.0)]})
    table = curate(material, nothing, WANTED).table
    assert table["verdict"].eq("brightness").all() and not table["selected"].any() and not table["random_subset"].any()
    few = Material(material.generated, material.train.take(np.arange(3)), material.held_out.take(np.arange(2)))
    result = curate(few, CHEAP, WANTED)
    assert len(result.table) == 60 and any("held-out images where" in note for note in result.notes)


def test_a_cell_without_training_images_is_not_judged_and_the_report_says_so(material):
    known = material.train.take(material.train.table["tone_key"].ne("6").to_numpy() & material.train.table["label"].ne("nevus").to_numpy())
    checks = [check for check in CHEAP.checks if check.check in ("tone", "confidence")]
    result = curate(Material(material.generated, known, material.held_out), CHEAP.model_copy(update={"checks": checks}), WANTED)
    dark, nevus = (material.generated.table[name].eq(value).to_numpy() for name, value in (("tone_key", "6"), ("label", "nevus")))
    assert result.table.loc[dark, "pass_tone"].isna().all() and result.table.loc[~dark, "pass_tone"].notna().all()
    assert result.table.loc[nevus, "pass_confidence"].isna().all() and not result.table["verdict"][nevus].eq("confidence").any()
    for said, count in (("tone: there are fewer than 3 training images of tone 6", dark.sum()),
                        ("confidence: there is no training image of nevus", nevus.sum())):
        assert f"{said} to compare with; {count} images were not judged by it." in result.notes


def test_a_number_in_units_of_an_encoder_out_of_reach_judges_nobody(material):
    """A cosine of another encoder is another thing; a probability is not."""
    stand_in = Spectrum()
    stand_in.note = "spectrum judges in place of far-away"
    encoders = Encoders(loaded={"colours": material.train.encoders("colours"), "far-away": stand_in})
    sides = [Candidates(side.table[:25], side.pixels[:25], encoders, labels=side.labels) for side in
             (material.generated, material.train, material.held_out)]
    checks = [Check(check="duplicate", most=-0.9, encoder="far-away"), Check(check="confidence", least=0.0, encoder="far-away"),
              Check(check="memorisation", least={"percentile": 2}, encoder="far-away")]
    result = curate(Material(*sides), CHEAP.model_copy(update={"checks": checks}), WANTED)
    assert result.table["pass_duplicate"].isna().all() and result.table["pass_confidence"].all()
    assert "duplicate: the limit is in units of far-away, and spectrum stands in for it; no image was judged by it." in result.notes
    assert "memorisation: both encoders are spectrum, so it and the pixels are the only looks." in result.notes


def test_a_check_that_measures_nobody_rejects_nobody(material):
    few = Material(material.generated, material.train.take(np.arange(4)), material.held_out)
    result = curate(few, CHEAP.model_copy(update={"checks": [Check(check="realism", least=0.5)]}), WANTED)
    assert result.table["verdict"].eq("passed").all() and any("cannot be measured on any image" in note for note in result.notes)


def test_different_notes_of_one_check_are_all_told(material):
    checks = [Check(check="blur", least={"percentile": 1}, per="label")]
    result = curate(material, CHEAP.model_copy(update={"checks": checks}), WANTED)
    said = [note for note in result.notes if note.startswith("blur: ")]
    assert len(said) == len(set(said)) > 1 and sum("tone" in note for note in said) == len(said)
