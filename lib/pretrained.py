"""Where pretrained models lie: the shipped assets by name, folders, the Hub. Loads no heavy library."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

_ASSETS = Path(__file__).parent / "assets"
ASSETS = {
    "phantom-sd":     _ASSETS / "phantom_sd",
    "phantom-siglip": _ASSETS / "phantom_siglip",
    "phantom-oracle": _ASSETS / "phantom_oracle",
}

_SAID = {"card.md", "measured.json"}        # what is said about a model, and not the model


class ModelError(ValueError):
    """A pretrained model is missing or unusable; the message says which, where it was looked for and how to get it."""


def locate(model: str) -> str:
    """The folder of a shipped asset ("phantom-sd") or of a path; anything else is taken for a Hub id and returned as it is.

    ModelError where the asset's folder has not been built.
    """
    if model in ASSETS:
        if not ASSETS[model].is_dir():
            raise ModelError(f"{model} is not in {ASSETS[model]}; build it with: python -m lib.diffusion.base.build {model}")
        return str(ASSETS[model])
    folder = Path(model).expanduser()
    return str(folder) if folder.is_dir() else model


def split_revision(model: str) -> tuple[str, str | None]:
    """"ORGANISATION/MODEL@REVISION" of the Hub as id and revision (a commit, tag or branch); anything else has no revision."""
    name, at, revision = model.rpartition("@")
    named = at and name and revision and model not in ASSETS and not Path(model).expanduser().is_dir()
    return (name, revision) if named else (model, None)


def model_state(model: str) -> str:
    """A short hash that changes when a model's files do; of a Hub id, which its revision pins, and of "spectrum" of the name alone.

    Shipped assets are small and count by content, so a fresh clone has the same; other folders by names, sizes and times of change,
    since they may hold gigabytes; so does the file of "inception@FILE". ModelError as `locate`.
    """
    folder, file = Path(locate(model)), Path(model.partition("@")[2]).expanduser()
    digest = hashlib.sha256(model.encode())
    for path in sorted(folder.rglob("*")) if folder.is_dir() else [file]:
        if path.is_file() and path.name not in _SAID:
            state = path.stat()
            content = path.read_bytes() if model in ASSETS else f"{state.st_size} {state.st_mtime_ns}".encode()
            digest.update((path.relative_to(folder).as_posix() if path != file else path.name).encode() + b"\0" + content)
    return digest.hexdigest()[:16]


@contextmanager
def without_bars(
    *loggings: Any,                         # the logging modules of transformers, diffusers
) -> Iterator[None]:
    """Loading takes a moment, and these have progress bars of their own for it."""
    shown = [logging for logging in loggings if logging.is_progress_bar_enabled()]
    for logging in shown:
        logging.disable_progress_bar()
    try:
        yield
    finally:
        for logging in shown:
            logging.enable_progress_bar()
