"""Chance from (seed, step) alone; every image as often as the others of its class, every class as often as the others."""

from collections import Counter

import numpy as np
import torch

from lib.gan.draws import Draws, turned


def test_a_draw_depends_on_seed_and_step_alone(small):
    options = small(batch_size=4)
    first, again = Draws(np.zeros(7, int), options), Draws(np.zeros(7, int), options)
    rows = [first.critic(step).rows.tolist() for step in range(6)]
    assert [again.critic(step).rows.tolist() for step in (5, 0, 3)] == [rows[5], rows[0], rows[3]]
    assert torch.equal(first.critic(2).noise, again.critic(2).noise) and torch.equal(first.generator(2).noise, again.generator(2).noise)
    other = Draws(np.zeros(7, int), small(batch_size=4, seed=1)).critic(2)
    assert not torch.equal(other.noise, first.critic(2).noise) and not torch.equal(first.critic(3).noise, first.critic(2).noise)
    assert not torch.equal(first.generator(2).noise, first.critic(2).noise)          # the generator's noise is fresh


def test_every_round_shows_each_image_once_in_a_new_order(small):
    draws = Draws(np.zeros(10, int), small(batch_size=4))
    shown = np.concatenate([draws.critic(step).rows for step in range(10)]).reshape(4, 10)
    assert all(sorted(turn) == list(range(10)) for turn in shown.tolist()) and len({tuple(turn) for turn in shown.tolist()}) == 4


def test_a_batch_may_be_larger_than_the_data(small):
    assert sorted(Counter(Draws(np.zeros(3, int), small(batch_size=7)).critic(0).rows.tolist()).values()) == [2, 2, 3]


def test_a_rare_class_is_shown_as_often_as_a_common_one(small):
    numbers = np.array([0] * 20 + [1] * 2)
    draws = Draws(numbers, small(batch_size=4, conditional=True))
    for step in range(5):
        draw = draws.critic(step)
        assert draw.labels.tolist() == numbers[draw.rows].tolist() == [0, 1, 0, 1]
    assert draws.generator(0).labels.tolist() == [0, 1, 0, 1]
    assert Draws(np.zeros(4, int), small()).critic(0).labels is None


def test_images_are_scaled_and_turned_in_all_eight_ways(small, discs):
    marked = discs[:2].copy()
    marked[:, :8, :16] = 255                                # tells all eight apart
    eight = {turn.tobytes() for image in marked for flat in (image, image.swapaxes(0, 1))
             for turn in (flat[::a, ::b].copy() for a in (1, -1) for b in (1, -1))}
    draws, seen = Draws(np.zeros(2, int), small(batch_size=16)), set()
    for step in range(8):
        batch = turned(marked, draws.critic(step))
        assert batch.shape == (16, 3, 32, 32) and batch.is_contiguous(memory_format=torch.channels_last)
        pixels = (batch.permute(0, 2, 3, 1) + 1) * 127.5
        seen |= {image.round().byte().numpy().tobytes() for image in pixels}
    assert seen == eight and len(eight) == 16


def test_without_flips_images_stay_as_they_are(small, discs):
    draw = Draws(np.zeros(len(discs), int), small(flips=False)).critic(0)
    expected = torch.from_numpy(discs[draw.rows]).permute(0, 3, 1, 2) / 127.5 - 1
    assert torch.allclose(turned(discs, draw), expected, atol=1e-6)
