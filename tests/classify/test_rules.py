"""The rules of a fair comparison, and that each check notices when its rule is broken.

Equal steps for every arm · threshold and temperature from validation alone · test images looked at once per arm and seed.
(Generated images stay out of validation and test: test_pool.py.)
"""

from dataclasses import replace

import numpy as np
import pytest

from lib.classify import chunk, fit
from lib.classify.arms import ARMS, SWITCHES, find_arm
from lib.classify.chunk import run_cells
from lib.classify.grid import Cell
from lib.classify.pool import real_pool
from lib.classify.sampling import plan_arm
from lib.study import Classifier, Compute, Labels

OPTIONS = Classifier(epochs=2, batch_size=16)
CPU     = Compute(device="cpu", threads=1)
MIXED   = "diffusion_curated+ratio=2+ramp+minority+mixup"


@pytest.fixture(scope="module")
def small(toys):
    return toys(count=100, size=16)


@pytest.fixture(scope="module")
def pool_for(generated):
    def make(arm, toy):
        pool = real_pool(toy.samples, toy.pixels)
        return generated(pool) if find_arm(arm).adds else pool
    return make


@pytest.fixture(scope="module")
def train(pool_for):
    def run(toy, folder, arm=MIXED, pixels=None, progress=None, seeds=(0,)):
        labels = Labels(classes={name: [name] for name in toy.classes}, positive=["blue"])
        pool = pool_for(arm, toy)
        return run_cells([Cell(arm, "small_cnn", seed) for seed in seeds], pool if pixels is None else replace(pool, real=pixels), labels,
                         OPTIONS, folder=folder, compute=CPU, fingerprint="x", progress=progress)
    return run


# ── equal steps ──────────────────────────────────────────────────────────────────────────────────────────────────────

def every_arm() -> list[str]:
    switches = [f"{switch}=1" if one.needed else switch for switch, one in SWITCHES.items() if not one.streams]
    return [*(arm for arm in ARMS if ARMS[arm].real), *(f"diffusion_curated+{switch}" for switch in switches)]


def check_equal_steps(pools, classes) -> None:
    plans = {arm: plan_arm(arm, pool, classes, OPTIONS, {}) for arm, pool in pools.items()}
    steps = {arm: [len(batch) for batch in plan.batches(0, 0)] for arm, plan in plans.items()}
    assert len(steps) >= 18 and all(sizes == steps["real"] for sizes in steps.values()), steps


def test_every_arm_takes_the_same_steps_on_batches_of_the_same_sizes(small, pool_for, train, tmp_path):
    pools = {True: pool_for(MIXED, small), False: pool_for("real", small)}
    check_equal_steps({arm: pools[find_arm(arm).adds] for arm in every_arm()}, small.classes)
    taken = {}
    for arm in ("real", MIXED):
        counted = []
        train(small, tmp_path / arm, arm, progress=lambda step, of, row, counted=counted: counted.append((step, of)))
        taken[arm] = counted
    assert taken["real"] == taken[MIXED] and taken["real"][-1][0] == taken["real"][-1][1]


def test_steps_that_follow_from_all_images_of_an_arm_are_noticed(small, pool_for):
    own, more = pool_for("real", small), pool_for(MIXED, small)
    pools = {True: replace(more, count=len(more.table)), False: own}
    with pytest.raises(AssertionError):
        check_equal_steps({arm: pools[find_arm(arm).adds] for arm in every_arm()}, small.classes)


# ── threshold and temperature on validation ──────────────────────────────────────────────────────────────────────────

def check_decisions_ignore_test(train, toy, folder) -> None:
    spoilt = type(toy)(toy.pixels.copy(), toy.samples.copy())
    test = (toy.samples["split"] == "test").to_numpy()
    spoilt.pixels[test] = 255 - spoilt.pixels[test]
    spoilt.samples.loc[test, "label"] = spoilt.samples.loc[test, "label"].map({"red": "blue", "green": "blue", "blue": "red"})
    clean, other = (train(one, folder / name)[0] for name, one in (("clean", toy), ("spoilt", spoilt)))
    assert clean.trained.history.equals(other.trained.history) and clean.trained.best_epoch == other.trained.best_epoch
    assert clean.calibration == other.calibration
    kept = [one.predictions.query("split == 'validation'").reset_index(drop=True) for one in (clean, other)]
    assert kept[0].equals(kept[1])


def swapped(samples):
    return samples.assign(split=samples["split"].replace({"test": "validation", "validation": "test"}))


def test_threshold_temperature_and_epoch_come_from_validation(small, train, tmp_path):
    check_decisions_ignore_test(train, small, tmp_path)


def test_a_threshold_that_is_chosen_on_test_is_noticed(small, train, tmp_path, monkeypatch):
    right = chunk.calibrate
    monkeypatch.setattr(chunk, "calibrate", lambda trained, pixels, samples, *more, **options: right(
        trained, pixels, swapped(samples), *more, **options))
    with pytest.raises(AssertionError):
        check_decisions_ignore_test(train, small, tmp_path)


# ── test touched once ────────────────────────────────────────────────────────────────────────────────────────────────

class Counted:
    """Pixels that count how often each is read."""

    def __init__(self, pixels):
        self.pixels, self.reads, self.dtype, self.ndim, self.shape = pixels, np.zeros(len(pixels), int), pixels.dtype, 4, pixels.shape

    def __len__(self):
        return len(self.pixels)

    def __getitem__(self, rows):
        np.add.at(self.reads, rows, 1)
        return self.pixels[rows]


def check_test_is_touched_once(train, toy, folder) -> None:
    pixels, seeds = Counted(toy.pixels), (0, 1)
    outcomes = train(toy, folder, pixels=pixels, seeds=seeds)
    test = (toy.samples["split"] == "test").to_numpy()
    assert (pixels.reads[test] == len(seeds)).all() and (pixels.reads[~test] > 0).all()
    for outcome in outcomes:
        assert outcome.predictions["image_id"].is_unique
        assert set(outcome.predictions.loc[outcome.predictions["split"] == "test", "image_id"]) == set(toy.samples.loc[test, "image_id"])


def test_each_test_image_is_looked_at_once_per_arm_and_seed(small, train, tmp_path):
    check_test_is_touched_once(train, small, tmp_path)


def test_a_second_look_at_test_is_noticed(small, train, tmp_path, monkeypatch):
    right = chunk.predict
    monkeypatch.setattr(chunk, "predict", lambda *given: (right(*given), right(*given))[1])
    with pytest.raises(AssertionError):
        check_test_is_touched_once(train, small, tmp_path)


def test_a_look_at_test_during_training_is_noticed(small, train, tmp_path, monkeypatch):
    right = fit.predict_logits
    monkeypatch.setattr(fit, "predict_logits", lambda model, pixels, rows: right(model, pixels, np.arange(len(pixels)))[rows])
    with pytest.raises(AssertionError):
        check_test_is_touched_once(train, small, tmp_path)
