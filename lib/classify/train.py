"""Train one cell of the grid: the same budget for every arm, the best epoch by validation macro-F1, resumable and repeatable."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import torch

from lib.classify.arms import find_arm
from lib.classify.fit import Progress, Run
from lib.classify.grid import Cell
from lib.classify.images import Pixels, check_pixels
from lib.classify.models import ImageClassifier, build_model
from lib.classify.sampling import plan_arm
from lib.classify.saved import load_cell, save_cell
from lib.study import Classifier, Compute
from lib.study import fingerprint as digest
from lib.training.checkpoints import delete_checkpoints
from lib.training.runtime import prepare_machine


@dataclass(frozen=True)
class Trained:
    """A finished cell."""

    cell:          Cell
    model:         ImageClassifier     # the best epoch's weights, in evaluation mode
    history:       pd.DataFrame        # a row per epoch: epoch, learning_rate, train_loss, validation_loss, macro_f1, auroc
    best_epoch:    int                 # counted from 1, as in the history
    class_weights: dict[str, float]    # label → weight in the loss, from the arm's own expected counts
    steps:         int                 # optimiser steps run until the last epoch
    budget:        int                 # optimiser steps of all epochs, the same for every arm; early stopping may leave some unused
    reused:        bool                # it lay finished on disk, nothing was trained


def train_cell(
    cell:        Cell,
    pixels:      Pixels,           # uint8 [N, S, S, 3], in the order of `samples`
    samples:     pd.DataFrame,     # the samples table; test rows are not looked at
    classes:     Sequence[str],    # class order of the logits
    options:     Classifier,
    *,
    folder:      Path,             # of this cell alone: checkpoints/, model.safetensors, training.json
    compute:     Compute,
    fingerprint: str,              # of what the options do not show: how pixels were made, the sources of the stage
    progress:    Progress | None              = None,
    say:         Callable[[str], None] | None = None,    # gets a sentence when something on disk is not used; default: the log
) -> Trained:
    """Train `cell`, or go on from its last checkpoint, or load it if it is finished: the outcome is the same.

    All randomness comes from (cell.seed, purpose, step): on the CPU a run that was killed anywhere ends bit-equal with one that was not,
    and arms with the same seed start from the same weights. Adam; the learning rate rises linearly over the first 5 % of the budget's
    steps, then falls as half a cosine to zero. Training ends after `epochs`, or `patience` epochs after the best validation macro-F1
    (the first of equals). Training and validation loss carry the same class weights.

    ValueError for unusable data or options; TrainingDivergedError when the loss is no longer a number.
    """
    say = say or logging.getLogger(__name__).warning
    check_pixels(pixels, len(samples))
    accelerator = prepare_machine(compute)
    plan = plan_arm(cell.arm, samples, classes, batch_size=options.batch_size, class_weights=options.class_weights,
                    augmented_classes=options.augmentation.classes)
    mark = cell_fingerprint(cell, pixels, samples, classes, options, compute, fingerprint)
    saved = load_cell(folder, mark, say)
    accelerator.wait_for_everyone()
    reused = saved is not None
    if saved is None:
        saved = Run(cell, pixels, samples, classes, options, plan, accelerator).fit(folder / "checkpoints", mark, progress, say)
    if accelerator.is_main_process:
        if not reused:
            save_cell(folder, mark, saved)
        delete_checkpoints(folder / "checkpoints")
    accelerator.wait_for_everyone()
    if accelerator.num_processes > 1:      # statistics of batch normalisation differ between processes; the saved ones count
        saved = load_cell(folder, mark, say)
    model = build_model(cell.architecture, len(classes)).to(accelerator.device)
    model.load_state_dict(saved.weights)
    return Trained(cell, model.eval(), pd.DataFrame(saved.history), saved.best_epoch, saved.class_weights,
                   steps=len(saved.history) * plan.steps_per_epoch, budget=options.epochs * plan.steps_per_epoch, reused=reused)


def cell_fingerprint(
    cell:        Cell,
    pixels:      Pixels,
    samples:     pd.DataFrame,
    classes:     Sequence[str],
    options:     Classifier,
    compute:     Compute,
    fingerprint: str,
) -> str:
    """A hash of everything that decides how this cell ends and nothing else: other arms, other seeds or the threshold rule do not count."""
    deciding = {"epochs", "batch_size", "learning_rate", "weight_decay", "patience", "class_weights", "pretrained"}
    used = options.model_dump(mode="json", include=deciding)
    if find_arm(cell.arm).augmented:
        used["augmentation"] = options.augmentation.model_dump(mode="json")
    rows = samples.loc[samples["split"].isin(["train", "validation"]), ["image_id", "split", "label", "group", "sha256"]]
    return digest({
        "cell": [cell.arm, cell.architecture, cell.seed], "classes": list(classes), "options": used,
        "rows": rows.astype(object).where(rows.notna(), None).to_numpy().tolist(), "picture": list(pixels.shape[1:]),
        "threads": compute.threads, "precision": compute.precision, "torch": torch.__version__, "given": fingerprint,
    })
