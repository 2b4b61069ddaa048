"""What an encoder saw, on disk: a vector for each image, by the sha256 of its file."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from lib.files import write_atomically


def read_vectors(path: Path) -> dict[str, np.ndarray]:
    """Hash → vector; nothing where the file is missing or damaged, as it can be made again."""
    try:
        with np.load(path, allow_pickle=False) as stored:
            return dict(zip(stored["sha256"].tolist(), stored["vectors"], strict=True))
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error):
        return {}


def write_vectors(path: Path, known: Mapping[str, np.ndarray]) -> None:
    """Atomically, in the order of the hashes, so that the same vectors give the same file."""
    def write(temporary: Path) -> None:
        names = sorted(known)
        with temporary.open("wb") as file:              # a name without .npz at its end would get one
            np.savez(file, sha256=np.array(names), vectors=np.stack([known[name] for name in names]))

    write_atomically(path, write)
