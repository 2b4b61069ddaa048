"""A finished cell on disk: `model.safetensors` and `training.json`, recognised by their fingerprint and checked on reading."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

from lib.files import remove_leftovers, write_atomically, write_json


@dataclass(frozen=True)
class SavedCell:
    """The outcome of training one cell."""

    weights:       dict[str, torch.Tensor]    # state of the best epoch's network
    history:       list[dict]                 # a row per epoch
    best_epoch:    int                        # counted from 1
    class_weights: dict[str, float]           # label → weight in the loss


def save_cell(folder: Path, fingerprint: str, saved: SavedCell) -> None:
    """Write both files atomically, `training.json` last: where it lies, the cell is finished."""
    remove_leftovers(folder)
    weights = {name: value.detach().cpu().contiguous() for name, value in saved.weights.items()}
    model = folder / "model.safetensors"
    write_atomically(model, lambda temporary: save_file(weights, temporary, metadata={"format": "pt"}))
    write_json(folder / "training.json", {
        "fingerprint":   fingerprint,
        "model_sha256":  _sha256(model),
        "best_epoch":    saved.best_epoch,
        "class_weights": saved.class_weights,
        "history":       [{key: None if value != value else value for key, value in row.items()} for row in saved.history],   # NaN
    })


def load_cell(folder: Path, fingerprint: str, say: Callable[[str], None]) -> SavedCell | None:
    """The finished cell in `folder`; None (and why, to `say`) if it is damaged or carries another fingerprint."""
    place = folder / "training.json"
    if not place.is_file():
        return None
    try:
        record = json.loads(place.read_text(encoding="utf-8"))
        if record["fingerprint"] != fingerprint:
            say(f"{folder}: trained under another configuration (fingerprint {record['fingerprint']}, now {fingerprint}); training again")
            return None
        if record["model_sha256"] != _sha256(folder / "model.safetensors"):
            say(f"{folder}: model.safetensors is not the file that training.json describes; training again")
            return None
        history = [{key: math.nan if value is None else value for key, value in row.items()} for row in record["history"]]
        return SavedCell(load_file(folder / "model.safetensors"), history, record["best_epoch"], record["class_weights"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        say(f"{folder}: the finished cell cannot be read ({error}); training again")
        return None


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
