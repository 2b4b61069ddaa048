"""Processes: how many fit, and how they end with the run they belong to."""

from __future__ import annotations

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1                                    # linux/prctl.h


def die_with_parent() -> None:
    """Ask Linux to kill this process when the one that started it ends, so a killed run leaves nobody writing. Elsewhere: nothing."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def cores() -> int:
    """CPU cores this process may use (a container or `taskset` may allow fewer than the machine has)."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
