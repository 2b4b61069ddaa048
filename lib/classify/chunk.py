"""Train, calibrate and judge the cells of one chunk, one after the other."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from lib.classify.calibrate import Calibration, calibrate, check_both_kinds
from lib.classify.grid import Cell
from lib.classify.images import Pixels
from lib.classify.predict import predict
from lib.classify.train import Trained, train_cell
from lib.study import Classifier, Compute, Labels


@dataclass(frozen=True)
class Outcome:
    """One finished cell."""

    cell:        Cell
    trained:     Trained
    calibration: Calibration
    predictions: pd.DataFrame      # rows of the `predictions` table


def run_cells(
    cells:       Sequence[Cell],
    pixels:      Pixels,           # uint8 [N, S, S, 3], in the order of `samples`
    samples:     pd.DataFrame,     # the samples table
    labels:      Labels,
    options:     Classifier,
    *,
    folder:      Path,             # gets a folder per cell: checkpoints, then model.safetensors and training.json
    compute:     Compute,
    fingerprint: str,              # see train_cell
    progress:    Callable[..., None] | None = None,     # called with (steps done, steps), cell by cell
) -> list[Outcome]:
    """Outcomes in the order of `cells`; a cell that lies finished in `folder` is loaded, one that was interrupted goes on.

    ValueError before anything is trained when validation lacks positive or negative images; else as `train_cell`.
    """
    if labels.positive:
        check_both_kinds(samples.loc[samples["split"] == "validation", "label"].isin(labels.positive).to_numpy(dtype=bool))
    outcomes = []
    for cell in cells:
        trained = train_cell(cell, pixels, samples, labels.names, options, folder=folder / cell.name, compute=compute,
                             fingerprint=fingerprint, progress=progress)
        calibration = calibrate(trained, pixels, samples, labels.names, rule=options.threshold, positive=labels.positive)
        outcomes.append(Outcome(cell, trained, calibration, predict(trained, calibration, pixels, samples, labels.names)))
    return outcomes


def join_histories(outcomes: Sequence[Outcome]) -> pd.DataFrame:
    """Training histories under each other: arm, architecture, seed, epoch, learning_rate, train_loss, validation_loss, macro_f1, auroc."""
    return pd.concat([
        outcome.trained.history.assign(arm=outcome.cell.arm, architecture=outcome.cell.architecture, seed=outcome.cell.seed)
        for outcome in outcomes
    ], ignore_index=True)


def join_predictions(outcomes: Sequence[Outcome]) -> pd.DataFrame:
    """The rows of the `predictions` table of all cells."""
    return pd.concat([outcome.predictions for outcome in outcomes], ignore_index=True)


def summarise(outcomes: Sequence[Outcome]) -> pd.DataFrame:
    """A row per cell: what was run (epochs, optimiser steps out of the budget) and what validation decided.

    `best` is the epoch whose weights are kept; macro_f1, sensitivity and specificity are figures on the validation images that epoch
    and threshold were chosen on, so they flatter. threshold, sensitivity and specificity are NaN where the study names no positive class.
    """
    return pd.DataFrame([{
        "seed":        outcome.cell.seed,
        "epochs":      len(outcome.trained.history),
        "steps":       outcome.trained.steps,
        "budget":      outcome.trained.budget,
        "best":        outcome.trained.best_epoch,
        "macro_f1":    float(outcome.trained.history["macro_f1"].max()),
        "temperature": outcome.calibration.temperature,
        "threshold":   operating.threshold if (operating := outcome.calibration.operating) else float("nan"),
        "sensitivity": operating.sensitivity if operating else float("nan"),
        "specificity": operating.specificity if operating else float("nan"),
    } for outcome in outcomes])
