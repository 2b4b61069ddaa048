"""Run a study: write the plan, let Snakemake work through it, and show what happens."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from lib.files import write_json
from lib.process import cores, die_with_parent
from lib.study import ROOT
from lib.workflow.board import Board
from lib.workflow.events import events_file, listen
from lib.workflow.keys import damaged, full_key, read_json, why_stale
from lib.workflow.plan import Job, Plan, state_root
from lib.workflow.stages import Stage


class RunError(RuntimeError):
    """The run cannot start; the message says what to do."""


@dataclass(frozen=True)
class Request:
    """What the person at the terminal asked for."""

    study_file: str
    overrides:  dict[str, Any] = field(default_factory=dict)
    only:       tuple[str, ...] = ()                    # stage names
    until:      str | None = None
    force:      tuple[str, ...] = ()
    jobs:       int | None = None                       # at once; default: cores / threads per job
    gpus:       int = 0
    executor:   str = "local"


def chosen_jobs(plan: Plan, request: Request) -> list[Job]:
    """The jobs a request covers, in order."""
    if request.only:
        return [job for job in plan.jobs if job.stage.name in request.only]
    if request.until:
        wanted = _ancestors(plan, request.until)
        return [job for job in plan.jobs if job.stage.name in wanted]
    return list(plan.jobs)


def own_reasons(plan: Plan, jobs: list[Job], force: tuple[str, ...] = ()) -> dict[str, list[str]]:
    """Job id → reasons of its own to run; what its inputs will do is not looked at."""
    return {job.id: (["forced"] if job.stage.name in force else []) + why_stale(plan, job) for job in jobs}


def status(plan: Plan, jobs: list[Job], own: dict[str, list[str]]) -> dict[str, list[str]]:
    """Job id → reasons why it would run, those of `own_reasons` and those of its inputs; an empty list means up to date."""
    reasons: dict[str, list[str]] = {}
    for job in jobs:
        waiting = sorted({other.stage.name for other in plan.inputs(job) if reasons.get(other.id)})
        reasons[job.id] = own[job.id] + [f"{stage} runs before it" for stage in waiting]
    return reasons


def run(plan: Plan, request: Request) -> int:
    """Bring the requested jobs up to date. 0 when all are, 1 when one failed. Raises RunError."""
    state = state_root(plan.study.name)
    state.mkdir(parents=True, exist_ok=True)
    lock = FileLock(state / "run.lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise RunError(f"another run is working on {plan.study.name}; wait for it or stop it first") from None
    with lock:
        jobs = chosen_jobs(plan, request)
        _check_inputs(plan, jobs)
        _check_force(jobs, request)
        own = own_reasons(plan, jobs, request.force)
        reasons = status(plan, jobs, own)
        board = Board(plan.study, jobs, {job: why for job, why in reasons.items() if why})
        if not any(reasons.values()):
            board.close()
            return 0
        _prepare(jobs, request, own)
        return _engine(plan, jobs, request, state, board)


def accept(plan: Plan, stage: str) -> int:
    """Mark a stage's finished jobs as still valid after an edit that cannot matter; noted in their provenance. Returns how many."""
    accepted = 0
    for job in plan.of(stage):
        record = read_json(job.record)
        if record is None or damaged(job, record):
            continue
        key = full_key(plan, job)
        if record["key"] != key:
            note = read_json(job.provenance) or {}
            note.setdefault("accepted", []).append(why_stale(plan, job))
            write_json(job.provenance, note)
            write_json(job.record, record | {"key": key})
            accepted += 1
    return accepted


def _prepare(jobs: list[Job], request: Request, own: dict[str, list[str]]) -> None:
    """Bring the engine's markers in line with the facts: a job that is stale by content loses its marker, so the engine runs it."""
    for job in jobs:
        if job.stage.name in request.force:
            job.record.unlink(missing_ok=True)
            shutil.rmtree(job.work, ignore_errors=True)                 # checkpoints: forced means from the start
        if own[job.id]:
            job.state("done").unlink(missing_ok=True)
        job.state("failed").unlink(missing_ok=True)


def _check_force(jobs: list[Job], request: Request) -> None:
    outside = [stage for stage in request.force if stage not in {job.stage.name for job in jobs}]
    if outside:
        raise RunError(f"--force {outside[0]} is not among the stages that --only or --until chose")


def _check_inputs(plan: Plan, jobs: list[Job]) -> None:
    """With --only, what is read and not remade must be there."""
    ids = {job.id for job in jobs}
    for job in jobs:
        lacking = [other.id for other in plan.inputs(job) if other.id not in ids and read_json(other.record) is None]
        if lacking:
            raise RunError(f"{job.id} reads {lacking[0]}, which is not made yet; run with --until {job.stage.name} instead of --only")


def waiting(stages: Collection[Stage]) -> dict[str, int]:
    """Stage → how many others wait for it one after the other. Those with most go first, so that no long chain is left for the end."""
    def after(stage: Stage) -> int:
        return max((1 + after(other) for other in stages if stage.name in other.reads), default=0)

    return {stage.name: after(stage) for stage in sorted(stages, key=lambda stage: stage.name)}


def _engine(plan: Plan, jobs: list[Job], request: Request, state: Path, board: Board) -> int:
    threads = plan.study.compute.threads
    at_once = request.jobs or max(1, cores() // threads)
    ids = {job.id for job in jobs}
    command = [sys.executable, "-m", "lib.workflow.execute", str(Path(request.study_file)), "--gpus", str(request.gpus),
               "--overrides", json.dumps(request.overrides)]
    write_json(state / "plan.json", {
        "threads": threads, "gpus": request.gpus, "command": shlex.join(command),
        "gpu_stages": sorted({job.stage.name for job in jobs if job.stage.gpu}),
        "waiting": waiting({job.stage for job in jobs}),
        "jobs": {job.id: {
            "stage": job.stage.name,
            "chunk": job.chunk,
            "done":  _inside(job.state("done"), state),
            "needs": [_inside(other.state("done"), state) for other in plan.inputs(job) if other.id in ids],
        } for job in jobs},
    })
    events_file(plan.study.name).unlink(missing_ok=True)
    arguments = [
        sys.executable, "-m", "snakemake", "--snakefile", str(ROOT / "lib" / "workflow" / "Snakefile"), "--directory", str(state),
        "--config", f"plan={state / 'plan.json'}", "--executor", request.executor, "--rerun-incomplete", "--nolock",
        "--rerun-triggers", "mtime", "--keep-going", "--quiet", "rules", "--latency-wait", "30",
        *(["--cores", str(at_once * threads)] if request.executor == "local" else ["--jobs", str(at_once)]),
        *(["--resources", f"gpu={request.gpus}"] if request.gpus else []),
    ]
    log = state / "engine.log"
    with log.open("w", encoding="utf-8") as file:
        engine = subprocess.Popen(
            arguments, stdout=file, stderr=subprocess.STDOUT, cwd=ROOT, env=_environment(threads),
            start_new_session=True, preexec_fn=die_with_parent,
        )
        try:
            _watch(engine, plan.study.name, board)
        except KeyboardInterrupt:
            os.killpg(engine.pid, 15)
            engine.wait()
            board.close("stopped; the same command goes on from here")
            return 1
    board.close()
    failures = [failed for job in jobs if (failed := read_json(job.state("failed")))]
    for failed in failures:
        shown = f"\n  notebook: {os.path.relpath(failed['notebook'])}" if failed["notebook"] else ""
        print(f"\n{failed['message']}{shown}", file=sys.stderr)
    if engine.returncode and not failures:
        tail = "\n".join(log.read_text(encoding="utf-8").splitlines()[-15:])
        print(f"\nThe engine stopped (log: {os.path.relpath(log)}):\n{tail}", file=sys.stderr)
    return 1 if engine.returncode else 0


def _watch(engine: subprocess.Popen, study: str, board: Board) -> None:
    position = 0
    while True:
        over = engine.poll() is not None
        events, position = listen(events_file(study), position)
        board.update(events)
        if over:
            return
        try:
            engine.wait(timeout=0.3)
        except subprocess.TimeoutExpired:
            continue


def _environment(threads: int) -> dict[str, str]:
    """One thread setting for everything a job may load, this checkout before any installed copy."""
    pinned = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), str(threads))
    return {**os.environ, **pinned, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}


def _ancestors(plan: Plan, stage: str) -> set[str]:
    return {stage}.union(*(_ancestors(plan, name) for name in plan.find(stage, None).stage.reads if plan.of(name)))


def _inside(path: Path, state: Path) -> str:
    return path.relative_to(state).as_posix()
