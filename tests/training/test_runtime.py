"""The machine: threads and determinism as asked, clear words for what is not to be had."""

import ctypes
from types import SimpleNamespace

import pytest
import torch

from lib.study import Compute
from lib.training.runtime import prepare_machine


def test_threads_determinism_and_precision_are_set_and_can_change():
    accelerator = prepare_machine(Compute(device="cpu", threads=1, precision="bf16"))
    assert accelerator.mixed_precision == "bf16" and torch.get_num_threads() == 1 and torch.are_deterministic_algorithms_enabled()
    accelerator = prepare_machine(Compute(device="cpu", threads=1))
    assert accelerator.mixed_precision == "no" and accelerator.device.type == "cpu"


def test_the_allocator_is_told_to_keep_what_a_step_used(monkeypatch):
    told = {}
    monkeypatch.setattr(ctypes, "CDLL", lambda name: SimpleNamespace(mallopt=told.__setitem__))
    prepare_machine(Compute(device="cpu", threads=1))
    assert told == {-1: 2**30, -3: 2**25}                       # M_TRIM_THRESHOLD and M_MMAP_THRESHOLD of malloc.h
    monkeypatch.setattr(ctypes, "CDLL", lambda name: object())          # a C library without the switch
    prepare_machine(Compute(device="cpu", threads=1))


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_what_a_cpu_cannot_do_is_said():
    with pytest.raises(ValueError, match=r"compute\.device is cuda"):
        prepare_machine(Compute(device="cuda"))
    with pytest.raises(ValueError, match="fp16 needs a GPU"):
        prepare_machine(Compute(precision="fp16"))
