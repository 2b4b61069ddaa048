"""Truth tests: in 2,000 drawn studies without any difference a test must call about one in twenty real, and no more.

Where outcomes are few whole numbers a test cannot reach 5 %: it is held against the size that it can reach, computed by enumeration.
Studies are drawn so that patients have several images, which the customary tests do not know: they are shown to go wrong.
"""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from scipy.stats import binom, norm

from lib.metrics.auroc import mann_whitney
from lib.metrics.calibration_error import calibration_error
from lib.stats.consistency import draw_luck, shared_luck
from lib.stats.delong import delong
from lib.stats.equalized_odds import odds_gaps
from lib.stats.mcnemar import mcnemar
from lib.stats.multiplicity import benjamini_hochberg, holm
from lib.stats.permutation import against_null, shuffle_groups, spread
from lib.stats.sign_flip import sign_flip
from lib.stats.wilcoxon import wilcoxon

STUDIES, ALPHA = 2_000, 0.05


@pytest.fixture
def called_real(report_truth):
    """Check the share of studies with p ≤ 0.05, and report it."""
    def check(scenario, p_values, low=0.04, high=0.06, because=""):
        found = float((np.asarray(p_values) <= ALPHA).mean())
        report_truth(scenario, "p ≤ 0.05", len(p_values), found, low, high, because=because)
        assert low <= found <= high, f"{scenario}: {found:.3f}"
    return check


def around(size):
    """What 2,000 studies of a test that rejects with this probability give, three standard errors to either side."""
    error = 3 * np.sqrt(size * (1 - size) / STUDIES)
    return {"low": size - error, "high": size + error, "because": "counts: held against the size that it can reach"}


WRONG = "the customary way, shown to fail"


def patients(count, per_patient):
    return np.repeat(np.arange(count), per_patient)


# ── DeLong ───────────────────────────────────────────────────────────────────────────────────────────────────────

def draw_scores(rng, is_positive, patient, share):
    """Two equally good arms [2,000, 1, n]; a share of what an arm has of its own belongs to the patient."""
    shape, count = (STUDIES, 1, len(is_positive)), patient.max() + 1
    common = rng.normal(size=shape) + 1.2 * is_positive
    return [common + np.sqrt(share) * rng.normal(size=(STUDIES, 1, count))[..., patient] + np.sqrt(1 - share) * rng.normal(size=shape)
            for _ in range(2)]


def p_of_delong(random, is_positive, patient, share):
    """8,000 studies, for they are cheap: p-values with patients as units, and with images."""
    rng, found = np.random.default_rng(random), []
    for _ in range(4):
        arm, baseline = draw_scores(rng, is_positive, patient, share)
        found.append([delong(is_positive, arm, baseline, clusters=units).p_value for units in (patient, None)])
    return np.concatenate(found, axis=1)


def test_delong_with_one_image_per_patient(called_real):
    patient = np.arange(240)
    by_patient, by_image = p_of_delong(1, patient % 3 == 0, patient, 0.0)
    np.testing.assert_allclose(by_patient, by_image)
    called_real("DeLong, one image per patient", by_patient)


@pytest.mark.parametrize("kinds", ["one kind", "both kinds"])
def test_delong_with_several_images_per_patient(called_real, kinds):
    patient = patients(120, 4)
    is_positive = patient % 3 == 0 if kinds == "one kind" else np.arange(480) % 4 == 0
    by_patient, usual = p_of_delong(2, is_positive, patient, 0.7)
    called_real(f"DeLong, patients as units, {kinds} of image each", by_patient)
    if kinds == "one kind":
        called_real("usual DeLong on the same studies: wrong", usual, low=0.08, high=1, because=WRONG)
    else:                       # a patient's positives and negatives move together, so the usual formula misses real differences
        called_real("usual DeLong on patients with both kinds: blind", usual, low=0, high=0.04, because=WRONG)


# ── McNemar and Wilcoxon ─────────────────────────────────────────────────────────────────────────────────────────

def attainable(p_values, chances):
    """Probability of a p-value of 0.05 or less."""
    return float((np.asarray(chances) * (np.asarray(p_values) <= ALPHA)).sum())


@pytest.mark.parametrize("share", [0.1, 0.4])
def test_mcnemar_reaches_exactly_what_it_can(called_real, share):
    # 60 images: with few disagreements always exact, with many mostly chi-square
    n = 60
    discordant = np.repeat(np.arange(n + 1), n + 1)
    b = np.tile(np.arange(n + 1), n + 1)
    b, discordant = b[b <= discordant], discordant[b <= discordant]
    size = attainable(mcnemar(b, discordant - b)[0], binom.pmf(discordant, n, share) * binom.pmf(b, discordant, 0.5))
    counts = np.random.default_rng(3).multinomial(n, [share / 2, share / 2, 1 - share], size=STUDIES)
    called_real(f"McNemar, {share:.0%} of 60 images judged differently", mcnemar(counts[:, 0], counts[:, 1])[0], **around(size))


def test_mcnemar_with_several_images_per_patient(called_real):
    rng, patient = np.random.default_rng(4), patients(60, 5)
    p_usual, p_patients = np.empty(STUDIES), np.empty(STUDIES)
    for i in range(STUDIES):
        # each patient suits one of the two arms better, so its images are won by the same arm
        lean = rng.normal(size=60)[patient]
        gain = (lean + rng.normal(size=300) > 1.2).astype(int) - (-lean + rng.normal(size=300) > 1.2)
        p_usual[i] = mcnemar((gain < 0).sum(), (gain > 0).sum())[0]
        p_patients[i] = sign_flip(np.bincount(patient, gain).astype(int))
    called_real("McNemar, patients as units", p_patients)
    called_real("usual McNemar on the same studies: wrong", p_usual, low=0.08, high=1, because=WRONG)


@pytest.mark.parametrize("pairs", [5, 6, 8])
def test_wilcoxon_reaches_exactly_what_it_can(called_real, pairs):
    every = [wilcoxon(np.array(signs) * np.arange(1, pairs + 1)) for signs in product((-1, 1), repeat=pairs)]
    size = attainable(every, np.full(len(every), 1 / len(every)))
    differences = np.random.default_rng(5).normal(size=(STUDIES, pairs))
    called_real(f"Wilcoxon, {pairs} pairs of trainings", [wilcoxon(one) for one in differences], **around(size))


# ── groups ───────────────────────────────────────────────────────────────────────────────────────────────────────

def draw_groups(rng):
    """Patients of 1–3 images; the scarce group has more of the rare class, so groups differ though the group does not matter."""
    patient = np.repeat(np.arange(75), rng.integers(1, 4, 75))
    group = np.repeat([0, 1, 2], [35, 25, 15])
    label = (rng.random(75) < np.array([0.3, 0.45, 0.6])[group]).astype(int)
    noise = np.sqrt(0.5) * rng.normal(size=75)[patient] + np.sqrt(0.5) * rng.normal(size=len(patient))
    return patient, label[patient], group[patient], label[patient] + noise


def gap_of_auroc(label, score, groups):
    return spread([mann_whitney(label == 1, score, (groups == g).astype(float)) for g in range(3)])


def gap_of_odds(label, score, groups):
    called = (score[:, None] > np.array([0.3, 0.5, 0.7])).mean(axis=1, keepdims=True)            # three trainings
    return np.fmax(*odds_gaps(label == 1, called, groups, count=3))[:, 0]


@pytest.mark.parametrize(("what", "gap"), [("gap in AUROC", gap_of_auroc), ("equalised-odds difference", gap_of_odds)])
def test_shuffled_groups(called_real, what, gap):
    rng, p = np.random.default_rng(6), np.empty(STUDIES)
    freely = np.empty(STUDIES)
    for i in range(STUDIES):
        patient, label, group, score = draw_groups(rng)
        found = gap(label, score, group[None])[0]
        shuffled = shuffle_groups(patient, label, group, permutations=99, seed=i)
        p[i] = against_null(found, gap(label, score, shuffled))["p_value"]
        images = np.array([rng.permutation(group) for _ in range(99)])
        freely[i] = against_null(found, gap(label, score, images))["p_value"]
    called_real(f"{what}, patients shuffled within classes", p)
    called_real(f"{what}, images shuffled freely: wrong", freely, low=0.08, high=1, because=WRONG)


# ── calibration ──────────────────────────────────────────────────────────────────────────────────────────────────

def p_of_calibration(y, p, clusters, rho, seed):
    drawn = [calibration_error(luck[0] < p, p) for _, luck in draw_luck(clusters, [rho], simulations=199, seed=seed)]
    return against_null(float(calibration_error(y, p)), np.concatenate(drawn))["p_value"]


def test_calibration_with_one_image_per_patient(called_real):
    rng, p_values = np.random.default_rng(7), np.empty(STUDIES)
    for i in range(STUDIES):
        p = rng.beta(1, 2, 150)
        p_values[i] = p_of_calibration((rng.random(150) < p).astype(float), p, np.arange(150), 0.0, i)
    called_real("calibration, one image per patient", p_values)


def test_calibration_with_several_images_per_lesion(called_real):
    # a lesion is ill or not, in all its images; each image tells by itself with what probability
    rng, lesion = np.random.default_rng(8), patients(60, 3)
    shared, apart = np.empty(STUDIES), np.empty(STUDIES)
    for i in range(STUDIES):
        y = (rng.random(60) < 0.4).astype(float)[lesion]
        x = 1.2 * y + np.sqrt(0.5) * rng.normal(size=60)[lesion] + np.sqrt(0.5) * rng.normal(size=180)
        p = 0.4 * norm.pdf(x - 1.2) / (0.4 * norm.pdf(x - 1.2) + 0.6 * norm.pdf(x))
        shared[i] = p_of_calibration(y, p, lesion, shared_luck(y[None], p[None], lesion), i)
        apart[i] = p_of_calibration(y, p, lesion, 0.0, i)
    called_real("calibration, luck shared as in the data", shared)
    called_real("calibration, every image drawn for itself: wrong", apart, low=0.08, high=1, because=WRONG)


# ── several questions ────────────────────────────────────────────────────────────────────────────────────────────

def test_several_questions(report_truth):
    # twelve questions without an effect, eight with, all sharing some noise
    rng = np.random.default_rng(9)
    effect = np.repeat([0.0, 3.0], [12, 8])
    p = 2 * norm.sf(np.abs(effect + np.sqrt(0.3) * rng.normal(size=(STUDIES, 1)) + np.sqrt(0.7) * rng.normal(size=(STUDIES, 20))))
    false = effect == 0
    by_share = np.array([benjamini_hochberg(one) <= ALPHA for one in p])
    share = float((by_share[:, false].sum(axis=1) / np.maximum(1, by_share.sum(axis=1))).mean())
    any_false = float(np.mean([(holm(one) <= ALPHA)[false].any() for one in p]))
    plain = float((p[:, false] <= ALPHA).any(axis=1).mean())
    found = float(by_share[:, ~false].mean())
    report_truth("Benjamini–Hochberg, 12 of 20 without effect", "false share", STUDIES, share, 0, ALPHA)
    report_truth("Holm, 12 of 20 without effect", "any false", STUDIES, any_false, 0, ALPHA)
    report_truth("uncorrected, on the same studies: wrong", "any false", STUDIES, plain, 0.2, 1)
    assert share <= ALPHA and any_false <= ALPHA and plain > 0.2
    assert found > 0.5                                                              # and it still finds
