"""Differentiable augmentation against the same changes written for one image with numpy; its gradients."""

import math

import numpy as np
import torch

from lib.gan.augment import DRAWS, differentiable

SIZE = 16


def images(count=4):
    return torch.rand(count, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(0)) * 2 - 1


def draws(count=4, seed=1):
    return torch.rand(count, DRAWS, generator=torch.Generator().manual_seed(seed))


def one_by_hand(image, draw):
    """[3, S, S] as the paper's supplement has it: rand_brightness, rand_saturation, rand_contrast, rand_translation, rand_cutout."""
    brightness, saturation, contrast, *places = draw.tolist()
    image = image.double().numpy() + (brightness - 0.5)
    grey = image.mean(axis=0, keepdims=True)
    image = (image - grey) * (saturation * 2) + grey
    image = (image - image.mean()) * (contrast + 0.5) + image.mean()
    most = SIZE // 8
    down, right = (math.floor(place * (2 * most + 1)) - most for place in places[:2])
    wide = np.zeros((3, 3 * SIZE, 3 * SIZE))
    wide[:, SIZE:2 * SIZE, SIZE:2 * SIZE] = image
    image = wide[:, SIZE - down:2 * SIZE - down, SIZE - right:2 * SIZE - right].copy()
    hole = SIZE // 2
    top, left = (math.floor(place * (SIZE + 1)) - hole // 2 for place in places[2:])
    image[:, max(top, 0):max(top + hole, 0), max(left, 0):max(left + hole, 0)] = 0
    return image


def test_it_equals_the_changes_made_one_by_one():
    for seed in range(5):
        given, drawn = images(), draws(seed=seed)
        expected = np.stack([one_by_hand(image, draw) for image, draw in zip(given, drawn, strict=True)])
        assert np.allclose(differentiable(given, drawn).numpy(), expected, atol=1e-5)


def test_the_middle_of_every_draw_changes_nothing_but_the_hole():
    still = torch.full((2, DRAWS), 0.5)
    still[:, 5:] = 0.0                                      # the hole's centre in the corner
    given = images(2)
    changed = differentiable(given, still)
    assert torch.allclose(changed[:, :, SIZE // 4:, :], given[:, :, SIZE // 4:, :], atol=1e-6)
    assert not changed[:, :, :SIZE // 4, :SIZE // 4].any()


def test_an_image_depends_on_its_own_draw_alone():
    given, drawn = images(), draws()
    alone = torch.cat([differentiable(given[i:i + 1], drawn[i:i + 1]) for i in range(len(given))])
    assert torch.allclose(differentiable(given, drawn), alone, atol=1e-6)


def test_gradients_pass_as_finite_differences_say():
    given, drawn = images(2).double().requires_grad_(), draws(2).double()
    assert torch.autograd.gradcheck(lambda pictures: differentiable(pictures, drawn).square().sum(), given, fast_mode=True)


def test_layout_stays_channels_last():
    given = images().contiguous(memory_format=torch.channels_last)
    assert differentiable(given, draws()).is_contiguous(memory_format=torch.channels_last)


def test_the_last_draw_below_one_stays_inside():
    assert differentiable(images(1), torch.full((1, DRAWS), 1 - 2**-24)).isfinite().all()
