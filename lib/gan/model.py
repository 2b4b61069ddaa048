"""A trained generator as two files, `generator.safetensors` and `generator.json`, and as something that draws."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from lib.files import remove_leftovers, write_atomically, write_json
from lib.gan.networks import Generator

WEIGHTS, CARD = "generator.safetensors", "generator.json"


class GeneratorError(ValueError):
    """A generator cannot be loaded; the message says why and what to do."""


@dataclass(frozen=True)
class GanModel:
    """A generator in evaluation mode: an image depends on its own noise alone."""

    generator: Generator                # averaged weights
    classes:   tuple[str, ...]          # what it draws; one of them, or the order of class numbers of a conditional model
    sha256:    str | None = None        # of the weights file; None while it is in training

    @property
    def image_size(self) -> int:
        return self.generator.image_size

    @property
    def latent(self) -> int:
        return self.generator.latent

    def draw(
        self,
        noise:  torch.Tensor,                       # [N, latent] standard normal
        labels: Sequence[str] | None = None,        # one per image; not needed where there is one class
    ) -> np.ndarray:
        """Images uint8 [N, S, S, 3]. ValueError for a class that the model does not draw."""
        numbers = self.numbers(labels, len(noise))
        device = next(self.generator.parameters()).device
        with torch.inference_mode():
            images = self.generator(noise.to(device), None if numbers is None else numbers.to(device))
            return images.add(1).mul(127.5).round_().clamp_(0, 255).to(torch.uint8).permute(0, 2, 3, 1).cpu().numpy()

    def numbers(self, labels: Sequence[str] | None, count: int) -> torch.Tensor | None:
        """Class numbers [count] of a conditional model, None of another."""
        if labels is None:
            if len(self.classes) > 1:
                raise ValueError(f"this generator draws {', '.join(self.classes)}; say which for each image")
            labels = self.classes * count
        if unknown := sorted(set(labels) - set(self.classes)):
            raise ValueError(f"this generator does not draw {unknown[0]!r}; it draws {', '.join(self.classes)}")
        if len(labels) != count:
            raise ValueError(f"{len(labels)} labels for {count} rows of noise; give one label per row")
        return torch.tensor([self.classes.index(label) for label in labels]) if self.generator.classes else None


def save_generator(
    folder:    Path,                            # of this generator alone
    generator: Generator,                       # with the averaged weights
    config:    Mapping[str, Any],               # plain values to keep beside it: options, history, fingerprint
    classes:   Sequence[str],                   # labels in the order of class numbers
) -> None:
    """Write both files atomically, the card last: where it lies, the generator is whole."""
    remove_leftovers(folder)
    weights = {name: value.detach().cpu().contiguous() for name, value in generator.state_dict().items()}
    write_atomically(folder / WEIGHTS, lambda temporary: save_file(weights, temporary, metadata={"format": "pt"}))
    write_json(folder / CARD, {
        "shape":   {name: getattr(generator, name) for name in ("image_size", "latent", "features", "classes")},
        "classes": list(classes),
        "sha256":  _sha256(folder / WEIGHTS),
        "config":  dict(config),
    })


def read_card(folder: Path) -> dict[str, Any]:
    """shape, classes, sha256 and config of the generator in `folder`, after a check of the weights' hash. GeneratorError as below."""
    try:
        card = json.loads((folder / CARD).read_text(encoding="utf-8"))
        found, wanted = _sha256(folder / WEIGHTS), card["sha256"]
        if not {"shape", "classes", "config"} <= card.keys():
            raise KeyError("shape, classes or config")
    except FileNotFoundError as error:
        raise GeneratorError(f"{folder}: there is no generator ({Path(error.filename).name} is missing); run 04_wgan_gp") from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise GeneratorError(f"{folder}: {CARD} cannot be read ({error}); run 04_wgan_gp again") from None
    if found != wanted:
        raise GeneratorError(f"{folder}: {WEIGHTS} is not the file that {CARD} describes (sha256 {found[:12]}…, expected {wanted[:12]}…); "
                             "copy both files together, or run 04_wgan_gp again")
    return card


def load_generator(folder: Path, device: torch.device | str = "cpu") -> GanModel:
    """The generator in `folder`. GeneratorError where it is missing, damaged, or not the one that its card describes."""
    folder = Path(folder)
    card = read_card(folder)
    try:
        generator = Generator(**card["shape"])
        generator.load_state_dict(load_file(folder / WEIGHTS))
    except (TypeError, ValueError, RuntimeError, SafetensorError) as error:
        reason = str(error).strip().splitlines()[0]
        raise GeneratorError(f"{folder}: {WEIGHTS} does not fit the network of {CARD} ({reason}); run 04_wgan_gp again") from None
    generator.requires_grad_(False).eval().to(device, memory_format=torch.channels_last)
    return GanModel(generator, tuple(card["classes"]), card["sha256"])


def load_generators(folder: Path, device: torch.device | str = "cpu") -> dict[str, GanModel]:
    """Label → the generator that draws it, of all folders in `folder`; a conditional one stands for each of its classes.

    GeneratorError as above, where there is none, and where two draw the same class.
    """
    models: dict[str, GanModel] = {}
    for card in sorted(Path(folder).glob(f"*/{CARD}")):
        model = load_generator(card.parent, device)
        if twice := sorted(models.keys() & set(model.classes)):
            raise GeneratorError(f"{card.parent}: another folder of {folder} draws {twice[0]!r} as well; delete the one that is not wanted")
        models |= dict.fromkeys(model.classes, model)
    if not models:
        raise GeneratorError(f"{folder}: there is no generator in any folder of it; run 04_wgan_gp")
    return models


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
