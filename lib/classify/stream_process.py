"""The process that draws beside the trainer, from both ends: asked line by line, answered in order, and heard when it fails.

A process and not a thread, so that it draws while the trainer computes, and shares no random state with it. Lines are JSON; images and
tables go over the disk.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import traceback
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from lib.process import die_with_parent
from lib.study import ROOT

Draw = Callable[[Mapping[str, Any]], None]      # what `Worker.ask` was given, and the name

_LAST_WORDS = 3                                 # lines of the log that a message shows


class StreamError(RuntimeError):
    """Images could not be drawn while a classifier trains; the message says why and what to do."""


class Worker:
    """Starts `command` with the first ask. Not for use from several threads."""

    def __init__(
        self,
        command: Sequence[str],
        log:     Path,              # gets what the process says besides its answers
    ):
        self.command, self.log = list(command), log
        self._process: subprocess.Popen | None = None
        self._asked:    set[str] = set()
        self._answered: dict[str, str | None] = {}      # name → what went wrong

    def ask(self, name: str, what: Mapping[str, Any]) -> None:
        """Have something drawn after all that was asked before; `name` is what `wait` calls it. StreamError where the process has ended."""
        process = self._process or self._start()
        try:
            process.stdin.write(json.dumps({"name": name, **what}).encode() + b"\n")
            process.stdin.flush()
        except OSError:             # it has ended, and nobody reads
            raise self._ended() from None
        self._asked.add(name)

    def asked(self, name: str) -> bool:
        """Whether it was asked and its outcome not yet taken by `wait`."""
        return name in self._asked

    def wait(self, name: str) -> None:
        """Until it is drawn. StreamError with the reason where it cannot be, or where the process ended."""
        while name not in self._answered:
            line = self._process.stdout.readline()
            if not line:
                raise self._ended()
            answer = json.loads(line)
            self._answered[answer["name"]] = answer["error"]
        self._asked.discard(name)
        if reason := self._answered.pop(name):
            raise StreamError(f"{name} could not be drawn: {reason} (more in {self.log})")

    def close(self) -> None:
        """End the process, at once: what it draws is as safe from this as from any other end."""
        if self._process is None:
            return
        process, self._process = self._process, None
        self._asked.clear()
        self._answered.clear()
        process.kill()
        process.wait()
        process.stdout.close()
        with contextlib.suppress(OSError):              # a line that nobody will read
            process.stdin.close()

    def _start(self) -> subprocess.Popen:
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(self.command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, cwd=ROOT)
        return self._process

    def _ended(self) -> StreamError:
        """Why the process is no more; another ask starts a new one."""
        code = self._process.wait()
        self.close()
        how = f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with code {code}"
        why = ", most often because memory ran out; use fewer --jobs or a smaller generation.batch_size" if code == -signal.SIGKILL else ""
        said = [line for line in self.log.read_text(encoding="utf-8", errors="replace").splitlines() if line.strip()][-_LAST_WORDS:]
        words = f". It said last: {' / '.join(said)}" if said else ""
        return StreamError(f"the process that draws images while the classifier trains {how}{why}{words} (log: {self.log})")


# ── the other end ────────────────────────────────────────────────────────────────────────────────────────────────

def serve(opened: Callable[[], Draw]) -> None:
    """Draw what comes in over standard input, line by line; answer each with its name and what went wrong (null: nothing).

    `opened` makes what draws, when the first line is there. What libraries print goes to standard error, for standard output holds the
    answers.
    """
    die_with_parent()
    signal.signal(signal.SIGINT, signal.SIG_IGN)        # Ctrl-C is for the trainer; this process ends with it
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    draw = None
    for line in sys.stdin:
        ask, error = json.loads(line), None
        try:
            draw = draw or opened()
            draw(ask)
        except Exception as what:                       # whatever it is, the trainer must hear of it
            traceback.print_exc()
            error = str(what) if isinstance(what, ValueError | OSError) else f"{type(what).__name__}: {what}"
        print(json.dumps({"name": ask["name"], "error": error}), file=answers, flush=True)


def program(module: str, *arguments: str) -> list[str]:
    """The command that runs a module of this project in a process of its own."""
    return [sys.executable, "-m", module, *arguments]
