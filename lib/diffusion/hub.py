"""Where pretrained models come from: the shipped assets by name, folders, and the Hub. Weights are read as safetensors only."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import torch
from diffusers import StableDiffusionPipeline
from diffusers.utils import logging as diffusers_logging
from safetensors import SafetensorError
from transformers.utils import logging as transformers_logging

from lib.pretrained import ASSETS, ModelError, locate, without_bars
from lib.study.generate import Base

_PARTS = {"vae", "text_encoder", "tokenizer", "unet", "scheduler"}      # of a Stable Diffusion 1.x pipeline
_UNUSED = {"safety_checker", "feature_extractor"}                       # what a pipeline may also hold, and nothing here looks at
_FETCHED = ("*.json", "*.txt", "*/*.safetensors")                       # all that is read; a repository may hold tens of gigabytes more


@dataclass(frozen=True)
class Identity:
    """What tells one base model from another."""

    model:    str               # as the study names it
    revision: str | None        # commit of a Hub model
    sha256:   str               # of every configuration, vocabulary and weight file that the pipeline loads


# ── pipelines ────────────────────────────────────────────────────────────────────────────────────────────────────

def load_pipeline(
    base: Base,
    *,
    device: torch.device | str = "cpu",
    dtype:  torch.dtype        = torch.float32,
) -> StableDiffusionPipeline:
    """The pipeline, frozen and in evaluation mode, without safety checker and progress bar.

    UNet and VAE hold their kernels channels last, which makes a batch a fifth quicker on CPUs.
    ModelError where it is neither here nor to be fetched, is damaged, or is no Stable Diffusion 1.x pipeline.
    """
    folder = _folder(base)
    _check_parts(base, folder)
    try:
        with without_bars(diffusers_logging, transformers_logging):
            pipeline = StableDiffusionPipeline.from_pretrained(
                folder, variant=base.variant, dtype=dtype, use_safetensors=True, local_files_only=True,
                safety_checker=None, feature_extractor=None, requires_safety_checker=False,
            )
    except (OSError, ValueError, KeyError, RuntimeError, SafetensorError) as error:
        raise ModelError(f"diffusion.base.model: {base.model!r} in {folder} cannot be loaded ({_first_line(error)}). "
                         f"{_advice(base)}") from None
    pipeline.set_progress_bar_config(disable=True)
    for part in pipeline.components.values():
        if isinstance(part, torch.nn.Module):
            part.requires_grad_(False).eval()
    for part in (pipeline.unet, pipeline.vae):
        part.to(memory_format=torch.channels_last)
    return pipeline.to(device)


def cast(pipeline: StableDiffusionPipeline, dtype: torch.dtype) -> None:
    """All weights in `dtype`. Parts that are so already are left alone: diffusers warns of every cast, also of one that changes nothing."""
    for part in pipeline.components.values():
        if isinstance(part, torch.nn.Module) and any(weight.dtype != dtype for weight in part.parameters()):
            part.to(dtype)


def identify(base: Base) -> Identity:
    """Name, commit and hash of the files that `load_pipeline` reads; hashes them once per process. ModelError as there."""
    folder = _folder(base)
    _check_parts(base, folder)
    revision = folder.name if folder.parent.name == "snapshots" else base.revision
    digest = hashlib.sha256()
    for path in sorted(_files(base, folder)):
        digest.update(f"{path.relative_to(folder).as_posix()} {file_hash(path)}\n".encode())
    return Identity(base.model, revision, digest.hexdigest())


def native_size(pipeline: StableDiffusionPipeline) -> int:
    """Pixels per side of the images that the base model was trained on."""
    return pipeline.unet.config.sample_size * pipeline.vae_scale_factor


def file_hash(path: Path) -> str:
    """SHA-256 of a file, worked out once per process as long as the file stays the same."""
    state = path.stat()
    return _hash(path, state.st_size, state.st_mtime_ns)


def _folder(base: Base) -> Path:
    """Of the pipeline; a Hub model is fetched, or found among those fetched before."""
    place = locate(base.model)
    if Path(place).is_dir():
        return Path(place)
    try:
        return Path(StableDiffusionPipeline.download(place, revision=base.revision, variant=base.variant, use_safetensors=True))
    except (OSError, ValueError) as error:
        raise ModelError(f"diffusion.base.model: {base.model!r} is no shipped model ({', '.join(ASSETS)}), no folder, and cannot be "
                         f"fetched from here ({_first_line(error)}). {_advice(base)}") from None


def _check_parts(base: Base, folder: Path) -> None:
    try:
        index = json.loads((folder / "model_index.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ModelError(f"diffusion.base.model: {base.model!r} in {folder} has no readable model_index.json ({_first_line(error)}). "
                         f"{_advice(base)}") from None
    parts = {name for name, made_by in index.items() if isinstance(made_by, list) and made_by[0]}
    if lacks := sorted(_PARTS - parts):
        raise ModelError(f"diffusion.base.model: {base.model!r} lacks {', '.join(lacks)}. {_advice(base)}")
    if "text_encoder_2" in parts or index.get("_class_name") != "StableDiffusionPipeline":
        raise ModelError(f"diffusion.base.model: {base.model!r} is a {index.get('_class_name')}; expected a StableDiffusionPipeline "
                         "(Stable Diffusion 1.x and models of its shape)")


def _files(base: Base, folder: Path) -> Iterator[Path]:
    """Of weights only those of the wanted variant, or where a part has none, the plain ones: as diffusers chooses."""
    for part in sorted(path for path in folder.iterdir() if path.is_dir() and path.name not in _UNUSED):
        yield from (path for path in part.iterdir() if path.suffix in (".json", ".txt"))
        weights = {path: _variant(path) for path in part.glob("*.safetensors")}
        chosen = base.variant if base.variant in weights.values() else None
        yield from (path for path, variant in weights.items() if variant == chosen)


def _variant(path: Path) -> str | None:
    """"fp16" of model.fp16.safetensors and model.fp16-00001-of-00002.safetensors."""
    words = path.stem.split(".")
    return words[1].split("-")[0] if len(words) > 1 else None


@lru_cache(maxsize=256)
def _hash(path: Path, size: int, changed: int) -> str:      # size and time of change are part of the cache's key
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _advice(base: Base) -> str:
    if base.model in ASSETS:
        return f"Build it again with: python -m lib.diffusion.base.build {base.model}"
    named = base.model if base.model.count("/") == 1 and base.model[0] not in "./~" else "ORGANISATION/MODEL"
    revision = f" --revision {base.revision}" if base.revision else ""
    include = " ".join(f"--include '{pattern}'" for pattern in _FETCHED)
    return (f"Where there is a network, run: hf download {named}{revision} {include}; or add --local-dir FOLDER, bring the folder here and "
            "write its path as diffusion.base.model")


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
