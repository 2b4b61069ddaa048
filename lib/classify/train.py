"""Train one cell of the grid: the same budget for every arm, the best epoch by validation macro-F1, resumable and repeatable."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import pandas as pd
import torch

from lib.classify.arms import find_arm
from lib.classify.fit import Progress, Run, Stream
from lib.classify.grid import Cell
from lib.classify.models import ImageClassifier, build_model
from lib.classify.pool import Pool
from lib.classify.saved import load_cell, save_cell
from lib.pretrained import model_state
from lib.study import Classifier, Compute
from lib.study import fingerprint as digest
from lib.training.checkpoints import delete_checkpoints, told_when_full
from lib.training.runtime import prepare_machine


@dataclass(frozen=True)
class Trained:
    """A finished cell."""

    cell:          Cell
    model:         ImageClassifier     # the best epoch's weights, in evaluation mode
    history:       pd.DataFrame        # a row per epoch: epoch, learning_rate, train_loss, validation_loss, macro_f1, auroc
    best_epoch:    int                 # counted from 1, as in the history
    class_weights: dict[str, float]    # label → weight in the validation loss, from the expected counts of the pool it began with
    steps:         int                 # optimiser steps run until the last epoch
    budget:        int                 # optimiser steps of all epochs, the same for every arm; early stopping may leave some unused
    reused:        bool                # it lay finished on disk, nothing was trained


def train_cell(
    cell:        Cell,
    pool:        Pool,             # of the cell's arm and fraction; test rows are not looked at
    classes:     Sequence[str],    # class order of the logits
    options:     Classifier,
    *,
    folder:      Path,             # of this cell alone: checkpoints/, model.safetensors, training.json
    compute:     Compute,
    fingerprint: str,              # of what the options do not show: how pixels were made, the sources of the stage, what a stream draws
    shares:      Mapping[str, float]          = MappingProxyType({}),   # tone or group → generated share; see `Mixing.shares`
    stream:      Stream | None                = None,    # of an arm that draws while it trains
    progress:    Progress | None              = None,
    say:         Callable[[str], None] | None = None,    # gets a sentence when something on disk is not used; default: the log
) -> Trained:
    """Train `cell`, or go on from its last checkpoint, or load it if it is finished: the outcome is the same.

    All randomness comes from (cell.seed, purpose, step): on the CPU a run that was killed anywhere ends bit-equal with one that was not,
    and arms with the same seed start from the same weights. Adam; the learning rate rises linearly over the first 5 % of the budget's
    steps, then falls as half a cosine to zero. Training ends after `epochs`, or `patience` epochs after the best validation macro-F1
    (the first of equals). Training and validation loss carry the same class weights; with a stream those of training follow from what
    the epoch draws, and validation keeps those of `pool`, so that its losses can be compared from epoch to epoch.

    ValueError for unusable data or options, and for a stream where several processes train; TrainingDivergedError when the loss is no
    longer a number, OSError where the disk is full (earlier checkpoints stay).
    """
    say = say or logging.getLogger(__name__).warning
    arm = find_arm(cell.arm)
    if (stream is None) == arm.streams:
        raise ValueError(f"{cell.name}: an arm that draws while it trains needs a stream, and no other arm takes one; see open_streams")
    accelerator = prepare_machine(compute)
    if stream is not None and accelerator.num_processes > 1:        # each would draw the same blocks into the same files
        raise ValueError(f"{cell.name}: an arm that draws while it trains is trained by one process, and {accelerator.num_processes} were "
                         "started; run it without `accelerate launch`, or take the arm out")
    mark = cell_fingerprint(cell, pool, classes, options, compute, fingerprint, shares)
    saved = load_cell(folder, mark, say)
    accelerator.wait_for_everyone()
    reused, run = saved is not None, Run(cell, pool, classes, options, shares, accelerator, stream)
    if saved is None:
        saved = run.fit(folder / "checkpoints", mark, progress, say)
    if accelerator.is_main_process:
        if not reused:
            last = len(saved.history) // options.checkpoint_every * options.checkpoint_every
            with told_when_full("classifier", len(saved.history), folder / "checkpoints", last or None, "epoch"):
                save_cell(folder, mark, saved)
        delete_checkpoints(folder / "checkpoints")
    accelerator.wait_for_everyone()
    if accelerator.num_processes > 1:      # statistics of batch normalisation differ between processes; the saved ones count
        saved = load_cell(folder, mark, say)
    model = build_model(cell.architecture, len(classes)).to(accelerator.device)
    model.load_state_dict(saved.weights)
    per_epoch = run.plan.steps_per_epoch
    return Trained(cell, model.eval(), pd.DataFrame(saved.history), saved.best_epoch, saved.class_weights,
                   steps=len(saved.history) * per_epoch, budget=options.epochs * per_epoch, reused=reused)


def cell_fingerprint(
    cell:        Cell,
    pool:        Pool,
    classes:     Sequence[str],
    options:     Classifier,
    compute:     Compute,
    fingerprint: str,
    shares:      Mapping[str, float] = MappingProxyType({}),
) -> str:
    """A hash of everything that decides how this cell ends and nothing else: other arms, other seeds or the threshold rule do not count."""
    arm = find_arm(cell.arm)
    deciding = {"epochs", "batch_size", "learning_rate", "weight_decay", "patience", "class_weights", "pretrained"}
    used = options.model_dump(mode="json", include=deciding)
    if arm.augmented:
        used["augmentation"] = options.augmentation.model_dump(mode="json")
    if arm.adds:
        used["mixing"] = {"shares": dict(shares)} | options.mixing.model_dump(mode="json", include={switch for switch, _ in arm.switches})
    if arm.start:
        used["start"] = model_state(arm.start)
    validation = pool.samples.loc[pool.samples["split"] == "validation", ["image_id", "label", "group", "sha256"]]
    return digest({
        "cell": cell.record(), "classes": list(classes), "options": used, "budget": pool.count,
        "training": _plain(pool.table.assign(added=pool.added)), "validation": _plain(validation), "picture": list(pool.real.shape[1:]),
        "threads": compute.threads, "precision": compute.precision, "torch": torch.__version__, "given": fingerprint,
    })


def _plain(table: pd.DataFrame) -> list[list]:
    return table.astype(object).where(table.notna(), None).to_numpy().tolist()
