"""The judgement of a GAN: fixed noise, matched labels, references that bracket it, and nearest neighbours by brute force."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
import torch
from colours import Colours
from scipy.spatial.distance import cdist

from lib.encoders.spectrum import Spectrum
from lib.gan.model import GanModel
from lib.gan.networks import Generator
from lib.gan.quality import COLUMNS, LEAST, Quality, compare, judges, nearest, noise_like
from lib.gan.sharpness import blur, sharpness
from lib.metrics.kernel_distance import squared_discrepancy


def discs(count, seed=0):
    """Dark discs on bright ground, of different sizes and places, with a little noise."""
    rng, grid = np.random.default_rng(seed), np.mgrid[:32, :32]
    where = [(grid[0] - rng.uniform(10, 22)) ** 2 + (grid[1] - rng.uniform(10, 22)) ** 2 < rng.uniform(20, 90) for _ in range(count)]
    pixels = np.where(np.array(where)[..., None], (120, 70, 60), (220, 180, 160)) + rng.normal(0, 5, (count, 32, 32, 3))
    return pixels.clip(0, 255).astype(np.uint8)


class Asked:
    """In a generator's place: grey images, and what it was asked for."""

    latent, classes = 7, ("a", "b")

    def __init__(self):
        self.noise, self.labels = [], []

    def draw(self, noise, labels):
        self.noise.append(noise)
        self.labels += labels
        return (noise[:, :1].numpy()[..., None, None] * np.ones((1, 32, 32, 3)) * 20 + 100).clip(0, 255).astype(np.uint8)


def test_the_noise_is_the_same_each_time_and_labels_are_those_held_out():
    quality, first, again = Quality(Colours(), discs(8), ["a", "a", "a", "b"] * 2, images=80, seed=1), Asked(), Asked()
    quality.draw(first)
    quality.draw(again)
    assert torch.equal(torch.cat(first.noise), torch.cat(again.noise)) and torch.cat(first.noise).shape == (80, 7)
    assert Counter(first.labels) == {"a": 60, "b": 20} and first.labels == quality.labels(first)
    other = Asked()
    Quality(Colours(), discs(8), ["a"] * 8, images=80, seed=2).draw(other)
    assert not torch.equal(torch.cat(first.noise), torch.cat(other.noise))


def test_the_score_is_the_unbiased_distance():
    generator = GanModel(Generator(32, latent=8, features=2).eval(), ("a",))
    held_out = discs(9)
    quality = Quality(Colours(), held_out, ["a"] * 9, images=70, seed=0)
    drawn = quality.draw(generator)
    assert drawn.shape == (70, 32, 32, 3)
    expected = squared_discrepancy(Colours().features(held_out), Colours().features(drawn))
    assert quality(generator, 5) == expected and quality.name == "kernel distance in colours features"
    for few in (discs(1), discs(1)[:0]):
        alone = Quality(Colours(), few, ["a"] * len(few), images=4, seed=0)
        assert alone(generator, 5) is None and len(alone.draw(generator)) == 4


def test_references_bracket_a_generator():
    generated = blur(discs(60, seed=1), 1.0)
    table = compare([Colours()], generated, discs(40, seed=2), discs(30, seed=3), seed=0).set_index("kind")
    assert list(table.index) == ["generated", "real", "blurred", "noise"] and (table["images"] == 40).all()
    assert abs(table.loc["real", "distance"]) < 0.05 < table.loc["noise", "distance"]
    assert table.loc["generated", "distance"] < table.loc["noise", "distance"] / 5
    assert table.loc["blurred", "sharpness"] == pytest.approx(table.loc["generated", "sharpness"], rel=0.05)
    assert table.loc["blurred", "sigma"] == pytest.approx(1.0, abs=0.15) and table.drop("blurred")["sigma"].isna().all()
    assert (table["low"] <= table["high"]).all()


def test_every_encoder_judges_the_same_sets():
    generated, train, held_out = discs(20, seed=1), discs(20, seed=2), discs(20, seed=3)
    both = compare([Colours(), Spectrum()], generated, train, held_out, seed=0)
    assert list(both.columns) == COLUMNS and both["encoder"].tolist() == ["colours"] * 4 + ["spectrum"] * 4
    for encoder in (Colours(), Spectrum()):
        alone = compare([encoder], generated, train, held_out, seed=0)
        np.testing.assert_array_equal(both.loc[both["encoder"] == encoder.name, COLUMNS[3:]].to_numpy(), alone[COLUMNS[3:]].to_numpy())


def test_the_spectrum_sees_the_blur_that_block_means_overlook():
    soft = blur(discs(40, seed=1), 0.8)
    table = compare([Colours(), Spectrum()], soft, discs(40, seed=2), discs(40, seed=3), seed=0).set_index(["encoder", "kind"])["distance"]
    assert table["spectrum", "generated"] > 20 * abs(table["spectrum", "real"])
    assert table["colours", "generated"] < 3 * max(table["colours", "real"], 0.01)


def test_the_studys_encoder_judges_first_and_the_spectrum_once():
    assert [judge.name for judge in judges(Colours())] == ["colours", "spectrum"]
    assert [judge.name for judge in judges(Spectrum())] == ["spectrum"]


def test_images_sharper_than_real_ones_have_no_blurred_reference():
    noisy = noise_like(discs(20), 0)
    table = compare([Colours()], noisy, discs(20), discs(20, seed=1), seed=0).set_index("kind")
    assert table.loc["blurred", "sigma"] == 0 and table.loc["blurred", "distance"] == table.loc["real", "distance"]


@pytest.mark.parametrize("sizes", [(9, 9, LEAST - 1), (9, 2, 9), (2, 9, 9), (9, 9, 0)])
def test_too_few_to_judge(sizes):
    found = compare([Colours()], *(discs(max(size, 1))[:size] for size in sizes), seed=0)
    assert found.empty and list(found.columns) == COLUMNS


def test_noise_has_the_colours_of_the_images():
    real = discs(20)
    noise = noise_like(real, 0)
    np.testing.assert_allclose(noise.mean(axis=(0, 1, 2)), real.mean(axis=(0, 1, 2)), atol=4)
    assert sharpness(noise).mean() > 5 * sharpness(real).mean()


def test_nearest_by_brute_force():
    drawn, train = discs(12, seed=5), discs(9, seed=6)
    drawn[3] = train[7]
    for encoder in (Colours(), Spectrum()):                                 # unit vectors, and others
        distances, places = nearest(encoder, drawn, train)
        every = cdist(encoder.embed(drawn), encoder.embed(train))
        np.testing.assert_array_equal(places, every.argmin(axis=1))
        np.testing.assert_allclose(distances, every.min(axis=1), rtol=1e-4, atol=2e-2 if encoder.name == "spectrum" else 1e-3)
        assert places[3] == 7
