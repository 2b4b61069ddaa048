"""Where a result comes from: code, versions, machine."""

from __future__ import annotations

import platform
import subprocess
import sys
from functools import cache
from importlib import metadata

from lib.process import cores
from lib.study import ROOT

NAMED = ("torch", "torchvision", "accelerate", "numpy", "pandas", "scikit-learn", "scipy", "pillow", "snakemake", "papermill")


def environment() -> dict[str, str]:
    """Commit, versions and device as plain text; nothing that names the machine or the person."""
    return {"commit": commit(), "python": platform.python_version(), "packages": _packages(), "device": device()}


@cache
def commit() -> str:
    """Short git commit, with `+` when tracked files differ from it; "unknown" outside a checkout."""
    try:
        sha = _git("rev-parse", "--short=10", "HEAD")
        return sha + ("+" if _git("status", "--porcelain", "--untracked-files=no") else "")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def device() -> str:
    """GPU name when torch is loaded and sees one, else the number of CPU cores."""
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available():
        return torch.cuda.get_device_name()
    return f"CPU, {cores()} cores"


def _packages() -> str:
    found = []
    for name in NAMED:
        try:
            found.append(f"{name} {metadata.version(name)}")
        except metadata.PackageNotFoundError:
            continue
    return ", ".join(found)


def _git(*arguments: str) -> str:
    return subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()
