"""Pools: the pictures of their scenes and no others, the same however they are drawn, and none in two pools."""

import errno
import os

import numpy as np
import pytest

from lib.diffusion.base import pool as module
from lib.diffusion.base.pool import draw_pool
from lib.phantom.lesions import USUAL
from lib.phantom.render import draw


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("pools")


@pytest.fixture(scope="module")
def small(cache):
    return draw_pool("small", 84, seed=5, workers=1, cache=cache)


def test_each_picture_is_the_one_of_its_scene(small):
    assert small.pixels.shape == (84, 64, 64, 3) and small.pixels.dtype == np.uint8 and len(small) == 84
    for row, scene in enumerate(small.scenes.to_dict("records")):
        assert np.array_equal(small.pixels[row], draw(scene, 64)[0])


def test_one_picture_per_patient_and_equal_shares(small):
    assert small.scenes["patient_id"].is_unique
    counts = small.scenes.groupby(["tone", "diagnosis"]).size()
    assert len(counts) == 6 * len(USUAL) and set(counts) == {2}


def test_only_the_types_that_were_asked_for():
    scenes = draw_pool("light", 28, seed=5, types=(1, 4), size=32, workers=1, cache=None).scenes
    assert scenes["tone"].value_counts().to_dict() == {1: 14, 4: 14}


def test_workers_and_cache_change_nothing(small, monkeypatch):
    monkeypatch.setattr(module, "_CHUNK", 42)
    assert np.array_equal(draw_pool("small", 84, seed=5, workers=2, cache=None).pixels, small.pixels)


def test_what_is_kept_is_not_drawn_again_unless_it_is_damaged(small, cache, monkeypatch):
    drawn = []
    monkeypatch.setattr(module, "draw", lambda scene, size: drawn.append(scene) or draw(scene, size))
    assert np.array_equal(draw_pool("small", 84, seed=5, workers=1, cache=cache).pixels, small.pixels) and not drawn
    (path,) = cache.glob("small-*.npy")
    whole = path.read_bytes()
    path.write_bytes(whole[:len(whole) // 2])
    assert np.array_equal(draw_pool("small", 84, seed=5, workers=1, cache=cache).pixels, np.load(path)) and len(drawn) == 84
    assert path.read_bytes() == whole


def test_a_run_that_dies_leaves_no_pool(tmp_path, monkeypatch):
    def fail(scene, size):
        raise OSError("no space left on device")

    monkeypatch.setattr(module, "draw", fail)
    with pytest.raises(OSError, match="no space"):
        draw_pool("small", 84, seed=5, workers=1, cache=tmp_path)
    assert [path.suffix for path in tmp_path.iterdir()] in ([], [".lock"])


def test_a_disk_without_room_is_an_error_before_a_picture_is_drawn(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(OSError, match="the disk has no room for 0 MB of pictures"):
        draw_pool("full", 7, seed=5, size=32, workers=1, cache=tmp_path)
    assert not list(tmp_path.glob("*.npy"))


def test_other_seeds_names_and_difficulties_are_other_pools(small, cache):
    before = len(list(cache.glob("*.npy")))
    for options in ({"seed": 6}, {"seed": 5, "difficulty": 0.4}, {"seed": 5, "size": 32}):
        draw_pool("small", 7, workers=1, cache=cache, **options)
    draw_pool("other", 7, seed=5, workers=1, cache=cache)
    assert len(list(cache.glob("*.npy"))) == before + 4


def test_the_seeds_of_the_purposes_differ_from_each_other_and_from_those_of_studies():
    seeds = [value for name, value in vars(module).items() if name.startswith("SEED_")]
    assert len(seeds) == len(set(seeds)) == 5 and min(seeds) >= 2_000_000


def test_no_type_beyond_six():
    with pytest.raises(ValueError, match="types 1 to 6"):
        draw_pool("small", 7, seed=5, types=(1, 7), cache=None)
