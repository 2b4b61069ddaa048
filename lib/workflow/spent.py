"""What each arm took: the time of its trainings and of the generator behind it, from the provenance of the jobs.

Times differ from run to run, so they decide nothing: they are in no table and no hash, and a job that took longer makes nothing stale.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import pandas as pd

from lib.classify.arms import find_arm
from lib.workflow.keys import read_json
from lib.workflow.plan import Job, Plan

TRAINING  = "07_classifier"
GENERATOR = ("02_textual_inversion", "03_lora", "04_wgan_gp", "05_generation", "06_curation")

_COLUMNS = ("arm", "training", "generator", "devices", "unknown")


def time_spent(plan: Plan) -> pd.DataFrame:
    """A row per arm in the study's order: arm, training, generator (minutes), devices (names), unknown (jobs without a time).

    `training` is the mean over the arm's trainings on all training images, notebook included; `generator` what was learnt, drawn and
    curated for it, once, however many trainings use it (with cross-validation: in one fold). It is what the last run of a job took, so a
    lower bound: what an interrupted run had done before, and what a run found in work/ (trained cells, drawn images, models), is not in
    it. Minutes are NaN where the time of a job is unknown.
    """
    chunks: dict[str, list[Job]] = {}
    for job in plan.of(TRAINING):
        if job.cells[0].get("fraction", 1) == 1:                        # cells of a chunk differ in nothing but the seed
            chunks.setdefault(job.cells[0]["arm"], []).append(job)
    rows = []
    for name, jobs in chunks.items():
        arm = find_arm(name)
        drawn = [] if arm.collected else [job for job in _behind(plan, jobs[0]) if _serves(job, arm.generators)]
        times = {job.id: read_json(job.provenance) for job in [*jobs, *drawn]}
        trainings = sum(len(job.cells) for job in jobs)
        rows.append((name, _minutes(times, jobs) / trainings, _minutes(times, drawn),
                     tuple(sorted({_kind(time["device"]) for time in times.values() if time})),
                     tuple(job for job, time in times.items() if not time)))
    return pd.DataFrame(rows, columns=list(_COLUMNS))


def _behind(plan: Plan, job: Job) -> Iterator[Job]:
    """All jobs whose outputs reach `job`, each once."""
    seen, waiting = set(), [job]
    while waiting:
        for other in plan.inputs(waiting.pop()):
            if other.id not in seen:
                seen.add(other.id)
                waiting.append(other)
                yield other


def _serves(job: Job, generators: Iterable[str]) -> bool:
    """Whether a job is work for one of these generators: a chunk names its own, the stages that learn have one each."""
    learnt = "gan" if job.stage.name == "04_wgan_gp" else "diffusion"
    named = job.cells[0].get("generator") if job.cells else None
    return job.stage.name in GENERATOR and (named or learnt) in generators


def _minutes(times: dict[str, dict | None], jobs: Iterable[Job]) -> float:
    return sum((times[job.id]["seconds"] / 60 if times[job.id] else float("nan") for job in jobs), 0.0)


def _kind(device: str) -> str:
    return "CPU" if device.startswith("CPU") else device
