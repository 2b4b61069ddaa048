"""Run one job: execute its notebook in a fresh kernel, check that it finished, and only then say so (DESIGN §5).

The engine calls `python -m lib.workflow.execute STUDY.yaml --job ID`. Order of what appears: tables and `finished.json` (by the notebook),
executed notebook, HTML, provenance, `record.json`, the engine's marker. A kill between any two leaves a job that simply runs again.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import sys
import tempfile
import time
import traceback
from pathlib import Path
from typing import Any

from filelock import FileLock

from lib.files import remove_leftovers, write_json
from lib.process import die_with_parent
from lib.study import ROOT, StudyError, fingerprint
from lib.workflow.checks import load_plan
from lib.workflow.events import tell
from lib.workflow.gpu import gpu_slot, visible_devices
from lib.workflow.keys import damaged, differences, full_key, outputs_hash, read_json
from lib.workflow.plan import Job, Plan, outputs_root
from lib.workflow.provenance import environment
from lib.workflow.stage import FINISHED, HEADLESS

OURS = {"StageError", "StudyError", "DataError", "TableError", "ModelError", "EncoderError"}       # their messages are sentences


class JobError(RuntimeError):
    """A job failed; the message is what the person at the terminal needs, the notebook shows where."""

    def __init__(self, message: str, notebook: Path | None = None):
        super().__init__(message)
        self.notebook = notebook


def main(arguments: list[str] | None = None) -> int:
    """Run one job. 0 done or unchanged, 1 failed, 2 the study file is wrong."""
    parser = argparse.ArgumentParser(prog="python -m lib.workflow.execute")
    parser.add_argument("study")
    parser.add_argument("--job", required=True, help="stage, or stage/chunk")
    parser.add_argument("--overrides", default="{}", help="JSON object of dotted keys")
    parser.add_argument("--gpus", type=int, default=0)
    options = parser.parse_args(arguments)
    die_with_parent()
    overrides = json.loads(options.overrides)
    try:
        plan = load_plan(options.study, overrides)
        job = plan.find(*(options.job.split("/", 1) if "/" in options.job else (options.job, None)))
    except (StudyError, ValueError) as error:
        print(error, file=sys.stderr)
        return 2
    lock = job.state("lock").with_suffix(".lock")
    lock.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(lock):
        return _run(plan, job, options.study, overrides, options.gpus)


def _run(plan: Plan, job: Job, study_file: str, overrides: dict[str, Any], gpus: int) -> int:
    key = full_key(plan, job)
    record = read_json(job.record)
    if record and record["key"] == key and not damaged(job, record):
        tell(job.study, job.id, "unchanged")
        write_json(job.state("done"), {"outputs": outputs_hash(job)})
        return 0
    started = time.time()
    tell(job.study, job.id, "started")
    for folder in (job.folder, job.folder / "figures"):                 # ours alone while we hold the lock
        remove_leftovers(folder)
    job.state("failed").unlink(missing_ok=True)
    try:
        with gpu_slot(gpus if job.stage.gpu else 0, outputs_root() / ".state" / "gpu") as gpu:
            finished = _execute_notebook(job, study_file, overrides, visible_devices(gpu))
        moved = differences(key, full_key(load_plan(study_file, overrides), job))
        if moved:
            raise JobError(f"{job.id}: something changed while it ran ({'; '.join(moved[:3])}); run again")
    except JobError as error:
        return _fail(job, str(error), error.notebook)
    except Exception as error:                                          # a full disk, say: the log has the traceback, the person a sentence
        traceback.print_exc()
        return _fail(job, f"{job.id}: {type(error).__name__}: {error} (more in the engine's log)", None)
    seconds = time.time() - started
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024
    write_json(job.provenance, {**environment(), "seconds": round(seconds, 1), "peak_memory_bytes": peak,
                                "study": study_file, "overrides": overrides, "params_hash": fingerprint(plan.study.as_dict()),
                                "figures": finished["figures"]})
    write_json(job.record, {"key": key, "outputs": finished["outputs"], "tables": finished["tables"],
                            "models": finished["models"]})
    write_json(job.state("done"), {"outputs": outputs_hash(job)})
    tell(job.study, job.id, "done", seconds=seconds)
    return 0


def _execute_notebook(job: Job, study_file: str, overrides: dict[str, Any], gpu: str) -> dict:
    """Execute into a temporary file, rename on success; returns what the notebook said it made. Raises JobError."""
    sys.modules.setdefault("rfc3987_syntax", None)                      # 2 s to load, for a kind of address that no notebook's schema has
    import papermill
    from nbclient.exceptions import DeadKernelError
    from traitlets.config import Config

    job.folder.mkdir(parents=True, exist_ok=True)
    temporary = job.folder / f".{job.executed.name}.{os.getpid()}"
    failed = job.folder / f"{job.stage.name}.failed.ipynb"
    runtime = tempfile.mkdtemp(prefix="cb-")                            # short: the path of a Unix socket has 107 bytes at most
    os.environ.update(_kernel_environment(runtime, gpu))
    parameters = {"study": study_file, "overrides": overrides} | ({"chunk": job.chunk} if job.chunk else {})
    try:
        papermill.execute_notebook(                                     # without an `ip` the sockets of parallel jobs collide
            job.notebook, temporary, parameters=parameters, progress_bar=False, cwd=str(ROOT),
            config=Config({"KernelManager": {"transport": "ipc", "ip": f"{runtime}/kernel"}}),
            on_cell_start=lambda cell, cell_index: tell(job.study, job.id, "cell", cell=cell_index),
        )
    except papermill.PapermillExecutionError as error:
        temporary.replace(failed)
        raise JobError(f"{job.id}: {_say_error(error)} (cell {error.cell_index + 1})", failed) from None
    except DeadKernelError:
        temporary.unlink(missing_ok=True)
        raise JobError(f"{job.id}: the kernel died, most often because memory ran out; use fewer --jobs or smaller batches") from None
    finally:
        shutil.rmtree(runtime, ignore_errors=True)
    finished = read_json(job.folder / FINISHED)
    if finished is None:
        temporary.replace(failed)
        raise JobError(f"{job.id}: the notebook ended without run.finish(…), so nothing counts", failed)
    from lib.report.page import notebook_page

    temporary.replace(job.executed)
    notebook_page(job.executed, title=f"{job.id} · {job.study}", index="../" * (1 + job.id.count("/")) + "index.html")
    failed.unlink(missing_ok=True)
    return finished


def _kernel_environment(runtime: str, gpu: str) -> dict[str, str]:
    """Environment of the kernel: this checkout first, reproducible hashing, no display, its own GPU."""
    return {"PYTHONPATH": str(ROOT), "PYTHONHASHSEED": "0", "MPLBACKEND": "agg", "JUPYTER_RUNTIME_DIR": runtime,
            "IPYTHONDIR": f"{runtime}/ipython", HEADLESS: "1", "CUDA_VISIBLE_DEVICES": gpu}


def _say_error(error: Any) -> str:
    """The cell's error without its traceback; ours are sentences already, others keep their type's name."""
    text = str(error.evalue).strip()
    return text if error.ename in OURS else f"{error.ename}: {text}"


def _fail(job: Job, message: str, notebook: Path | None) -> int:
    write_json(job.state("failed"), {"message": message, "notebook": str(notebook) if notebook else None})
    tell(job.study, job.id, "failed", message=message)
    return 1


if __name__ == "__main__":
    sys.exit(main())
