"""Batches: every picture once an epoch, each in one of eight positions, in the networks' range."""

import numpy as np
import pytest
import torch

from lib.diffusion.base.batches import pick, to_network, turned


def test_every_picture_at_most_once_an_epoch_in_an_order_of_its_own():
    first = np.concatenate([pick(23, 5, step, seed=1) for step in range(4)])
    second = np.concatenate([pick(23, 5, step, seed=1) for step in range(4, 8)])
    assert len(set(first)) == len(set(second)) == 20 and set(first) | set(second) <= set(range(23))
    assert not np.array_equal(first, second)
    assert np.array_equal(pick(23, 5, 6, seed=1), second[10:15])                # from the step alone
    assert not np.array_equal(pick(23, 5, 6, seed=2), second[10:15])


def test_a_pool_smaller_than_a_batch_is_refused():
    assert len(pick(5, 5, 3, seed=1)) == 5
    with pytest.raises(ValueError, match=r"batch of 6 needs a pool .* has 5"):
        pick(5, 6, 0, seed=1)


def test_pixels_become_numbers_around_zero():
    pixels = np.array([0, 255, 51], np.uint8).reshape(1, 1, 1, 3)
    assert torch.allclose(to_network(pixels).reshape(3), torch.tensor([-1.0, 1.0, -0.6]))
    assert to_network(np.zeros((2, 4, 6, 3), np.uint8)).shape == (2, 3, 4, 6)


def test_turned_pictures_are_the_eight_positions_and_nothing_else():
    picture = torch.arange(27.0).reshape(1, 3, 3, 3)
    out = turned(picture.expand(400, -1, -1, -1), torch.Generator().manual_seed(3)).numpy()
    sides = np.moveaxis(picture[0].numpy(), 0, -1)
    wanted = {np.moveaxis(form, -1, 0).tobytes() for turn in range(4) for form in (np.rot90(sides, turn), np.rot90(sides, turn)[::-1])}
    found, counts = np.unique([image.tobytes() for image in out], return_counts=True)
    assert len(wanted) == 8 and set(found.tolist()) == wanted
    assert counts.min() > 25                                                    # 50 each on average
