"""Checkpoints: one safetensors file each (tensors, and everything else as JSON in its header), atomic and checked on reading.

A file holds its fingerprint and a digest of its whole content. One that is cut short, altered or made under another
configuration is never used: `load_checkpoint` says so and goes to the one before it.
"""

from __future__ import annotations

import errno
import hashlib
import json
import logging
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from lib.files import remove_leftovers, write_atomically

Say = Callable[[str], None]
_PLAIN = (str, int, float, bool, type(None))


@dataclass(frozen=True)
class Checkpoint:
    """What was saved after `step` steps."""

    step:  int
    state: Any      # the tree given to save_checkpoint; tensors on the CPU


def save_checkpoint(
    folder:      Path,
    step:        int,     # ≥ 0; a later one has a higher number
    state:       Any,     # tree of dict / list / tuple with tensors, numbers, words, booleans or None as leaves
    *,
    fingerprint: str,     # of everything that decides the outcome; a run with another one ignores this file
    keep:        int = 2, # how many of the newest stay on disk (≥ 2, or a damaged one leaves nothing)
) -> Path:
    """Write `<folder>/step-<step>.safetensors` in one step (temporary name, fsync, rename) and delete the oldest ones.

    Those of later steps go as well: this run passed them over, as damaged or of another configuration, and they would outlive its own.
    TypeError names the place of a leaf that is neither a tensor nor a plain value.
    """
    path = folder / f"step-{step:010d}.safetensors"
    write_state(path, {"step": step, "state": state}, fingerprint=fingerprint)
    files = _newest_first(folder)
    ours = files[files.index(path):]
    for old in {*files} - {*ours[:keep]}:
        old.unlink(missing_ok=True)
    return path


def load_checkpoint(folder: Path, *, fingerprint: str, say: Say | None = None) -> Checkpoint | None:
    """The newest checkpoint that is whole and carries `fingerprint`; None where there is none.

    `say` gets one sentence for each that is passed over (default: a warning in the log).
    """
    say = say or logging.getLogger(__name__).warning
    if folder.is_dir():
        remove_leftovers(folder)
    for path in _newest_first(folder):
        try:
            saved = read_state(path, fingerprint=fingerprint)
        except StateError as error:
            say(f"{path}: not used ({error}); looking for an earlier one")
            continue
        return Checkpoint(saved["step"], saved["state"])
    return None


def delete_checkpoints(folder: Path) -> None:
    """Remove the checkpoints of a run that is finished and saved elsewhere, and the folder if nothing else lies in it."""
    if not folder.is_dir():
        return
    remove_leftovers(folder)
    for path in _newest_first(folder):
        path.unlink(missing_ok=True)
    if not any(folder.iterdir()):
        folder.rmdir()


# ── what a run that ends early says ──────────────────────────────────────────────────────────────────────────────

def what_stays(folder: Path, saved: int | None, unit: str = "step") -> str:
    """A sentence on the newest checkpoint, that of `saved` steps (or what else the training counts)."""
    return "No checkpoint was written before." if saved is None else f"The checkpoint of {unit} {saved} stays in {folder}."


@contextmanager
def told_when_full(
    section: str,                   # of the study, which the message starts with: "gan"
    done:    int,                   # steps
    folder:  Path,                  # of the checkpoints
    saved:   int | None,            # the step of the newest one
    unit:    str = "step",          # what the training counts
) -> Iterator[None]:
    """Around whatever a training writes: where the disk is full (or a quota used up), OSError says what stays and what to do.

    safetensors raises an error of its own, with the system's number in its text.
    """
    try:
        yield
    except (OSError, SafetensorError) as error:
        named = re.search(r"\(os error (\d+)\)", str(error))
        number = getattr(error, "errno", None) or (named and int(named[1]))
        if number not in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise OSError(number, f"{section}: the disk is full after {unit} {done}. {what_stays(folder, saved, unit)} "
                              "Free some space and run the same command again", str(folder)) from None


# ── one file ─────────────────────────────────────────────────────────────────────────────────────────────────────

class StateError(ValueError):
    """A state file cannot be used; the message says why."""


def write_state(path: Path, state: Any, *, fingerprint: str) -> None:
    """A tree of tensors and plain values as one safetensors file, atomically."""
    tensors: dict[str, torch.Tensor] = {}
    text = json.dumps(_take_apart(state, tensors, "state"), ensure_ascii=False)
    header = {"fingerprint": fingerprint, "state": text, "digest": _digest(tensors, text, fingerprint)}
    write_atomically(path, lambda temporary: save_file(tensors, temporary, metadata=header))


def read_state(path: Path, *, fingerprint: str) -> Any:
    """The tree that `write_state` was given. StateError when the file is damaged or carries another fingerprint."""
    try:
        with safe_open(path, framework="pt") as file:
            header = file.metadata() or {}
            if header.get("fingerprint", fingerprint) != fingerprint:
                raise StateError(f"made under another configuration: fingerprint {header['fingerprint']}, now {fingerprint}")
            tensors = {name: file.get_tensor(name) for name in file.keys()}     # noqa: SIM118 (not a mapping)
        text = header["state"]
        if header["digest"] != _digest(tensors, text, header["fingerprint"]):
            raise StateError("damaged: its content does not agree with its digest")
        return _put_together(json.loads(text), tensors)
    except (SafetensorError, OSError, KeyError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise StateError(f"damaged: {error or type(error).__name__}") from None


def _take_apart(value: Any, tensors: dict[str, torch.Tensor], place: str) -> Any:
    """Plain JSON in which every container and tensor is marked; tensors go into `tensors` under their place."""
    if isinstance(value, torch.Tensor):
        # Adam's moments follow the weights' memory layout; losing it would change the order of additions after a resume
        layout = "channels_last" if _is_channels_last(value) else "rows"
        value = value.detach().cpu()
        tensors[place] = (value.permute(0, 2, 3, 1) if layout == "channels_last" else value).contiguous().clone()
        return {"tensor": place, "layout": layout}
    if isinstance(value, dict):
        return {"dict": [[_plain(key, place), _take_apart(item, tensors, f"{place}.{key}")] for key, item in value.items()]}
    if isinstance(value, (list, tuple)):
        kind = "tuple" if isinstance(value, tuple) else "list"
        return {kind: [_take_apart(item, tensors, f"{place}.{i}") for i, item in enumerate(value)]}
    return _plain(value, place)


def _put_together(value: Any, tensors: dict[str, torch.Tensor]) -> Any:
    if not isinstance(value, dict):
        return value
    if "tensor" in value:
        tensor = tensors[value["tensor"]]
        return tensor.permute(0, 3, 1, 2) if value["layout"] == "channels_last" else tensor
    if "dict" in value:
        return {key: _put_together(item, tensors) for key, item in value["dict"]}
    items = [_put_together(item, tensors) for item in value.get("tuple", value.get("list"))]
    return tuple(items) if "tuple" in value else items


def _plain(value: Any, place: str) -> Any:
    if not isinstance(value, _PLAIN):
        raise TypeError(f"{place}: a checkpoint holds tensors and plain values, not {type(value).__name__}")
    return value


def _is_channels_last(tensor: torch.Tensor) -> bool:
    return tensor.dim() == 4 and not tensor.is_contiguous() and tensor.is_contiguous(memory_format=torch.channels_last)


def _digest(tensors: dict[str, torch.Tensor], text: str, fingerprint: str) -> str:
    digest = hashlib.sha256(f"{fingerprint}\n{text}".encode())
    for name in sorted(tensors):
        tensor = tensors[name]
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy() if tensor.numel() else b"")
    return digest.hexdigest()


def _newest_first(folder: Path) -> list[Path]:
    return sorted(folder.glob("step-*.safetensors"), reverse=True)
