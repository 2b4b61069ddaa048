"""A study seen whole, from its last notebook: what every stage before it found, drew and was made with."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import pandas as pd

from lib.files import write_json
from lib.report.study_report import Block, Part, Picture
from lib.stats.declaration import add_declaration
from lib.workflow.keys import read_json
from lib.workflow.plan import Job
from lib.workflow.provenance import environment
from lib.workflow.stage import Run
from lib.workflow.stages import STAGES

MOST = 3                        # chunks of a stage whose pictures a report shows: a grid may have hundreds


def earlier(run: Run) -> list[Job]:
    """The jobs that the run's stage reads and that are made, in the study's order."""
    return [job for job in run.plan.inputs(run.job) if read_json(job.record) is not None]


def metrics_before(run: Run) -> dict[str, dict]:
    """What every earlier job left in metrics.json, by job."""
    return {job.id: read_json(job.folder / "metrics.json") or {} for job in earlier(run)}


def table_before(run: Run, table: str) -> pd.DataFrame | None:
    """A table of an earlier stage; None where the study has no such stage."""
    maker = next(stage for stage in STAGES.values() if table in stage.writes)
    return run.read(table) if run.plan.of(maker.name) else None


def kept_before(
    run:   Run,
    stage: str,
    name:  str,
    *,
    texts: Collection[str] = (),        # columns that hold text, taken as written: a class may be called "NA" or "1"
) -> pd.DataFrame | None:
    """A CSV that an earlier stage kept, an empty cell of any other column being a missing number; None where it did not."""
    path = run.stage_folder(stage) / name
    if not path.is_file():
        return None
    numbers = [column for column in pd.read_csv(path, nrows=0).columns if column not in texts]
    return pd.read_csv(path, dtype=dict.fromkeys(texts, str), keep_default_na=False, na_values={column: [""] for column in numbers})


def parts_before(run: Run) -> list[Part]:
    """A part of the report per earlier stage: findings of all its jobs, figures of the first few."""
    parts, jobs = [], earlier(run)
    for stage in dict.fromkeys(job.stage.name for job in jobs):
        mine = [job for job in jobs if job.stage.name == stage]
        blocks = [_block(job) for job in mine[:MOST]]
        if len(mine) > MOST:
            blocks.append(Block("The rest", [f"{len(mine) - MOST} more of this stage are not shown here; index.html has them all."]))
        parts.append(Part(STAGES[stage].question, stage, [block for block in blocks if block.sentences or block.pictures]))
    return [part for part in parts if part.blocks]


def own_pictures(run: Run, names: Sequence[str] = ()) -> list[Picture]:
    """The figures that this run saved so far, those named first; default: all."""
    shown = run._figures                                                # of the same package; written to finished.json only at the end
    return [Picture(run.folder / "figures" / f"{name}.png", **shown[name]) for name in (names or shown) if name in shown]


def provenance_of(run: Run) -> dict[str, Any]:
    """Code, versions and device of this run and of what it read, without timings: the same study gives the same again."""
    jobs = {}
    for job in earlier(run):
        origin = read_json(job.provenance) or {}
        jobs[job.id] = {name: origin.get(name) for name in ("commit", "device", "params_hash", "overrides")}
    return {**environment(), "study": run.study_file, "overrides": run.overrides, "jobs": jobs}


def facts_of(provenance: Mapping[str, Any], sha256: str) -> dict[str, str]:
    """The same for the end of a report: one line per fact, several values where jobs differ."""
    jobs = provenance["jobs"].values()
    options = " ".join(f"-p {key}={value}" for key, value in provenance["overrides"].items())
    return {
        "made by":          f"python run_all.py {provenance['study']} {options}".strip(),
        "commit":           "; ".join(sorted({str(one["commit"]) for one in jobs} | {provenance["commit"]})),
        "device":           "; ".join(sorted({str(one["device"]) for one in jobs} | {provenance["device"]})),
        "parameters hash":  "; ".join(sorted({str(one["params_hash"]) for one in jobs})),
        "declared, SHA-256": sha256,
        "python":           provenance["python"],
        "packages":         provenance["packages"],
    }


def declare(run: Run, sha256: str) -> int:
    """Note by which list these outputs are judged now; how many different lists they have been judged by. `--force` forgets them."""
    path = run.work / "declarations.json"
    seen = add_declaration((read_json(path) or {}).get("sha256", []), sha256)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_json(path, {"sha256": seen})
    return len(set(seen))


def _block(job: Job) -> Block:
    origin, metrics = read_json(job.provenance) or {}, read_json(job.folder / "metrics.json") or {}
    figures = [Picture(job.folder / "figures" / f"{name}.png", **shown) for name, shown in origin.get("figures", {}).items()]
    return Block(job.chunk or "", metrics.get("findings", []), pictures=figures)
