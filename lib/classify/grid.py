"""The grid of arms × architectures × seeds, its cells and the chunks that one notebook run trains. Loads no heavy library."""

from __future__ import annotations

import hashlib
import itertools
import json
from dataclasses import asdict, dataclass

from lib.classify.architectures import find_architecture
from lib.classify.arms import find_arm
from lib.study import Classifier


@dataclass(frozen=True, order=True)
class Cell:
    """One classifier of the grid."""

    arm:          str
    architecture: str
    seed:         int

    @property
    def name(self) -> str:
        """Readable and unique within a study, fit for a folder: `real-small_cnn-seed0`."""
        return f"{self.arm}-{self.architecture}-seed{self.seed}"


@dataclass(frozen=True)
class Chunk:
    """Cells that are trained by the same notebook run."""

    id:    str
    cells: tuple[Cell, ...]


def cells(classifier: Classifier) -> list[Cell]:
    """Every cell of the grid, arm by arm, in the study's order. ValueError names an unknown arm or architecture."""
    for arm in classifier.arms:
        find_arm(arm)
    for architecture in classifier.architectures:
        find_architecture(architecture)
    return [Cell(*names) for names in itertools.product(classifier.arms, classifier.architectures, classifier.seeds)]


def chunks(classifier: Classifier) -> list[Chunk]:
    """The grid cut into runs of at most `chunk_size` consecutive seeds of one arm and architecture.

    A chunk's id is a readable prefix and a hash of its cells, so it changes only when its own cells do: adding an arm changes no id,
    adding a seed at the end only that of a last chunk that was not full.
    """
    size, out = classifier.chunk_size, []
    for _, group in itertools.groupby(cells(classifier), key=lambda cell: (cell.arm, cell.architecture)):
        row = tuple(group)
        out += [_chunk(row[start:start + size]) for start in range(0, len(row), size)]
    return out


def _chunk(members: tuple[Cell, ...]) -> Chunk:
    digest = hashlib.sha256(json.dumps([asdict(cell) for cell in members], sort_keys=True).encode()).hexdigest()[:8]
    return Chunk(f"{members[0].arm}-{members[0].architecture}-{digest}", members)
