"""A private copy of the checkout in which a test may edit sources, run studies and kill them."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import yaml

ROOT = Path(__file__).resolve().parents[2]

TINY = {
    "extends": "ci.yaml",
    "name": "tiny",
    "title": "As small as a study can be",
    "data": {"image_size": 32, "sources": [
        {"dataset": "phantom", "name": "clinic", "phantom": {"patients": 60, "image_size": 32, "seed": 1_400_000}},
        {"dataset": "phantom", "name": "survey", "role": "test_only", "phantom": {"patients": 30, "image_size": 32, "seed": 1_500_000}},
    ]},
    "groups": {"minimum_positives": 1},
    "diffusion": None,
    "gan": None,
    "generation": None,
    "curation": None,
    "truth": None,
    "classifier": {"arms": ["real", "oversampled"], "seeds": [0], "chunk_size": 1, "epochs": 2},
    "statistics": {"resamples": 100, "permutations": 100},
}


@dataclass
class Project:
    """A copy of the checkout with the study params/tiny.yaml."""

    root: Path
    environment: dict[str, str] = field(default_factory=dict)

    @classmethod
    def copy(cls, folder: Path) -> Project:
        """Copy what git would: tracked files and new ones it does not ignore."""
        listed = subprocess.run(["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True, check=True)
        for name in listed.stdout.splitlines():
            if (ROOT / name).is_file():
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(ROOT / name, folder / name)
        (folder / "params" / "tiny.yaml").write_text(yaml.safe_dump(TINY, allow_unicode=True), encoding="utf-8")
        return cls(folder)

    @property
    def outputs(self) -> Path:
        """Where its runs write."""
        return self.root / self.environment.get("OUTPUTS_ROOT", "outputs")

    def run(self, *arguments: str, study: str = "params/tiny.yaml") -> subprocess.CompletedProcess:
        """`python run_all.py STUDY ARGUMENTS`, to the end."""
        return subprocess.run(self._command(study, arguments), cwd=self.root, env=self._environment(), capture_output=True, text=True)

    def run_and_kill(self, when: Callable[[Project], bool], *arguments: str, study: str = "params/tiny.yaml", limit: float = 300) -> bool:
        """Start a run and SIGKILL it as soon as `when` holds; True if it was still running then. Waits until nothing of it is left."""
        process = subprocess.Popen(self._command(study, arguments), cwd=self.root, env=self._environment(),
                                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
        deadline = time.time() + limit
        while process.poll() is None and not when(self):
            if time.time() > deadline:
                process.kill()
                raise TimeoutError("the moment to kill never came")
            time.sleep(0.01)
        alive = process.poll() is None
        if alive:
            process.send_signal(signal.SIGKILL)
        process.wait()
        while self.processes():
            if time.time() > deadline:
                raise TimeoutError(f"outlived the run: {self.processes()}")
            time.sleep(0.05)
        return alive

    def processes(self) -> list[str]:
        """Command lines of running processes that belong to this copy."""
        found = []
        for process in psutil.process_iter(["pid", "cmdline", "environ", "status"]):
            environment = process.info["environ"] or {}
            if environment.get("COUNTERBALANCE_TEST") == str(self.root) and process.info["status"] != psutil.STATUS_ZOMBIE:
                found.append(" ".join(process.info["cmdline"] or []))
        return found

    def executed(self, study: str = "tiny") -> set[str]:
        """Jobs whose notebook ran in the last run."""
        events = self.outputs / ".state" / study / "events.jsonl"
        lines = [json.loads(line) for line in events.read_text(encoding="utf-8").splitlines()] if events.is_file() else []
        return {line["job"] for line in lines if line["event"] == "started"}

    def forget_events(self, study: str = "tiny") -> None:
        """Empty the event file, so `executed` speaks of the next run only, also when that run starts nothing."""
        (self.outputs / ".state" / study / "events.jsonl").unlink(missing_ok=True)

    def results(self, study: str = "tiny") -> dict[str, str]:
        """Relative path → content hash of every metrics.json and Parquet table of a study."""
        from lib.workflow.keys import file_hash

        base = self.outputs / study
        found = [path for pattern in ("*.parquet", "metrics.json") for path in sorted(base.rglob(pattern))]
        return {str(path.relative_to(base)): file_hash(path) for path in found}

    def edit(self, name: str, old: str, new: str) -> None:
        """Replace text in a file of the copy; the old text must be there."""
        path = self.root / name
        text = path.read_text(encoding="utf-8")
        assert old in text, f"{name} does not hold {old!r}"
        path.write_text(text.replace(old, new, 1), encoding="utf-8")

    def _command(self, study: str, arguments: tuple[str, ...]) -> list[str]:
        return [sys.executable, "run_all.py", study, *arguments]

    def _environment(self) -> dict[str, str]:
        clean = {name: value for name, value in os.environ.items() if name not in ("OUTPUTS_ROOT", "PYTHONPATH")}
        return {**clean, "COUNTERBALANCE_TEST": str(self.root), **self.environment}
