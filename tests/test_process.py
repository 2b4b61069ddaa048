"""Processes end with the run they belong to."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time

import psutil
import pytest

from lib.process import cores
from lib.study import ROOT

PARENT = """
import subprocess, sys, time
code = "from lib.process import die_with_parent; die_with_parent(); print('up', flush=True); import time; time.sleep(300)"
child = subprocess.Popen([sys.executable, "-c", code])
print(child.pid, flush=True)
time.sleep(300)
"""


def is_running(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:                # it may go between any two looks
        return False


@pytest.mark.skipif(sys.platform != "linux", reason="prctl is Linux")
def test_a_child_dies_with_its_killed_parent():
    parent = subprocess.Popen([sys.executable, "-c", PARENT], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    lines = [parent.stdout.readline().strip() for _ in range(2)]
    child = int(next(line for line in lines if line != "up"))
    parent.kill()
    parent.wait()
    for _ in range(600):
        if not is_running(child):
            return
        time.sleep(0.05)
    with contextlib.suppress(ProcessLookupError):
        os.kill(child, 9)
    raise AssertionError("the child outlived its parent")


def test_cores_respect_affinity():
    answer = subprocess.run([sys.executable, "-c", "import os; os.sched_setaffinity(0, [min(os.sched_getaffinity(0))]);"
                             "from lib.process import cores; print(cores())"], cwd=ROOT, capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "1" and cores() >= 1
