"""Where pretrained models lie: the shipped assets by name, folders, the Hub. Loads no heavy library."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

_ASSETS = Path(__file__).parent / "assets"
ASSETS = {
    "phantom-sd":     _ASSETS / "phantom_sd",
    "phantom-siglip": _ASSETS / "phantom_siglip",
    "phantom-oracle": _ASSETS / "phantom_oracle",
    "phantom-cnn":    _ASSETS / "phantom_cnn",
}

_BUILD = {"phantom-cnn": "lib.classify.phantom_cnn"}        # what makes an asset; else lib.diffusion.base.build with its name

_SAID = {"card.md", "measured.json"}        # what is said about a model, and not the model

# Published weights that torch keeps among its checkpoints; torchvision's names end in a hash.
CHECKPOINTS = {
    "inception":     ("weights-inception-2015-12-05-6726825d.pth", "pt_inception-2015-12-05-6726825d.pth"),
    "lpips-alex":    ("alexnet-owt-*.pth",),
    "lpips-vgg":     ("vgg16-*.pth",),
    "lpips-squeeze": ("squeezenet1_1-*.pth",),
}
TORCH_CACHE = "$TORCH_HOME/hub/checkpoints (by default ~/.cache/torch/hub/checkpoints)"        # for messages: nobody's own folders


class ModelError(ValueError):
    """A pretrained model is missing or unusable; the message says which, where it was looked for and how to get it."""


def locate(model: str) -> str:
    """The folder of a shipped asset ("phantom-sd") or of a path; anything else is taken for a Hub id and returned as it is.

    ModelError where the asset's folder has not been built.
    """
    if model in ASSETS:
        if not ASSETS[model].is_dir():
            command = _BUILD.get(model, f"lib.diffusion.base.build {model}")
            raise ModelError(f"{model} is not in lib/assets/{ASSETS[model].name}; build it with: python -m {command}")
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


def fetched(model: str) -> list[str]:
    """Names and sizes of the files of published weights that the caches of torch and of the Hub hold; empty where there is none.

    Not part of `model_state`: fetching them while a stage runs changes nothing of what it makes. Only where another model stood in for
    lack of them do they count once they are there.
    """
    if model in CHECKPOINTS:
        cache = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache")
        folder = Path(os.environ.get("TORCH_HOME") or cache / "torch").expanduser() / "hub" / "checkpoints"
        found = [path for pattern in CHECKPOINTS[model] for path in folder.glob(pattern)]
    else:
        home = Path(os.environ.get("HF_HOME") or Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache") / "huggingface")
        folder = Path(os.environ.get("HF_HUB_CACHE") or home / "hub").expanduser()
        found = folder.glob(f"models--{split_revision(model)[0].replace('/', '--')}/snapshots/*/*") if "/" in model else []
    return sorted(f"{path.name} {path.stat().st_size}" for path in found if path.is_file())


def without_folders(text: str) -> str:
    """A message with the files that it names, and not the folders of this machine that they lie in; web addresses stay."""
    quoted = re.sub(r"""(['"])/[^'"]*?([^/'"]+)/?\1""", r"\1\2\1", text)
    return re.sub(r"""(?<![\w:/.$~])/(?:[^\s/'"]+/)*([^\s/'"]+)""", r"\1", quoted)


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
