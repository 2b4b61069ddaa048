"""All contestants of curation's benchmarks are timed and give the same answers."""

from dataclasses import replace

import numpy as np
import pytest

from lib.curation.benchmark import CurationSetup, compare_answers, make_features, open_curation_setups, time_curation
from lib.encoders.load import load_encoder
from lib.study.generate import Searches


@pytest.fixture(scope="module")
def setup():
    rng = np.random.default_rng(0)
    pixels = np.kron(rng.integers(0, 256, (7, 8, 8, 3)), np.ones((1, 5, 5, 1))).astype(np.uint8)
    return {40: CurationSetup(pixels[:4], pixels[4:], load_encoder("lpips-alex-random-0"), make_features(30, 8, "queries"),
                              make_features(20, 8, "base"), repetitions=1)}


def test_times_everything_the_same_way(setup):
    told = []
    timings = time_curation(setup, progress=lambda *args: told.append(args))
    assert told == [(done, 9) for done in range(1, 10)] and (timings["seconds"] > 0).all()
    pairs = timings.pivot(index="task", columns="contestant", values="images")
    assert pairs.loc["perceptual-40"].to_dict() == pairs.loc["similarity-40"].to_dict() == {"ours": 12, "plain": 6, "ceiling": 12}
    assert pairs.loc["neighbours"].to_dict() == {"ours": 600, "plain": 40, "ceiling": 600}


def test_answers_are_the_packages(setup):
    found = compare_answers(setup).set_index("task")
    assert found["pairs"].to_dict() == {"perceptual-40": 6, "similarity-40": 6, "neighbours": 40}
    assert (found["largest_difference"] < [1e-5, 1e-9, 1e-6]).all() and (found["same_place"] == 1).all()


def test_a_part_that_does_not_fit_is_refused(setup):
    with pytest.raises(ValueError, match="plainly=9"):
        replace(setup[40], plainly=9)


def test_draws_sets_of_every_size(tmp_path):
    options = Searches(generated=12, real=3, sizes=[32, 40], queries=30, base=20, features=8, plainly=1)
    setups = open_curation_setups(options, repetitions=3, threads=1, cache=tmp_path)
    assert [(size, setup.generated.shape, setup.real.shape) for size, setup in setups.items()] == [
        (size, (12, size, size, 3), (3, size, size, 3)) for size in (32, 40)]
    everything = np.concatenate([setups[32].generated, setups[32].real]).reshape(15, -1)
    assert len(np.unique(everything, axis=0)) == 15
