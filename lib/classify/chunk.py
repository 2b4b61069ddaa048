"""Train, calibrate and judge the cells of one chunk, one after the other."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Protocol

import pandas as pd

from lib.classify.calibrate import Calibration, calibrate, check_both_kinds
from lib.classify.fit import Stream
from lib.classify.grid import Cell
from lib.classify.pool import Pool
from lib.classify.predict import predict
from lib.classify.train import Trained, train_cell
from lib.study import Classifier, Compute, Labels


class Streams(Protocol):
    """What draws for the cells of a chunk: `lib.classify.stream_chunk.Streams`."""

    def of(self, cell: Cell) -> Stream:
        """The stream of a cell."""

    def end(self, cell: Cell, epochs: int) -> None:
        """The cell is trained; it took so many epochs."""

    def close(self) -> None:
        """Nothing more is asked for."""


@dataclass(frozen=True)
class Outcome:
    """One finished cell."""

    cell:        Cell
    trained:     Trained
    calibration: Calibration
    predictions: pd.DataFrame      # rows of the `predictions` table


def run_cells(
    cells:       Sequence[Cell],
    pool:        Pool,             # of the arm and fraction that the cells share
    labels:      Labels,
    options:     Classifier,
    *,
    folder:      Path,             # gets a folder per cell: checkpoints, then model.safetensors and training.json
    compute:     Compute,
    fingerprint: str,              # see train_cell
    shares:      Mapping[str, float] = MappingProxyType({}),     # see train_cell
    streams:     Streams | None      = None,            # of an arm that draws while it trains; closed at the end
    progress:    Callable[..., None] | None = None,     # called with (steps done, steps), cell by cell
) -> list[Outcome]:
    """Outcomes in the order of `cells`; a cell that lies finished in `folder` is loaded, one that was interrupted goes on.

    ValueError before anything is trained when validation lacks positive or negative images; else as `train_cell`.
    """
    samples, pixels = pool.samples, pool.real
    if labels.positive:
        check_both_kinds(samples.loc[samples["split"] == "validation", "label"].isin(labels.positive).to_numpy(dtype=bool))
    outcomes = []
    try:
        for cell in cells:
            trained = train_cell(cell, pool, labels.names, options, folder=folder / cell.name, compute=compute, fingerprint=fingerprint,
                                 shares=shares, stream=streams and streams.of(cell), progress=progress)
            if streams:
                streams.end(cell, len(trained.history))
            calibration = calibrate(trained, pixels, samples, labels.names, rule=options.threshold, positive=labels.positive)
            outcomes.append(Outcome(cell, trained, calibration, predict(trained, calibration, pixels, samples, labels.names)))
    finally:
        if streams:
            streams.close()
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
