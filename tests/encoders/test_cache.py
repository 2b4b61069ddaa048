"""Vectors on disk: the same as without a cache, encoded once, by encoder and transform, and made again where damaged."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lib.encoders.cache import cached
from lib.encoders.encoder import Encoder, EncoderError


class Counting(Encoder):
    """Means of the channels; counts the pictures it has seen."""

    def __init__(self, name="counting", broken=()):
        self.name, self.seen, self.broken = name, 0, broken

    def embed(self, pixels):
        self.seen += len(pixels)
        vectors = pixels.mean(axis=(1, 2)).astype(np.float32)
        vectors[[tuple(picture[0, 0]) in self.broken for picture in pixels]] = np.nan
        return vectors


PICTURES = np.random.default_rng(0).integers(0, 256, (12, 32, 32, 3), dtype=np.uint8)
HASHES = np.array([f"{place:064x}" for place in range(12)])


def ask(encoder, cache, places=range(12), transform="32 px", **options):
    places = list(places)
    return cached(encoder, PICTURES[places], HASHES[places], transform=transform, cache=cache, **options)


def test_what_is_known_is_not_encoded_again(tmp_path):
    encoder = Counting()
    first = ask(encoder, tmp_path, places=range(8))
    np.testing.assert_array_equal(first, encoder.embed(PICTURES[:8]))
    encoder.seen = 0
    np.testing.assert_array_equal(ask(encoder, tmp_path), Counting().embed(PICTURES))
    assert encoder.seen == 4
    assert ask(encoder, tmp_path, places=[]).shape == (0, 3)


@settings(max_examples=20, deadline=None)
@given(places=st.lists(st.integers(0, 11), min_size=1, max_size=20))
def test_any_order_and_repeats(places, tmp_path_factory):
    cache = tmp_path_factory.mktemp("cache")
    for asked in (places[: len(places) // 2 + 1], places):
        np.testing.assert_array_equal(ask(Counting(), cache, places=asked), Counting().embed(PICTURES[asked]))


def test_encoder_and_transform_are_kept_apart(tmp_path):
    ask(Counting(), tmp_path)
    for other, options in ((Counting(), {"transform": "64 px"}), (Counting("other"), {})):
        ask(other, tmp_path, **options)
        assert other.seen == 12
    assert len(list(tmp_path.glob("*.npz"))) == 3


@pytest.mark.parametrize("damage", ["cut", "flipped", "empty", "words"])
def test_a_damaged_file_is_made_again(tmp_path, damage):
    wanted = ask(Counting(), tmp_path)
    path = next(tmp_path.glob("*.npz"))
    content = bytearray(path.read_bytes())
    content[len(content) - 60 * 4] ^= 255 if damage == "flipped" else 0
    path.write_bytes({"cut": content[:-20], "flipped": content, "empty": b"", "words": b"no numbers"}[damage])
    encoder = Counting()
    np.testing.assert_array_equal(ask(encoder, tmp_path), wanted)
    assert encoder.seen == 12
    ask(encoder, tmp_path)
    assert encoder.seen == 12


def test_several_at_once_encode_once(tmp_path):
    encoder = Counting()
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: ask(encoder, tmp_path), range(4)))
    assert encoder.seen == 12 and all((one == found[0]).all() for one in found)


def test_a_vector_that_is_not_finite_names_the_image_and_is_not_kept(tmp_path):
    broken = Counting(broken={tuple(PICTURES[5, 0, 0])})
    with pytest.raises(EncoderError, match=f"counting gives NaN or infinity for 1 of 12 images .first: {HASHES[5]}"):
        ask(broken, tmp_path)
    with pytest.raises(EncoderError, match="first: lesion-5"):
        ask(broken, tmp_path, names=[f"lesion-{place}" for place in range(12)])
    np.testing.assert_array_equal(ask(Counting(), tmp_path), Counting().embed(PICTURES))


def test_each_picture_needs_a_hash(tmp_path):
    with pytest.raises(ValueError, match="12 pictures and 11 hashes"):
        cached(Counting(), PICTURES, HASHES[:11], transform="", cache=tmp_path)
