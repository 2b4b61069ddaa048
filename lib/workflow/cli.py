"""The command line of `run_all.py`. Nothing heavy is imported before the arguments are understood."""

from __future__ import annotations

import argparse
import os
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lib.workflow.plan import Plan

SHOWN = 8                                               # reasons that --status tells of each job


def main(arguments: list[str] | None = None) -> int:
    """0 done; 1 a stage failed or the run could not start; 2 the study file or the command line is wrong."""
    options = _parser().parse_args(arguments)

    from lib.study import ROOT
    from lib.study.file import StudyError, parse_override, written
    from lib.workflow.checks import load_plan

    try:
        overrides = dict(parse_override(text) for text in options.param)
        study_file = written(options.study, ROOT)
        plan = load_plan(study_file, overrides)
        stages = {name: [_stage(text, plan) for text in getattr(options, name)] for name in ("only", "force", "accept")}
        until = _stage(options.until, plan) if options.until else None
    except StudyError as error:
        print(error, file=sys.stderr)
        return 2

    from lib.workflow import runner
    from lib.workflow.gpu import count_gpus

    request = runner.Request(
        study_file = study_file,
        overrides  = overrides,
        only       = tuple(stages["only"]),
        until      = until,
        force      = tuple(stages["force"]),
        jobs       = options.jobs,
        gpus       = count_gpus() if options.gpus is None else options.gpus,
        executor   = options.executor,
    )
    try:
        if stages["accept"]:
            for stage in stages["accept"]:
                print(f"{stage}: {runner.accept(plan, stage)} job(s) marked as still valid")
            return 0
        if options.status or options.dry_run:
            jobs = runner.chosen_jobs(plan, request)
            _show_status(runner.status(plan, jobs, runner.own_reasons(plan, jobs, request.force)), dry=options.dry_run)
            if options.dry_run and any(job.stage.name == "05_generation" for job in jobs):
                from lib.workflow.forecast import forecast

                print(f"05_generation: {forecast(plan)}")
            return 0
        code = runner.run(plan, request)
    except runner.RunError as error:
        print(error, file=sys.stderr)
        return 1

    from lib.workflow.index import write_index

    print(f"\nreport: {os.path.relpath(write_index(plan, study_file, overrides))}")
    return code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="run_all.py",
        description="Run a study: every notebook that is not up to date, in order, in parallel where it can be.",
        epilog="S is a stage's number or name: 07 or 07_classifier. Exit: 0 done, 1 a stage failed, 2 the study file is wrong.",
    )
    add = parser.add_argument
    add("study", nargs="?", default="params/demo.yaml", help="a study file (default: params/demo.yaml)")
    either = parser.add_mutually_exclusive_group()
    either.add_argument("--only", action="append", default=[], metavar="S", help="this stage and nothing before it (may be repeated)")
    either.add_argument("--until", metavar="S", help="this stage and everything it needs")
    add("--force", action="append", default=[], metavar="S", help="run this stage even if it is up to date, from the start")
    add("--accept", action="append", default=[], metavar="S", help="mark a stage as still valid after an edit that cannot matter")
    add("-p", "--param", action="append", default=[], metavar="K=V", help="override a parameter: -p classifier.epochs=5")
    add("--jobs", type=_positive, metavar="N", help="jobs at once (default: cores / threads per job)")
    add("--gpus", type=_whole, metavar="N", help="GPUs to share out, one per job (default: those there are; 0: use none)")
    add("--executor", default="local", help="a Snakemake executor plugin: local, slurm, kubernetes …")
    add("--dry-run", action="store_true", help="say what would run, run nothing")
    add("--status", action="store_true", help="say what is up to date and why the rest is not")
    return parser


def _stage(text: str, plan: Plan) -> str:
    from lib.study.file import StudyError
    from lib.workflow.stages import STAGES

    found = [name for name in STAGES if name == text or name.split("_")[0] == text]
    if not found:
        raise StudyError(f"{text}: no such stage; there are {', '.join(STAGES)}")
    try:
        return plan.find(found[0], None).stage.name
    except ValueError as error:
        raise StudyError(str(error)) from None


def _show_status(reasons: dict[str, list[str]], *, dry: bool) -> None:
    for job, why in reasons.items():
        state = ("would run" if dry else "stale") if why else "up to date"
        shown = why[:SHOWN] + ([f"{len(why) - SHOWN} more"] if len(why) > SHOWN else [])
        print(f"{job:<44} {state:<11} {'; '.join(shown)}".rstrip())


def _positive(text: str) -> int:
    return _number(text, at_least=1)


def _whole(text: str) -> int:
    return _number(text, at_least=0)


def _number(text: str, at_least: int) -> int:
    if not text.isdigit() or int(text) < at_least:
        raise argparse.ArgumentTypeError(f"expected a whole number of at least {at_least}, got {text}")
    return int(text)
