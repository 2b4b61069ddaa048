"""Diversity, statistics of the averaged weights, and the pictures of a run."""

import itertools

import numpy as np
import pytest
import torch
from PIL import Image

from lib.gan.networks import Generator
from lib.gan.watch import Watch, diversity, keep_grids, saved_grids
from lib.training.seeds import seeded


def watched(options, classes=("disc",)):
    with seeded(0, "weights"):
        generator = Generator(32, options.latent, options.features_g, len(classes) if options.conditional else 0)
    return Watch(generator, classes, options)


def test_diversity_is_the_mean_square_difference_of_pairs(discs):
    squares = [np.mean((a / 255 - b / 255) ** 2) for a, b in itertools.combinations(discs, 2)]
    assert diversity(discs) == pytest.approx(np.sqrt(np.mean(squares) / 2), rel=1e-4)
    assert diversity(np.repeat(discs[:1], 4, axis=0)) == 0 and np.isnan(diversity(discs[:1]))


def test_classes_that_differ_are_no_diversity():
    two = np.zeros((4, 8, 8, 3), np.uint8)
    two[2:] = 200
    assert diversity(two) > 0.4 and diversity(two, ["a", "a", "b", "b"]) == 0


def test_statistics_are_those_of_many_drawn_images(small):
    watch = watched(small())
    watch.settle()
    generator = watch.model.generator
    with torch.no_grad():
        hidden = generator.start(torch.randn(4000, 4)).view(-1, 4, 4, 8).permute(0, 3, 1, 2)
        normal = generator.norms[0].norm(hidden)
    assert normal.mean(dim=(0, 2, 3)).abs().max() < 0.15 and (normal.std(dim=(0, 2, 3)) - 1).abs().max() < 0.15
    before = [buffer.clone() for buffer in generator.buffers()]
    watch.settle()
    assert all(torch.equal(*pair) for pair in zip(before, generator.buffers(), strict=True)) and not generator.training


def test_a_grid_shows_the_same_noise_every_time(small, tmp_path):
    watch = watched(small())
    watch.save_grid(tmp_path, 8)
    watch.save_grid(tmp_path, 16)
    grids = saved_grids(tmp_path)
    assert list(grids) == [8, 16] and grids[8].read_bytes() == grids[16].read_bytes()
    picture = np.asarray(Image.open(grids[8]))
    assert picture.shape == (160, 160, 3)
    images = watch.model.draw(watch._noise[:25])
    assert np.abs(picture[32:64, 64:96].astype(int) - images[7]).max() <= 1          # second row, third column


def test_several_classes_have_a_row_each(small, tmp_path):
    watch = watched(small(conditional=True), ("a", "b", "c"))
    with torch.no_grad():
        watch.model.generator.norms[-1].offset.weight[2] -= 1e3                      # what class c draws has one colour
    watch.save_grid(tmp_path, 1)
    picture = np.asarray(Image.open(saved_grids(tmp_path)[1]))
    assert picture.shape == (96, 256, 3) and len(np.unique(picture[64:].reshape(-1, 3), axis=0)) == 1
    assert len(np.unique(picture[:64].reshape(-1, 3), axis=0)) > 1


def test_grids_of_later_iterations_are_deleted(small, tmp_path):
    for iteration in (8, 16, 24):
        watched(small()).save_grid(tmp_path, iteration)
    (tmp_path / ".iteration-00000032.png.123").touch()
    keep_grids(tmp_path, 16)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["iteration-00000008.png", "iteration-00000016.png"]
    keep_grids(tmp_path / "none", 0)
