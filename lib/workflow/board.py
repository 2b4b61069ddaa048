"""The stage table: live in a terminal, plain lines in a log."""

from __future__ import annotations

import json
import sys
import time

from rich.console import Console
from rich.live import Live
from rich.table import Table

from lib.study import Study
from lib.workflow.plan import Job

MARKS = {"up to date": "dim", "waiting": "", "running": "yellow", "done": "green", "unchanged": "dim", "failed": "red"}


class Board:
    """What every job of a run is doing."""

    def __init__(self, study: Study, jobs: list[Job], reasons: dict[str, list[str]]):
        self.console = Console(highlight=False, markup=False)
        self.study   = study
        self.rows    = {
            job.id: {"state": "waiting" if job.id in reasons else "up to date", "note": _brief(reasons.get(job.id, []))} for job in jobs
        }
        self.cells   = {job.id: _code_cells(job) for job in jobs}
        self.started = time.time()
        self.live    = Live(self._table(), console=self.console, refresh_per_second=4) if sys.stdout.isatty() else None
        if self.live:
            self.live.start()
        else:
            stale = sum(row["state"] == "waiting" for row in self.rows.values())
            print(f"{study.name}: {len(jobs)} {'job' if len(jobs) == 1 else 'jobs'}, {stale} to run", flush=True)

    def update(self, events: list[dict]) -> None:
        """Take in new events."""
        for event in events:
            row = self.rows[event["job"]]
            kind = event["event"]
            if kind == "cell":
                row["cell"] = event["cell"] + 1
                continue
            row["state"] = "running" if kind == "started" else kind
            row["since" if kind == "started" else "until"] = event["time"]
            if not self.live:
                note = f" ({row['note']})" if kind == "started" and row["note"] else ""
                print(f"{time.time() - self.started:6.0f} s  {event['job']:<44} {row['state']}{note}", flush=True)
        if self.live:
            self.live.update(self._table())

    def close(self, message: str = "") -> None:
        """Leave the last state on the screen."""
        if self.live:
            self.live.update(self._table())
            self.live.stop()
        else:
            idle = sum(row["state"] == "up to date" for row in self.rows.values())
            if idle == len(self.rows):
                print("everything is up to date", flush=True)
        if message:
            print(message, flush=True)

    def _table(self) -> Table:
        table = Table(title=f"{self.study.title}", box=None, title_justify="left", pad_edge=False)
        for heading in ("stage", "state", "cell", "seconds", "why"):
            table.add_column(heading, overflow="fold", justify="right" if heading in ("cell", "seconds") else "left")
        for job, row in self.rows.items():
            seconds = f"{row.get('until', time.time()) - row['since']:.0f}" if "since" in row else ""
            cell = f"{row['cell']}/{self.cells[job]}" if "cell" in row and row["state"] == "running" else ""
            table.add_row(job, row["state"], cell, seconds, row["note"], style=MARKS.get(row["state"], ""))
        return table


def _code_cells(job: Job) -> int:
    """Cells of the notebook, as papermill counts them (one more than committed: the injected parameters)."""
    return len(json.loads(job.notebook.read_text(encoding="utf-8"))["cells"]) + 1


def _brief(reasons: list[str]) -> str:
    return "; ".join(reasons[:2]) + (f"; {len(reasons) - 2} more" if len(reasons) > 2 else "")
