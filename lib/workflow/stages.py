"""The stages of a study: one row each. A new stage is a notebook and a row here.

Which modules of `lib` a stage depends on is not listed: it follows from the notebook's imports (see `sources.py`), so it cannot rot.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass

from lib.classify.grid import chunks as classifier_chunks
from lib.study import Study


@dataclass(frozen=True)
class Stage:
    """One notebook of the study."""

    name:     str                                       # also the notebook's and the output folder's name
    question: str                                       # what it answers, for people
    reads:    tuple[str, ...]                           # stages whose outputs it uses
    writes:   tuple[str, ...]                           # tables
    params:   tuple[str, ...]                           # sections (or section.key) of the study it may see
    chunks:   Callable[[Study], dict[str, list[dict]]] | None = None     # fan-out: chunk id → its cells of the grid
    hidden:   tuple[str, ...] = ()                      # keys of its sections that only lay out the grid
    gpu:      bool = False                              # takes a GPU when there is one
    images:   bool = False                              # looks into the sources' folders, so it depends on what lies there


def _classifier(study: Study) -> dict[str, list[dict]]:
    return {chunk.id: [asdict(cell) for cell in chunk.cells] for chunk in classifier_chunks(study.classifier)}


STAGES = {stage.name: stage for stage in (
    Stage(
        name     = "01_eda",
        question = "Which images are there, and where are there too few?",
        reads    = (),
        writes   = ("samples",),
        params   = ("data", "labels", "groups", "split", "explore"),
        images   = True,
    ),
    Stage(
        name     = "07_classifier",
        question = "How well does a classifier do with each arm?",
        reads    = ("01_eda",),
        writes   = ("predictions",),
        params   = ("labels.classes", "labels.names", "labels.positive", "classifier", "compute", "data.image_size", "data.crop",
                    "data.remove_hair"),
        chunks   = _classifier,
        hidden   = ("classifier.arms", "classifier.architectures", "classifier.seeds", "classifier.chunk_size"),
        gpu      = True,
    ),
    Stage(
        name     = "08_ablations",
        question = "What did every single training give?",
        reads    = ("07_classifier",),
        writes   = (),
        params   = ("statistics", "labels.positive", "groups"),
    ),
    Stage(
        name     = "09_statistics",
        question = "Does it help, for whom, and how sure can we be?",
        reads    = ("07_classifier",),
        writes   = (),
        params   = ("statistics", "labels.positive", "groups"),
    ),
)}
