"""Sets of known distance: what is real stays inside the band, what is shifted leaves it, what cannot be told says why."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from lib.curation.candidates import COLUMNS as TABLE
from lib.curation.candidates import Candidates, Encoders
from lib.curation.image_set import ImageSet, image_set
from lib.curation.set_scores import COLUMNS, set_scores
from lib.curation.set_statistics import PIXELS
from lib.encoders.encoder import Encoder
from lib.metrics.kernel_distance import squared_discrepancy
from lib.metrics.perceptual_distance import mean_distance
from lib.metrics.set_distance import set_distance_with_floor


def make_set(n=60, seed=0, *, shift=0.0, label="nevus", group="I–II", size=6, **parts) -> ImageSet:
    """`n` images whose features are normal around `shift`."""
    features = np.random.default_rng(seed).normal(shift, 1, (n, size))
    return ImageSet([f"{seed}-{i}" for i in range(n)], [label] * n, [group] * n, **({"features": {"x": features}} | parts))


def joined(*sets: ImageSet) -> ImageSet:
    return ImageSet([i for s in sets for i in s.image_id], [i for s in sets for i in s.labels], [i for s in sets for i in s.groups],
                    features={"x": np.concatenate([s.features["x"] for s in sets])})


def row(scores: pd.DataFrame, statistic: str, label: str | None = None, group: str | None = None, encoder: str = "x") -> pd.Series:
    here = scores[scores["statistic"].eq(statistic) & scores["encoder"].eq(encoder)]
    for column, name in (("label", label), ("group", group)):
        here = here[here[column].isna() if name is None else here[column].eq(name)]
    assert len(here) == 1
    return here.iloc[0]


def grey_pictures(levels) -> np.ndarray:
    return np.broadcast_to(np.asarray(levels, dtype=np.uint8)[:, None, None, None], (len(levels), 32, 32, 3)).copy()


# ── figures ──────────────────────────────────────────────────────────────────────────────────────────────────────

def test_a_row_for_each_cell_and_the_same_again():
    real = joined(make_set(30, 0), make_set(30, 1, label="melanoma", group=None))
    generated = joined(make_set(20, 2), make_set(20, 3, label="melanoma", group=None))
    scores = set_scores(real, generated, draws=4)
    assert list(scores.columns) == list(COLUMNS)
    cells = scores[["label", "group"]].drop_duplicates().astype(object).where(lambda t: t.notna(), None)
    assert list(cells.itertuples(index=False, name=None)) == [
        (None, None), ("melanoma", None), ("nevus", None), ("melanoma", "unknown"), ("nevus", "I–II")]
    assert scores["size"].eq(10).sum() == len(scores[scores["label"].notna()])
    pd.testing.assert_frame_equal(scores, set_scores(real, generated, draws=4))


def test_images_like_real_ones_stay_in_the_band_and_shifted_ones_leave_it():
    worse = {"kernel_distance": 1, "gaussian_discrepancy": 1, "precision": -1, "density": -1, "coverage": -1}
    left = dict.fromkeys(worse, 0)
    for seed in range(12):
        scores = set_scores(make_set(40, seed), make_set(40, 100 + seed), draws=20)
        for name, side in worse.items():
            here = row(scores, name)
            left[name] += here["value"] > here["floor_high"] if side > 0 else here["value"] < here["floor_low"]
    assert max(left.values()) <= 2
    shifted = set_scores(make_set(40, 0), make_set(40, 100, shift=1.5), draws=20)
    for name, side in worse.items():
        here = row(shifted, name)
        assert here["value"] > here["floor_high"] if side > 0 else here["value"] < here["floor_low"], name


def test_the_value_is_that_of_all_images_where_the_estimate_has_no_bias():
    real, generated = make_set(40, 1), make_set(40, 2, shift=0.7)
    scores = set_scores(real, generated, draws=10)
    found = row(scores, "kernel_distance")
    whole = squared_discrepancy(real.features["x"], generated.features["x"])
    assert found["value"] == pytest.approx(whole) and found["low"] < whole < found["high"] and found["p_value"] < 0.01
    assert np.isnan(row(scores, "precision")["p_value"])


def test_half_samples_spread_as_the_mean_of_all_images_does():
    levels = np.random.default_rng(3).integers(90, 170, (2, 60))
    sets = [ImageSet([str(i) for i in range(60)], ["nevus"] * 60, ["V–VI"] * 60, pixels=grey_pictures(part)) for part in levels]
    found = row(set_scores(*sets, draws=400), "lightness_shift", encoder=PIXELS)
    linear = np.where(levels / 255 <= 0.04045, levels / 255 / 12.92, ((levels / 255 + 0.055) / 1.055) ** 2.4)
    lightness = 116 * np.cbrt(linear) - 16                                                      # L* of a grey, CIE 15
    expected = np.sqrt(sum(part.var(ddof=1) / 60 for part in lightness))
    assert found["value"] == pytest.approx(lightness[1].mean() - lightness[0].mean(), abs=expected / 4)
    assert (found["high"] - found["low"]) / 3.92 == pytest.approx(expected, rel=0.15)
    assert row(set_scores(*sets, draws=20), "hue_shift", encoder=PIXELS)["value"] < 0.01


def test_diversity_is_the_mean_over_pairs_of_one_class():
    real = joined(make_set(8, 0), make_set(8, 1, label="melanoma", shift=3.0))
    found = row(set_scores(real, real, draws=120), "diversity")
    unit = real.features["x"] / np.linalg.norm(real.features["x"], axis=1, keepdims=True)
    cosine, labels = unit @ unit.T, np.array(real.labels)
    pairs = (labels[:, None] == labels) & ~np.eye(16, dtype=bool)
    assert found["value"] == pytest.approx((1 - cosine)[pairs].mean(), rel=0.1)
    assert found["value"] < 0.9 * (1 - cosine)[~np.eye(16, dtype=bool)].mean()                  # classes are not compared with each other


def test_perceptual_diversity_is_the_mean_distance_of_the_maps():
    maps = np.random.default_rng(0).normal(size=(24, 5, 3))
    sets = [make_set(24, seed, maps=lambda rows: [maps[rows]], maps_of="m") for seed in (0, 1)]
    found = row(set_scores(*sets, draws=150), "perceptual_diversity", encoder="m")
    assert found["value"] == pytest.approx(mean_distance([maps]), rel=0.02) and found["floor"] == pytest.approx(found["value"], rel=0.03)


# ── like with like ───────────────────────────────────────────────────────────────────────────────────────────────

def test_groups_are_mixed_alike_so_that_dark_skin_is_no_error():
    light, dark = make_set(80, 0), make_set(20, 1, group="V–VI", shift=3.0)
    scores = set_scores(joined(light, dark), make_set(20, 2, group="V–VI", shift=3.0), draws=30)
    for label in (None, "nevus"):
        here = row(scores, "kernel_distance", label)
        assert here["value"] < here["floor_high"] and here["n_real"] == 100
    mixed = row(set_scores(joined(light, dark), joined(make_set(40, 3), make_set(40, 4, group="V–VI", shift=3.0)), draws=30),
                "kernel_distance")
    assert mixed["value"] < mixed["floor_high"] and mixed["size"] == 30                         # 40 + 20 of each kind, halved


def test_the_test_compares_within_groups():
    """Groups far apart: p of equal sets is spread over 0–1, and a shift is seen that the gap between groups would hide."""
    def p_value(seed, shift=0.0, told=True):
        real, generated = (np.random.default_rng(seed + add).normal(size=(40, 6)) + np.repeat([0, 15], 20)[:, None] * np.eye(6)[0]
                           for add in (0, 100))
        groups = {f"{side}_strata": ["I–II"] * 20 + ["V–VI"] * 20 for side in ("real", "generated")} if told else {}
        return set_distance_with_floor(real, generated + shift, draws=60, **groups).p_value

    equal = [p_value(seed) for seed in range(20)]
    assert sum(p < 0.05 for p in equal) <= 4 and min(equal) < 0.3 and max(equal) > 0.7
    assert max(p_value(seed, 0.7) for seed in range(3)) < 0.05 < min(p_value(seed, 0.7, told=False) for seed in range(3))
    features, few = np.random.default_rng(0).normal(size=(2, 9, 6)), [0] * 9
    with pytest.raises(ValueError, match="strata are given for one set alone"):
        set_distance_with_floor(*features, real_strata=few)
    with pytest.raises(ValueError, match=r"10 strata do not fit 9 \+ 9 images"):
        set_distance_with_floor(*features, real_strata=few, generated_strata=[0])


def test_a_generator_that_was_asked_for_no_group_is_compared_with_all_of_them():
    """As a GAN's images are: their group is null, that of the real ones is known."""
    def checked(images, rejected):
        return ImageSet(images.image_id, images.labels, images.groups, features=images.features, pixels=grey_pictures([120] * len(images)),
                        scores=pd.DataFrame({"verdict": np.where(np.arange(len(images)) < rejected, "blur", "passed")}))

    real = checked(joined(make_set(30, 0), make_set(30, 1, group="V–VI", shift=2.0)), 6)
    generated = checked(joined(make_set(20, 2, group=None), make_set(20, 3, group=np.nan, shift=2.0)), 30)
    scores = set_scores(real, generated, draws=10)
    assert scores["reason"].eq("").all() and scores["value"].notna().all() and scores["unmatched"].eq(0).all()
    assert row(scores, "kernel_distance", "nevus")["value"] < row(scores, "kernel_distance", "nevus")["floor_high"]
    assert row(scores, "rejected", "nevus", encoder="checks")[["value", "floor", "floor_note"]].tolist() == [0.75, 0.1, ""]
    assert set(scores["group"].dropna()) == {"unknown"}
    asked = set_scores(real, checked(make_set(20, 2), 0), draws=10)                             # a group asked for is matched as ever
    assert row(asked, "kernel_distance")["unmatched"] == 0 and row(asked, "kernel_distance", "nevus", "I–II")["n_real"] == 30


def test_groups_without_a_real_image_are_left_out_and_counted():
    scores = set_scores(make_set(30, 0), joined(make_set(30, 1), make_set(7, 2, group="V–VI", shift=9.0)), draws=10)
    here = row(scores, "kernel_distance")
    assert here["unmatched"] == 7 and here["value"] < here["floor_high"]
    assert row(scores, "kernel_distance", "nevus", "V–VI")["reason"] == "no real image"


def test_images_of_one_patient_stay_together():
    features = np.repeat(np.random.default_rng(0).normal(size=(20, 6)), 4, axis=0)               # four alike of each patient
    parts = {"features": {"x": features}, "clusters": np.repeat([f"p{i}" for i in range(20)], 4)}
    floors = [row(set_scores(make_set(80, **options), make_set(80, 1), draws=40), "precision")["floor"]
              for options in ({"features": parts["features"]}, parts)]
    assert floors[0] > floors[1] + 0.2                                                          # twins in both halves would flatter
    one = row(set_scores(make_set(80, features={"x": features}, clusters=["p"] * 80), make_set(80, 1), draws=5), "kernel_distance")
    assert np.isnan(one["value"]) and one["reason"].startswith("0 images on each side")


# ── what cannot be told ──────────────────────────────────────────────────────────────────────────────────────────

def test_too_few_images_say_what_is_needed_and_the_others_go_on():
    real = joined(make_set(40, 0), make_set(6, 1, label="melanoma"))
    scores = set_scores(real, joined(make_set(40, 2), make_set(6, 3, label="melanoma")), neighbours=5, draws=5)
    few = row(scores, "coverage", "melanoma")
    assert np.isnan(few["value"]) and few["reason"] == "3 images on each side of a half of 6 real and 6 generated ones; it needs 6"
    assert np.isfinite(row(scores, "kernel_distance", "melanoma")["value"]) and np.isfinite(row(scores, "coverage", "nevus")["value"])
    flagged = row(scores, "frechet_distance", "melanoma")
    assert np.isfinite(flagged["value"]) and flagged["reason"].startswith("flagged: 3 images")
    assert row(scores, "frechet_distance", "nevus")["reason"] == ""


def test_a_feature_that_is_nan_names_its_image_and_spares_the_other_cells():
    broken = make_set(30, 1, label="melanoma")
    broken.features["x"][4, 2] = np.nan
    scores = set_scores(joined(make_set(30, 0), make_set(30, 2, label="melanoma")), joined(make_set(30, 3), broken), draws=5)
    assert "(first: 1-4)" in row(scores, "kernel_distance", "melanoma")["reason"]
    assert row(scores, "kernel_distance", "nevus")["reason"] == ""
    maps = np.random.default_rng(0).normal(size=(30, 5, 3))
    maps[3] = np.nan
    sets = [make_set(30, seed, maps=lambda rows: [maps[rows]], maps_of="m") for seed in (0, 1)]
    assert "NaN" in row(set_scores(*sets, draws=5), "perceptual_diversity", encoder="m")["reason"]


def test_empty_and_constant_sets():
    scores = set_scores(make_set(0), make_set(20, 1), draws=3)
    assert scores["reason"].eq("no real image").all()
    assert set_scores(make_set(20), make_set(0), draws=3)["reason"].eq("no generated image").all()
    constant = make_set(20, features={"x": np.ones((20, 6))})
    assert row(set_scores(make_set(20, 1), constant, draws=5), "diversity")["value"] == pytest.approx(0, abs=1e-9)
    assert row(set_scores(constant, constant, draws=5), "kernel_distance")["reason"] == "all images are equal"


# ── the checks' scores ───────────────────────────────────────────────────────────────────────────────────────────

def test_shares_and_medians_of_the_checks():
    def checked(agreement, tone, copied):
        n = len(agreement)
        return make_set(n, features={}, scores=pd.DataFrame({
            "score_agreement": agreement, "score_tone": tone, "score_ssim": 0.5, "verdict": np.where(copied, "memorisation", "passed"),
            "pass_memorisation": pd.array(~np.array(copied), dtype="boolean")}))

    real = checked([1.0] * 38 + [0.2, 0.3], [5.0] * 40, [False] * 40)
    made = checked([1.0] * 10 + [0.4] * 30, [np.nan] * 20 + [30.0] * 20, [True] * 10 + [False] * 30)
    scores = set_scores(real, made, draws=2)
    found = {name: row(scores, name, encoder="checks") for name in ("recognised", "tone_error", "similarity", "copies", "rejected")}
    both = {name: one[["value", "floor"]].tolist() for name, one in found.items()}
    assert both == {"recognised": [0.25, 0.95], "tone_error": [30, 5], "similarity": [0.5, 0.5], "copies": [0.25, 0], "rejected": [0.25, 0]}
    z, n, p = 1.959964, 40, 0.25                                                                # Wilson 1927
    middle, half = p + z**2 / (2 * n), z * np.sqrt(p * (1 - p) / n + z**2 / (4 * n**2))
    assert found["rejected"][["low", "high"]].tolist() == pytest.approx([(middle + s * half) / (1 + z**2 / n) for s in (-1, 1)], abs=1e-4)
    assert [found[name]["size"] for name in ("rejected", "tone_error")] == [40, 20]


def test_what_the_checks_say_needs_no_real_partner():
    """Two held-out images, none of them of the group that was generated most: the share is exact, the floor says what it is of."""
    def checked(n, seed, group, rejected):
        verdicts = np.where(np.arange(n) < rejected, "blur", "passed")
        return make_set(n, seed, group=group, features={}), pd.DataFrame({"verdict": verdicts})

    def both(*parts):
        sets = [images for images, _ in parts]
        return ImageSet([i for s in sets for i in s.image_id], [i for s in sets for i in s.labels], [i for s in sets for i in s.groups],
                        scores=pd.concat([scores for _, scores in parts], ignore_index=True))

    made = both(checked(60, 1, "V–VI", 36), checked(12, 2, "I–II", 0))
    scores = set_scores(both(checked(2, 3, "I–II", 1)), made, draws=2)
    every, dark = row(scores, "rejected", "nevus", encoder="checks"), row(scores, "rejected", "nevus", "V–VI", encoder="checks")
    assert every["value"] == 0.5 and every["floor"] == 0.5 and "in the mix of the real images" in every["floor_note"]
    assert dark["value"] == 0.6 and dark["floor_note"] == "of all groups of nevus, as none of V–VI was measured"
    assert row(scores, "rejected", "nevus", "I–II", encoder="checks")["floor_note"] == "" and scores["reason"].eq("").all()
    nothing = both((make_set(3, 4, label="wart", features={}), pd.DataFrame({"verdict": ["passed"] * 3})))
    alone = row(set_scores(nothing, made, draws=2), "rejected", "nevus", encoder="checks")
    assert alone["value"] == 0.5 and np.isnan(alone["floor"]) and alone["floor_note"] == "no real image was measured"


def test_a_score_that_is_never_measured_has_no_figure():
    sets = [make_set(10, seed, features={}, scores=pd.DataFrame({"score_tone": [np.nan] * 10})) for seed in (0, 1)]
    found = row(set_scores(*sets, draws=5), "tone_error", encoder="checks")
    assert found["reason"] == "none of 10 generated images was measured" and np.isnan(found["value"])


# ── out of what curation opens ───────────────────────────────────────────────────────────────────────────────────

class Colour(Encoder):
    """The mean colour; its maps, where it has some, are the picture's rows."""

    def __init__(self, name: str, has_maps: bool):
        self.name, self.has_maps = name, has_maps

    def embed(self, pixels):
        return pixels.mean(axis=(1, 2)) / 255

    def feature_maps(self, pixels):
        return [pixels.mean(axis=2) + 1.0] if self.has_maps else super().feature_maps(pixels)


@pytest.mark.parametrize("has_maps", [True, False])
def test_sets_of_candidates_are_put_one_after_the_other(has_maps):
    encoders = Encoders(loaded={"asked for": Colour("colour", has_maps)})                        # another took its place
    pixels = np.random.default_rng(0).integers(0, 255, (24, 32, 32, 3), dtype=np.uint8)
    table = pd.DataFrame({column: None for column in TABLE}, index=range(24)).assign(
        image_id=[f"i{i}" for i in range(24)], label="nevus", group="I–II", cluster_id=[None] * 4 + ["p"] * 20)
    parts = [Candidates(table.iloc[rows], pixels[rows], encoders) for rows in (slice(0, 10), slice(10, 24))]
    both = image_set(*parts, encoders=["asked for"], perceptual="asked for")
    np.testing.assert_array_equal(both.features["colour"], encoders("asked for").features(pixels))
    assert both.clusters.tolist() == ["i0", "i1", "i2", "i3"] + ["p"] * 20 and both.logits is None
    scores = set_scores(both, both, draws=4)
    found = row(scores, "perceptual_diversity", encoder="colour")
    if has_maps:
        np.testing.assert_array_equal(both.maps(np.array([8, 9, 10, 23]))[0], pixels[[8, 9, 10, 23]].mean(axis=2) + 1.0)
        assert found["value"] > 0
    else:
        assert found["reason"].startswith("colour has no feature maps")
    assert row(scores, "kernel_distance", encoder="colour")["reason"] == ""
