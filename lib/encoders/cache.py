"""What an encoder saw in pictures, kept on disk by the pictures' content, the encoder and the way that led from file to pixels."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from filelock import FileLock

from lib.data.vectors import read_vectors, write_vectors
from lib.encoders.encoder import Encoder, EncoderError

_BLOCK = 1024           # pictures that are in memory at once


def cached(
    encoder: Encoder,
    pixels:  np.ndarray,                            # uint8 [N, H, W, 3]; may be a memory map, read only where something is missing
    hashes:  Sequence[str],                         # [N] sha256 of the image files
    *,
    transform: str,                                 # how files became pixels, in any words: crop, size, hair
    cache:     Path,                                # folder; a file per encoder and transform
    names:     Sequence[str] | None = None,         # [N] image_ids, for messages
) -> np.ndarray:
    """`Encoder.embed` of the pictures [N, D]; only what the cache lacks is encoded, and processes that ask at once wait for the first.

    A damaged file is made again. EncoderError where a vector holds NaN or infinity, naming the image; ValueError where the lengths differ.
    """
    if len(hashes) != len(pixels):
        raise ValueError(f"{len(pixels):,} pictures and {len(hashes):,} hashes: each picture needs that of its file")
    said = json.dumps([encoder.identity, transform], sort_keys=True)
    path = Path(cache) / f"embed-{hashlib.sha256(said.encode()).hexdigest()[:16]}.npz"
    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(path.with_suffix(".lock")):
        known = read_vectors(path)
        places = {digest: place for place, digest in enumerate(hashes) if digest not in known}
        if places:
            order = sorted(places, key=places.__getitem__)
            wanted = [places[digest] for digest in order]
            fresh = np.concatenate([encoder.embed(pixels[wanted[start:start + _BLOCK]]) for start in range(0, len(wanted), _BLOCK)])
            _check(encoder, fresh, [(hashes if names is None else names)[place] for place in wanted])
            known |= dict(zip(order, fresh, strict=True))
            write_vectors(path, known)
    return np.stack([known[digest] for digest in hashes]) if len(hashes) else encoder.embed(pixels)


def _check(encoder: Encoder, vectors: np.ndarray, names: Sequence[str]) -> None:
    lost = [name for name, vector in zip(names, vectors, strict=True) if not np.isfinite(vector).all()]
    if lost:
        raise EncoderError(f"{encoder.name} gives NaN or infinity for {len(lost):,} of {len(names):,} images (first: {lost[0]}). Look at "
                           "that picture; where it is sound, the encoder's weights are not")
