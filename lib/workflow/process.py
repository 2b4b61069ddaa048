"""Processes that do not outlive the run they belong to."""

from __future__ import annotations

import ctypes
import signal
import sys

PR_SET_PDEATHSIG = 1                                    # linux/prctl.h


def die_with_parent() -> None:
    """Ask Linux to kill this process when the one that started it ends, so a killed run leaves nobody writing. Elsewhere: nothing."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
