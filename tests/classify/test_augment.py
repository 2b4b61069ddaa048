"""Augmentation: nothing asked, nothing done; each change against torchvision's or torch's own."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torchvision.transforms import functional as reference

from lib.classify.augment import GREY, affine_maps, augment, colour_factors, recolour, resample
from lib.study import Augmentation

NOTHING = {"rotation": 0, "flips": False, "brightness": 0, "contrast": 0, "saturation": 0, "hue": 0, "translate": 0, "scale": (1, 1)}


def pictures(count: int = 4, size: int = 16, low: float = 0.0, high: float = 1.0) -> torch.Tensor:
    images = torch.rand((count, 3, size, size), generator=torch.Generator().manual_seed(1)) * (high - low) + low
    return images.to(memory_format=torch.channels_last)


def seen(images: torch.Tensor, draws: dict[str, float], **options) -> torch.Tensor:
    """Images under one geometric draw; an undrawn change is at the middle of its range, i.e. nothing."""
    middle = {"rotation": 0.5, "zoom": 0.5, "x": 0.5, "y": 0.5, "mirror_x": 0.9, "mirror_y": 0.9}
    drawn = torch.tensor(list({**middle, **draws}.values()), dtype=torch.float64)[:, None].expand(6, len(images))
    return resample(images, affine_maps(Augmentation(**{**NOTHING, **options}), drawn))


def factors(count: int, **changed: float) -> list[torch.Tensor]:
    given = {"brightness": 1.0, "contrast": 1.0, "saturation": 1.0, "hue": 0.0, **changed}
    return [torch.full((count,), value, dtype=torch.float64) for value in given.values()]


def test_settings_that_change_nothing_return_the_same_tensor():
    images = pictures()
    assert augment(images, Augmentation(**NOTHING), torch.Generator().manual_seed(0)) is images


@settings(deadline=None, max_examples=40)
@given(
    st.integers(0, 2**31),
    st.builds(
        Augmentation, rotation=st.floats(0, 180), flips=st.booleans(), translate=st.floats(0, 0.9),
        scale=st.tuples(st.floats(0.3, 1), st.floats(1, 3)), brightness=st.floats(0, 0.99), contrast=st.floats(0, 0.99),
        saturation=st.floats(0, 0.99), hue=st.floats(0, 0.5),
    ),
)
def test_colours_stay_in_range_and_equal_seeds_give_equal_pictures(seed, options):
    images = pictures()
    untouched = images.clone()
    first, second = (augment(images, options, torch.Generator().manual_seed(seed)) for _ in range(2))
    assert first.shape == images.shape and first.dtype == images.dtype
    assert torch.equal(first, second) and torch.equal(images, untouched)
    assert torch.isfinite(first).all() and first.min() >= 0 and first.max() <= 1 + 1e-6


def test_each_picture_gets_its_own_change_and_another_seed_gives_another():
    images = pictures(1).expand(3, -1, -1, -1)
    out = augment(images, Augmentation(), torch.Generator().manual_seed(0))
    assert not torch.allclose(out[0], out[1]) and not torch.allclose(out[1], out[2])
    assert not torch.allclose(out, augment(images, Augmentation(), torch.Generator().manual_seed(1)))


def test_switching_one_change_off_leaves_the_others():
    images = pictures()
    geometry = augment(images, Augmentation(**{**NOTHING, "rotation": 30, "flips": True}), torch.Generator().manual_seed(0))
    draws = torch.rand((10, 4), generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    both = augment(images, Augmentation(**{**NOTHING, "rotation": 30, "flips": True, "brightness": 0.2}), torch.Generator().manual_seed(0))
    dim = colour_factors(Augmentation(**{**NOTHING, "brightness": 0.2}), draws[6:])
    assert torch.allclose(both, recolour(geometry, *dim))


def test_geometry_is_torchs():
    images = pictures()
    assert torch.allclose(seen(images, {}), images, atol=1e-5)
    assert torch.allclose(seen(images, {"rotation": 1.0}, rotation=90), torch.rot90(images, -1, (2, 3)), atol=1e-4)
    assert torch.allclose(seen(images, {"rotation": 0.0}, rotation=90), torch.rot90(images, 1, (2, 3)), atol=1e-4)
    assert torch.allclose(seen(images, {"rotation": 1.0}, rotation=180), torch.rot90(images, 2, (2, 3)), atol=1e-4)
    assert torch.allclose(seen(images, {"mirror_x": 0.1}, flips=True), images.flip(3), atol=1e-5)
    assert torch.allclose(seen(images, {"mirror_y": 0.1}, flips=True), images.flip(2), atol=1e-5)


def test_a_move_is_a_share_of_the_picture():
    images = pictures()                                                # 16 px: an eighth is two of them
    assert torch.allclose(seen(images, {"x": 1.0}, translate=0.125)[..., :-2], images[..., 2:], atol=1e-5)
    assert torch.allclose(seen(images, {"y": 0.0}, translate=0.125)[..., 2:, :], images[..., :-2, :], atol=1e-5)


def test_zoom_is_torchvisions_inside():
    images = pictures(size=32)
    ours = seen(images, {"zoom": 1.0}, scale=(1.0, 1.5))
    theirs = reference.affine(images, angle=0, translate=[0, 0], scale=1.5, shear=[0.0], interpolation=reference.InterpolationMode.BILINEAR)
    assert torch.allclose(ours, theirs, atol=1e-4)


def test_colours_are_torchvisions():
    images = pictures(low=0.4, high=0.6)                               # nothing is cut off at 0 or 1
    assert torch.allclose(recolour(images, *factors(4, brightness=1.2)), reference.adjust_brightness(images, 1.2), atol=1e-6)
    assert torch.allclose(recolour(images, *factors(4, contrast=0.7)), reference.adjust_contrast(images, 0.7), atol=1e-4)
    assert torch.allclose(recolour(images, *factors(4, saturation=1.3)), reference.adjust_saturation(images, 1.3), atol=1e-4)
    together = recolour(images, *factors(4, brightness=1.1, contrast=0.8, saturation=1.3))
    step_by_step = reference.adjust_saturation(reference.adjust_contrast(reference.adjust_brightness(images, 1.1), 0.8), 1.3)
    assert torch.allclose(together, step_by_step, atol=1e-4)


def test_hue_keeps_brightness_and_greys_and_comes_round():
    images, grey = pictures(low=0.4, high=0.6), torch.tensor(GREY)
    turned = recolour(images, *factors(4, hue=0.25))
    assert not torch.allclose(turned, images, atol=0.01)
    assert torch.allclose(torch.einsum("bchw,c->bhw", turned, grey), torch.einsum("bchw,c->bhw", images, grey), atol=1e-5)
    assert torch.allclose(recolour(turned, *factors(4, hue=-0.25)), images, atol=1e-5)
    assert torch.allclose(recolour(images, *factors(4, hue=1.0)), images, atol=1e-5)
    greys = images[:, :1].expand(-1, 3, -1, -1)
    assert torch.allclose(recolour(greys, *factors(4, hue=0.3, saturation=0.2)), greys, atol=1e-4)


def test_draws_spread_over_the_ranges_asked_for():
    options = Augmentation(rotation=30, flips=True, translate=0.1, scale=(0.8, 1.1), brightness=0.2, contrast=0.3, saturation=0.4, hue=0.1)
    draws = torch.rand((10, 4000), generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    for values, size, middle in zip(colour_factors(options, draws[6:]), (0.2, 0.3, 0.4, 0.1), (1, 1, 1, 0), strict=True):
        assert middle - size <= values.min() < middle - 0.95 * size and middle + 0.95 * size < values.max() <= middle + size
    maps = affine_maps(options, draws[:6])
    zoom = torch.linalg.det(maps[:, :, :2]).abs() ** -0.5
    assert zoom.min() == pytest.approx(0.8, abs=0.01) and zoom.max() == pytest.approx(1.1, abs=0.01)
    angle = torch.rad2deg(torch.atan2(maps[:, 0, 1].abs(), maps[:, 0, 0].abs()))
    assert 28 < angle.max() <= 30 + 1e-9
    assert maps[:, :, 2].abs().max() == pytest.approx(0.2, abs=0.001)
    mirrored = (torch.linalg.det(maps[:, :, :2]) < 0).double().mean()
    assert mirrored == pytest.approx(0.5, abs=0.04)
