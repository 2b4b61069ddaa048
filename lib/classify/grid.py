"""The grid of arms × architectures × seeds, its cells and the chunks that one notebook run trains. Loads no heavy library.

Besides the grid, arm `real` is trained on each share of the patients in `classifier.learning_curve`, and with grouped
cross-validation everything is trained once per fold.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import re
from dataclasses import MISSING, dataclass, fields

from lib.classify.architectures import find_architecture
from lib.classify.arms import find_arm
from lib.study import Classifier


@dataclass(frozen=True, order=True)
class Cell:
    """One classifier of the grid."""

    arm:          str              # a base arm, with switches or without: `diffusion_curated+mixup`
    architecture: str
    seed:         int
    fraction:     float = 1.0      # of the training patients; above 1: all of them and images of the reserve (lib/classify/fractions.py)
    fold:         int   = 0        # of the cross-validation, from 1; 0: there is none

    @property
    def name(self) -> str:
        """Readable and unique within a study, fit for a folder: `real-small_cnn-seed0`, `real-small_cnn-fraction0.25-seed0`."""
        return f"{_run(self)}-seed{self.seed}"

    def record(self) -> dict:
        """The cell as plain values, what is at its default left out, so that a new kind of cell changes nothing about the others."""
        values = {one.name: getattr(self, one.name) for one in fields(self)}
        return {one.name: values[one.name] for one in fields(self) if one.default is MISSING or values[one.name] != one.default}


@dataclass(frozen=True)
class Chunk:
    """Cells that are trained by the same notebook run."""

    id:    str
    cells: tuple[Cell, ...]


def cells(
    classifier: Classifier,
    folds:      int = 1,           # of the cross-validation; 1: none
) -> list[Cell]:
    """Every cell of the grid, arm by arm in the study's order, then the learning curve. ValueError names what is unknown."""
    for arm in classifier.arms:
        find_arm(arm)
    for architecture in classifier.architectures:
        find_architecture(architecture)
    rows = [*((arm, 1.0) for arm in classifier.arms), *(("real", fraction) for fraction in classifier.learning_curve if fraction != 1)]
    numbers = range(1, folds + 1) if folds > 1 else (0,)
    return [Cell(arm, architecture, seed, fraction, fold)
            for (arm, fraction), architecture, fold, seed in itertools.product(rows, classifier.architectures, numbers, classifier.seeds)]


def chunks(
    classifier: Classifier,
    folds:      int = 1,
) -> list[Chunk]:
    """The grid cut into runs of at most `chunk_size` consecutive seeds of one arm, architecture, fraction and fold.

    A chunk's id is a readable prefix and a hash of its cells, so it changes only when its own cells do: adding an arm changes no id,
    adding a seed at the end only that of a last chunk that was not full.
    """
    size, out = classifier.chunk_size, []
    for _, group in itertools.groupby(cells(classifier, folds), key=_run):
        row = tuple(group)
        out += [_chunk(row[start:start + size]) for start in range(0, len(row), size)]
    return out


def _run(cell: Cell) -> str:
    """What the cells of a chunk share, for names of folders: a switch's `+ratio=2` stays readable."""
    fraction = f"-fraction{cell.fraction:g}" if cell.fraction != 1 else ""
    fold = f"-fold{cell.fold}" if cell.fold else ""
    return re.sub(r"[^\w.+=-]", "_", f"{cell.arm}-{cell.architecture}{fraction}{fold}")


def _chunk(members: tuple[Cell, ...]) -> Chunk:
    digest = hashlib.sha256(json.dumps([cell.record() for cell in members], sort_keys=True).encode()).hexdigest()[:8]
    return Chunk(f"{_run(members[0])}-{digest}", members)
