"""What a notebook holds in its hand: its parameters, its inputs, and the one way to leave results behind."""

from __future__ import annotations

import io
import os
import sys
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lib.files import write_atomically, write_json
from lib.process import die_with_parent
from lib.study import ROOT, Section, Study, fingerprint
from lib.workflow.checks import load_plan
from lib.workflow.keys import file_hash
from lib.workflow.plan import Job, Plan, outputs_root
from lib.workflow.sources import module_sources
from lib.workflow.stages import STAGES

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

HEADLESS = "COUNTERBALANCE_HEADLESS"                    # set by the executor for the kernels it starts
DPI = 150                                               # of saved figures
FINISHED = "finished.json"                              # written last by `Run.finish`; without it a notebook did not end


class StageError(RuntimeError):
    """A notebook cannot go on; the message says which command helps."""


class View:
    """The part of a study that a stage declares in `stages.py`; reading anything else is an error, so staleness stays exact."""

    def __init__(self, section: Section, stage: str, allowed: tuple[str, ...], prefix: str = ""):
        self._section, self._stage, self._allowed, self._prefix = section, stage, allowed, prefix

    def __getattr__(self, name: str) -> Any:
        key = f"{self._prefix}{name}"
        value = getattr(self._section, name)
        if key in self._allowed or any(key.startswith(f"{whole}.") for whole in self._allowed):
            return value
        if isinstance(value, Section) and any(part.startswith(f"{key}.") for part in self._allowed):
            return View(value, self._stage, self._allowed, f"{key}.")
        if value is None and any(part.startswith(f"{key}.") for part in self._allowed):     # a section that the study does not have
            return None
        raise StageError(f"{self._stage} reads study.{key} but does not declare it; add it to `params` in lib/workflow/stages.py")


@dataclass
class Run:
    """One stage being executed. Made by `open_stage`."""

    plan:       Plan
    job:        Job
    study_file: str
    overrides:  dict[str, Any]
    _figures:   dict[str, dict] = field(default_factory=dict)
    _files:     list[str]       = field(default_factory=list)
    _models:    list[str]       = field(default_factory=list)

    @property
    def study(self) -> View:
        """The parameters this stage may see."""
        return View(self.plan.study, self.job.stage.name, (*self.job.stage.params, "name", "title", "question"))

    @property
    def folder(self) -> Path:
        """Where this stage (or chunk) keeps what it makes."""
        return self.job.folder

    @property
    def cells(self) -> tuple[dict, ...]:
        """Its part of the grid."""
        return self.job.cells

    @property
    def images_of(self) -> str:
        """What the names of images drawn here begin with: the study's name and, with cross-validation, the fold."""
        return f"{self.plan.study.name}-fold{self.job.fold}" if self.job.fold else self.plan.study.name

    @property
    def threads(self) -> int:
        """Threads per job."""
        return self.plan.study.compute.threads

    @cached_property
    def roots(self) -> dict[str, Path]:
        """Source name → the folder its image paths are relative to; sources that are drawn lie under 01_eda/images."""
        from lib.data.sources import source_folders

        drawn = outputs_root() / self.plan.study.name / "01_eda" / "images"
        return source_folders(self.plan.study.data.sources, root=self.data_root, phantom_root=drawn)

    @property
    def data_root(self) -> Path:
        """Where the data sets lie."""
        from lib.data.root import data_root

        return data_root()

    @property
    def work(self) -> Path:
        """Unfinished and reusable work of the stage (checkpoints, trained networks), shared by its chunks; `--force` empties it."""
        return self.job.work

    @property
    def scratch(self) -> Path:
        """Caches shared by the study's stages; safe to delete."""
        return outputs_root() / ".state" / self.plan.study.name / "cache"

    def fingerprint(self, module: str, *values: Any) -> str:
        """Hash of a module's sources with all it imports, and of `values`: marks work that may be reused only where it still fits."""
        return fingerprint([module_sources(module, ROOT), *values])

    def read(self, table: str) -> pd.DataFrame:
        """A table of an earlier stage, all its chunks together. Raises StageError naming the command that makes it.

        A job of a fold gets what its own fold made, and `samples` with that fold's split; a job after the folds gets all of them.
        The paths of a chunk that keeps files start from its folder; here they start from the stage's (see `stage_folder`), so they name one
        file each.
        """
        import pandas as pd

        from lib.data.folds import in_fold
        from lib.tables import OWN_FILES, read_table

        maker = next(stage for stage in STAGES.values() if table in stage.writes)
        jobs = self._made_by(maker.name)
        if not jobs:
            raise StageError(f"{self.job.stage.name} reads {table}, and {self.plan.study.name} has no {maker.name} to make it")
        paths = [job.folder / f"{table}.parquet" for job in jobs]
        self._require(maker.name, paths)
        parts = [read_table(table, path) for path in paths]
        for job, part in zip(jobs, parts, strict=True):
            if job.chunk and table in OWN_FILES:
                part["path"] = f"{job.chunk}/" + part["path"]               # null stays null: an attempt without a file
        together = pd.concat(parts, ignore_index=True)
        return in_fold(together, self.job.fold) if table == "samples" else together

    def stage_folder(self, stage: str) -> Path:
        """The folder of an earlier stage with all its chunks, where the paths of its tables start from."""
        return outputs_root() / self.plan.study.name / stage

    def cells_of(self, stage: str) -> list[dict]:
        """The whole grid of an earlier stage, in the study's order; with cross-validation that of one fold, for all folds have the same."""
        cells = [cell for job in self._made_by(stage) for cell in job.cells]
        return [cell for cell in cells if cell.get("fold") == cells[0].get("fold")]

    def table_metadata(self, table: str) -> dict:
        """Header of a table (class order and the like), the same in all its chunks. Raises StageError where they differ."""
        from lib.tables import read_metadata

        maker = next(stage for stage in STAGES.values() if table in stage.writes)
        jobs = self._made_by(maker.name)
        headers = [read_metadata(job.folder / f"{table}.parquet") for job in jobs]
        other = next((job.id for job, header in zip(jobs, headers, strict=True) if header != headers[0]), None)
        if other:
            raise StageError(f"{other} and {jobs[0].id} were made with other classes; run {maker.name} again: --force {maker.name}")
        return headers[0]

    def stamp(self) -> Any:
        """Where this run comes from: study, code, versions, device."""
        import pandas as pd

        from lib.report.words import table
        from lib.workflow.provenance import environment

        facts = {"study": self.study_file, "overrides": self.overrides or "none", "job": self.job.id, **environment()}
        return table(pd.DataFrame({"": facts.keys(), "value": [str(value) for value in facts.values()]}))

    def figure(self, name: str, figure: Figure, caption: str) -> Any:
        """Keep a figure under `figures/<name>.png` and show it; the caption is its alternative text and its title in the report."""
        from IPython.display import Image

        buffer = io.BytesIO()
        figure.savefig(buffer, format="png", dpi=DPI, bbox_inches="tight", metadata={"Software": None})
        self.keep(f"figures/{name}.png", buffer.getvalue())
        pixels = int.from_bytes(buffer.getvalue()[16:20], "big")        # of the PNG, whose margins savefig cut off
        width = min(900, round(pixels * 96 / DPI))                      # CSS pixels: text has the same size in every figure
        self._figures[name] = {"caption": caption, "width": width}
        return Image(data=buffer.getvalue(), format="png", width=width, alt=caption)

    def keep(self, name: str, content: bytes | str) -> Path:
        """Write a file of this stage."""
        path = self.file(name)
        write_atomically(path, lambda temporary: temporary.write_bytes(content.encode() if isinstance(content, str) else content))
        return path

    def file(self, name: str) -> Path:
        """Where a file of this stage goes that the notebook writes by other means; it counts among the stage's outputs."""
        self._files.append(name)
        return self.folder / name

    def keep_models(self, folder: Path) -> list[str]:
        """Count the files of a subfolder among what later stages read, as tables are; returns their names."""
        names = sorted(path.relative_to(self.folder).as_posix() for path in folder.rglob("*") if path.is_file())
        self._models += names
        return names

    def models(self, stage: str) -> Path | None:
        """The folder of an earlier stage that keeps models; None where the study has no such stage. StageError when it is not made yet."""
        jobs = self._made_by(stage)
        if not jobs:
            return None
        self._require(stage, [jobs[0].record])
        return jobs[0].folder

    def finish(self, *, metrics: dict, metadata: dict | None = None, **tables: pd.DataFrame) -> None:
        """Write the stage's tables and metrics.json, then the completion marker. `metrics` is plain JSON without timings."""
        from lib.tables import write_table

        if set(self.job.stage.writes) != set(tables):
            declared, given = (", ".join(names) or "no table" for names in (self.job.stage.writes, tables))
            raise StageError(f"{self.job.stage.name} declares {declared} in lib/workflow/stages.py but finishes with {given}")
        for name, frame in tables.items():
            write_table(name, frame, self.folder / f"{name}.parquet", metadata)
        write_json(self.folder / "metrics.json", metrics)
        for old in (self.folder / "figures").glob("*.png"):             # of an earlier version of the notebook
            if old.stem not in self._figures:
                old.unlink()
        made = sorted({f"{name}.parquet" for name in tables} | {"metrics.json", *self._files, *self._models})
        write_json(self.folder / FINISHED, {
            "outputs": {name: file_hash(self.folder / name) for name in made},
            "tables":  sorted(f"{name}.parquet" for name in tables),
            "models":  sorted(self._models),
            "figures": self._figures,
        })
        print(f"{self.job.id}: wrote {', '.join(name for name in made if '/' not in name)} and {len(self._figures)} figures")

    def _made_by(self, stage: str) -> list[Job]:
        """The jobs of an earlier stage that this one may look at."""
        generators = self.plan.study.generators
        return [job for job in self.plan.of(stage, self.job.fold) if self.job.stage.uses(self.job.cells, job.cells, generators)]

    def _require(self, stage: str, paths: list[Path]) -> None:
        lacking = [path for path in paths if not path.is_file()]
        if lacking:
            options = "".join(f" -p {key}={value}" for key, value in self.overrides.items())
            raise StageError(
                f"{self.job.stage.name} needs {lacking[0].name} of {stage} ({len(lacking)} of {len(paths)} missing). "
                f"Make it with: python run_all.py {self.study_file} --until {stage}{options}"
            )


def open_stage(
    name:      str,                              # 01_eda …
    study:     str = "params/demo.yaml",
    overrides: dict[str, Any] | None = None,     # {"classifier.epochs": 5}
    chunk:     str | None = None,                # of a stage that fans out; default: its first
) -> Run:
    """Load the study and stand at one stage of it. Raises StudyError or StageError."""
    plan = load_plan(study, overrides)
    run = Run(plan, plan.find(name, chunk), study, dict(overrides or {}))
    os.chdir(ROOT)                                                      # JupyterLab starts kernels in notebooks/
    if os.environ.get(HEADLESS):
        die_with_parent()
    run.folder.mkdir(parents=True, exist_ok=True)
    (run.folder / FINISHED).unlink(missing_ok=True)
    _use_threads(plan.study)
    return run


def _use_threads(study: Study) -> None:
    """Same threads in JupyterLab as headless: they are part of the result. Only libraries not loaded yet listen to the environment."""
    for variable in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ[variable] = str(study.compute.threads)
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(study.compute.threads)
