"""Ask people: `python -m lib.curation.review make STUDY.yaml`, then `… collect STUDY.yaml ratings1.csv ratings2.csv`. See --help."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from lib.curation.review.errors import ReviewError

REVIEW = "06_curation/review"           # of a study's outputs: pages, keys, and what came back


def main(arguments: list[str] | None = None) -> int:
    """0 done; 1 it could not be done, the text says why; 2 the study file or the command line is wrong."""
    options = _parser().parse_args(arguments)

    from lib.study import ROOT, StudyError, load_study
    from lib.study.file import parse_override
    from lib.tables import TableError

    try:
        study = load_study(options.study, dict(parse_override(text) for text in options.param))
        if study.curation is None:
            raise StudyError(f"{options.study}: the study has no section curation, so nothing is reviewed; add it (curation: {{}})")
        if study.split.fold_numbers:
            raise StudyError(f"{options.study}: with split.folds each fold has a curated set, and people judge one; set split.folds to 1")
    except StudyError as error:
        print(error, file=sys.stderr)
        return 2
    outputs = ROOT / (os.environ.get("OUTPUTS_ROOT") or "outputs") / study.name
    try:
        if options.command == "make":
            _make(study, outputs, options.raters)
        else:
            _collect(study, outputs, options.ratings)
    except (ReviewError, TableError, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m lib.curation.review",
        description="People rate generated images, mixed blind with real ones.",
        epilog="Exit status: 0 done, 1 it could not be done, 2 the study file or the command is wrong.",
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="make|collect")
    make = commands.add_parser("make", help="write the page that raters open in a browser, and its key")
    gather = commands.add_parser("collect", help="read what raters sent: means, agreement, verdict, scores for notebook 06")
    for command in (make, gather):
        command.add_argument("study", help="a study file whose 06_curation has run")
        command.add_argument("-p", "--param", action="append", default=[], metavar="K=V", help="override: -p curation.review.images=200")
    make.add_argument("--raters", nargs="+", default=[], metavar="NAME", help="a page for each, in an order of its own (default: one page "
                      "that asks for the name)")
    gather.add_argument("ratings", nargs="+", type=Path, metavar="CSV", help="files that raters saved from one page")
    return parser


def _make(study, outputs: Path, raters: list[str]) -> None:
    from lib.curation.review.make import make

    made = make(study, outputs, outputs / REVIEW, raters=raters)
    for notice in made.notices:
        print(f"notice: {notice}")
    print(f"key (not for raters): {os.path.relpath(made.key)}")
    for page in made.pages:
        print(f"page: {os.path.relpath(page)} ({page.stat().st_size / 1e6:.1f} MB)")


def _collect(study, outputs: Path, paths: list[Path]) -> None:
    from lib.curation.review.collect import collect
    from lib.curation.review.record import describe, write_collected

    collected = collect(paths, outputs / REVIEW, study.curation.review)
    for sentence in describe(collected):
        print(sentence)
    for path in write_collected(outputs / REVIEW, collected):
        print(f"written: {os.path.relpath(path)}")
    print("06_curation merges these scores the next time it runs")


if __name__ == "__main__":
    sys.exit(main())
