"""Trainings of a study: what they are named, and what is measured of what came of them."""

import numpy as np
import pytest
import torch

from lib.gan.model import GanModel
from lib.gan.networks import Generator
from lib.gan.parts import ALL, Part, facts, learn, spreads
from lib.gan.watch import diversity
from lib.study import Compute
from lib.training.seeds import seeded


class Grey:
    """An encoder that sees one colour."""

    name = "grey"

    def embed(self, pixels):
        return pixels.reshape(len(pixels), -1).mean(axis=1, keepdims=True).astype(np.float32) / 255

    features = embed


def part_of(pixels, labels):
    return Part(ALL, "all", pixels, labels, pixels[:4], labels[:4])


def test_a_class_that_draws_one_picture_has_no_spread_and_the_others_keep_theirs(discs, small):
    options = small(conditional=True)
    with seeded(0, "weights"):
        generator = Generator(32, options.latent, options.features_g, 2)
    with torch.no_grad():
        generator.norms[-1].offset.weight[1] -= 1e3                                  # what class b draws has one colour
    labels = ["a"] * 7 + ["b"] * 5
    found = spreads(GanModel(generator.eval(), ("a", "b")), part_of(discs, labels), seed=0)
    assert found["a"][0] > 0 and found["b"][0] == 0
    assert found["a"][1] == pytest.approx(diversity(discs[:7])) and found["b"][1] == pytest.approx(diversity(discs[7:]))


def test_what_is_learnt_is_judged_and_told(discs, small, tmp_path):
    part = part_of(discs, ["disc"] * len(discs))

    def once(**changes):
        return learn(part, small(quality_images=8, **changes), Grey(), folder=tmp_path / "work", board=tmp_path / "board", fingerprint="x",
                     compute=Compute(device="cpu", threads=1))

    learnt = once()
    assert [finding.name for finding in learnt.findings] == ["diverging", "collapsed", "memorising", "improving"]
    told = facts(part, learnt)
    assert told["images"] == 12 and told["held_out"] == 4 and told["iterations"] == 24 and list(told["scores"]) == ["24"]
    assert set(learnt.comparison["encoder"]) == {"grey", "spectrum"} and len(learnt.distances) == len(learnt.labels) == 8
    assert once().trained.reused and once(checkpoint_every=5).trained.reused
    assert len(list((tmp_path / "board").rglob("events*"))) == 1                     # nothing was trained again, nothing told
    assert not once(seed=1).trained.reused
    assert len(list((tmp_path / "board").iterdir())) == 2                            # whose curve lies beside the first one
