"""An encoder by the name that a study gives it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lib.encoders.encoder import Encoder, EncoderError
from lib.encoders.spectrum import Spectrum
from lib.pretrained import locate, split_revision, without_bars, without_folders

if TYPE_CHECKING:
    import torch


def load_encoder(
    name:   str,
    device: torch.device | str = "cpu",
    *,
    key:      str        = "curation.encoder",          # of the study, for messages
    fallback: str | None = None,                        # what to load where `name` is out of reach; none: that is an error
) -> Encoder:
    """The encoder, frozen and in evaluation mode.

    Names: spectrum; inception, inception@FILE; lpips-alex, lpips-vgg, lpips-squeeze; of transformers' image models a shipped one
    (phantom-siglip), a folder, or a Hub id with or without "@revision" (timm/… where timm is installed).
    EncoderError, under `key`, where it cannot be loaded or lacks weights. Where a fallback took its place, its `note` says so; that
    goes into reports, so it names files and not the folders that they lie in here.
    """
    try:
        return _load(name, device, key)
    except EncoderError as error:
        if fallback is None or fallback == name:
            raise
        encoder = _load(fallback, device, key)
        encoder.note = without_folders(f"{error}. {fallback} judges in place of {name}, and every figure names it.")
        return encoder


def _load(name: str, device: torch.device | str, key: str) -> Encoder:
    """Each kind imports what it needs, so that the spectrum needs neither torch nor transformers."""
    if name == Spectrum.name:
        return Spectrum()
    if name.partition("@")[0] == "inception":
        from lib.encoders.inception import load_inception
        return load_inception(name, device, key=key)
    if name.startswith("lpips-"):
        from lib.encoders.lpips_backbone import load_lpips
        return load_lpips(name, device, key=key)
    return _load_transformers(name, device, key)


def _load_transformers(name: str, device: torch.device | str, key: str) -> Encoder:
    from transformers.utils import logging as transformers_logging

    from lib.data.embedding import load_image_model
    from lib.data.errors import DataError
    from lib.encoders.transformers_model import TransformersEncoder

    model_id, revision = split_revision(name)
    try:
        with without_bars(transformers_logging):
            processor, model, random = load_image_model(locate(model_id), revision=revision, key=key, instead=", or use phantom-siglip")
    except DataError as error:
        raise EncoderError(str(error)) from None
    commit = getattr(model.config, "_commit_hash", None) or revision
    return TransformersEncoder(name, processor, model.requires_grad_(False).to(device), commit, without=random)
