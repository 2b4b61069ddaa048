"""Every contestant runs once per repetition, each time another one first, and only the timed part counts."""

import time

import pytest
import torch

from lib.training.stopwatch import Stopwatch, time_in_turn

CPU = torch.device("cpu")


def contestant(name, order):
    def run(watch):
        order.append(name)
        for done in range(1, 4):
            watch(done, 3)
        return 2
    return run


def test_takes_turns():
    order = []
    timings = time_in_turn({name: contestant(name, order) for name in "abc"}, repetitions=3, device=CPU, warmup=1)
    assert "".join(order) == "abcbcacab"
    assert list(timings.columns) == ["repetition", "contestant", "images", "seconds"]
    assert timings.groupby("contestant").size().eq(3).all() and (timings["seconds"] > 0).all() and timings["images"].eq(2).all()


def test_leaves_the_warmup_out(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(time, "perf_counter", lambda: now[0])
    watch = Stopwatch(CPU, warmup=2)
    for done, when in ((1, 5.0), (2, 7.0), (3, 8.0), (4, 10.0)):
        now[0] = when
        watch(done, 4)
    assert watch.seconds == 3.0


def test_starts_at_once_where_it_is_told(monkeypatch):
    now = [1.0]
    monkeypatch.setattr(time, "perf_counter", lambda: now[0])
    watch = Stopwatch(CPU)
    watch.start()
    now[0] = 4.0
    watch(1, 1)
    assert watch.seconds == 3.0


def test_one_that_never_ends_is_told():
    with pytest.raises(RuntimeError, match="ours ended without"):
        time_in_turn({"ours": lambda watch: 1}, repetitions=1, device=CPU)
