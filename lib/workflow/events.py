"""What running jobs say to whoever watches: one JSON line per event, appended to a file of the study."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

from lib.workflow.plan import state_root


def events_file(study: str) -> Path:
    """Where a study's events go; the runner empties it when it starts."""
    return state_root(study) / "events.jsonl"


def tell(study: str, job: str, event: str, **details: Any) -> None:
    """Append one event: started, cell, unchanged, done, failed. One short write, so lines of parallel jobs do not mix."""
    line = json.dumps({"time": time.time(), "job": job, "event": event, **details}, ensure_ascii=False) + "\n"
    path = events_file(study)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    try:
        os.write(handle, line.encode())
    finally:
        os.close(handle)


def listen(path: Path, position: int) -> tuple[list[dict], int]:
    """Events after byte `position`, and where to go on; a line still being written waits for the next call."""
    if not path.is_file():
        return [], position
    with path.open("rb") as file:
        file.seek(position)
        chunk = file.read()
    whole = chunk[: chunk.rfind(b"\n") + 1]
    return [json.loads(line) for line in whole.splitlines()], position + len(whole)
