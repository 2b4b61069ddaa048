"""The jobs of a study and where each keeps its things. Readers take chunks from here, never from a glob."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from lib.study import ROOT, Study
from lib.workflow.stages import STAGES, Stage


@dataclass(frozen=True)
class Job:
    """One run of one notebook."""

    study: str                                          # the study's name
    stage: Stage
    chunk: str | None                                   # of a stage that fans out
    cells: tuple[dict, ...] = ()                        # what the chunk covers

    @property
    def id(self) -> str:
        """`07_classifier/real-small_cnn-3f2a91c0`"""
        return f"{self.stage.name}/{self.chunk}" if self.chunk else self.stage.name

    @property
    def fold(self) -> int | None:
        """The fold of the cross-validation that it belongs to, from 1; None: to all, or there is none."""
        return self.cells[0].get("fold") if self.cells else None

    @property
    def folder(self) -> Path:
        """Where its tables, figures and executed notebook lie."""
        return outputs_root() / self.study / self.id

    @property
    def notebook(self) -> Path:
        """The committed notebook."""
        return ROOT / "notebooks" / f"{self.stage.name}.ipynb"

    @property
    def executed(self) -> Path:
        """The executed notebook; its HTML stands beside it."""
        return self.folder / f"{self.stage.name}.ipynb"

    @property
    def record(self) -> Path:
        """What it was made from, and the hashes of what it made."""
        return self.folder / "record.json"

    @property
    def provenance(self) -> Path:
        """Code, versions, machine and time of the run that made it."""
        return self.folder / "provenance.json"

    @property
    def work(self) -> Path:
        """Checkpoints and trained networks of the stage, shared by its chunks, so a chunk that is cut otherwise trains nothing twice.

        Chunks of different folds share nothing.
        """
        shared = outputs_root() / self.study / self.stage.name / "work"
        return shared / f"fold{self.fold}" if self.fold else shared

    def state(self, kind: str) -> Path:
        """Engine files: `done` (the engine's marker, a hash of the job's tables), `failed` (why), `lock`."""
        return state_root(self.study) / kind / f"{self.id}.json"


@dataclass(frozen=True)
class Plan:
    """Every job of a study, in order."""

    study: Study
    jobs:  tuple[Job, ...]

    def of(
        self,
        stage: str,
        fold:  int | None = None,                       # only what a job of this fold may read: its own fold's, and what no fold has
    ) -> list[Job]:
        """The jobs of one stage."""
        return [job for job in self.jobs if job.stage.name == stage and (fold is None or job.fold in (None, fold))]

    def inputs(self, job: Job) -> list[Job]:
        """The jobs whose outputs `job` reads; a job of a fold sees nothing of the others, which know its test images."""
        return [other for name in job.stage.inputs(job.cells) for other in self.of(name, job.fold)
                if job.stage.uses(job.cells, other.cells, self.study.generators)]

    def find(self, stage: str, chunk: str | None) -> Job:
        """One job; `chunk=None` on a stage that fans out means its first chunk."""
        jobs = self.of(stage)
        if not jobs:
            raise ValueError(f"{self.study.name} has no {stage}: its file lacks the section `{STAGES[stage].section}`")
        if chunk is None:
            return jobs[0]
        found = next((job for job in jobs if job.chunk == chunk), None)
        if found is None:
            raise ValueError(f"{stage} has no chunk {chunk!r} in this study; it has {', '.join(str(job.chunk) for job in jobs)}")
        return found


def make_plan(study: Study) -> Plan:
    """All jobs the study asks for."""
    jobs: list[Job] = []
    for stage in STAGES.values():
        if not stage.asked(study):
            continue
        chunks = stage.chunks(study) if stage.chunks else {}
        jobs += [Job(study.name, stage, chunk, tuple(cells)) for chunk, cells in chunks.items()] or [Job(study.name, stage, None)]
    return Plan(study, tuple(jobs))


def outputs_root() -> Path:
    """`outputs/` of the checkout, or the folder named by OUTPUTS_ROOT."""
    return (ROOT / (os.environ.get("OUTPUTS_ROOT") or "outputs")).resolve()


def state_root(study: str) -> Path:
    """Engine state of a study."""
    return outputs_root() / ".state" / study
