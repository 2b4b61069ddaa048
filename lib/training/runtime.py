"""The machine as the study asks for it: threads, deterministic algorithms, device and precision through Hugging Face accelerate."""

from __future__ import annotations

import ctypes
import json
import os
from collections.abc import Iterable
from importlib import metadata
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState

from lib.study import Compute

DTYPES = {"no": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}      # of compute.precision
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3      # numbers of glibc's mallopt


def prepare_machine(compute: Compute) -> Accelerator:
    """Set threads and deterministic algorithms, and return the accelerator every trainer runs under.

    On the CPU an operation without a deterministic form raises; on a GPU it warns (a few have none) and results agree to rounding.
    Under `accelerate launch` each process gets its own device. ValueError when the device or the precision is not to be had.
    """
    on_cpu = compute.device == "cpu" or not torch.cuda.is_available()
    if compute.device == "cuda" and on_cpu:
        raise ValueError("compute.device is cuda, and torch sees no GPU; set compute.device: auto or cpu")
    if compute.precision == "fp16" and on_cpu:
        raise ValueError("compute.precision: fp16 needs a GPU; use bf16 or no")
    torch.set_num_threads(compute.threads)
    _keep_memory()
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")      # cuBLAS is reproducible only with a fixed workspace
    torch.use_deterministic_algorithms(True, warn_only=not on_cpu)
    torch.utils.deterministic.fill_uninitialized_memory = False      # a debugging aid that writes every new tensor twice
    torch.backends.cudnn.benchmark = False
    wanted = (on_cpu, compute.precision)
    if AcceleratorState._shared_state and wanted != _present():
        AcceleratorState._reset_state(reset_partial_state=True)      # accelerate keeps one state per process
    return Accelerator(cpu=on_cpu, mixed_precision=compute.precision)


def machine_columns(device: torch.device, dtype: torch.dtype, packages: Iterable[str]) -> dict[str, Any]:
    """Columns of the `synthetic` table that decide the bytes of an image beside its row: threads, device, dtype, versions.

    Versions are JSON: torch, the packages named, and the instructions that torch uses on this CPU.
    """
    versions = {"torch": torch.__version__} | {name: metadata.version(name) for name in packages}
    return {
        "threads":  torch.get_num_threads(),
        "device":   torch.cuda.get_device_name(device) if device.type == "cuda" else device.type,
        "dtype":    str(dtype).removeprefix("torch."),
        "versions": json.dumps(versions | {"cpu": torch.backends.cpu.get_cpu_capability()}),
    }


def _keep_memory() -> None:
    """Let the allocator reuse a step's memory in the next one.

    glibc hands blocks of some megabytes back to the system and gets them again, page by page, which takes about a tenth of a small
    network's step. What it keeps instead is a free gigabyte at the end of its heap, and whatever is free below a block still in use.
    """
    allocator = getattr(ctypes.CDLL(None), "mallopt", None) if os.name == "posix" else None
    if allocator:                                                        # other C libraries have no such switch, and no such habit
        allocator(_MMAP_THRESHOLD, 32 << 20)                             # the most that glibc takes
        allocator(_TRIM_THRESHOLD, 1 << 30)                              # either alone makes things worse


def _present() -> tuple[bool, str]:
    state = AcceleratorState()
    return state.device.type == "cpu", state.mixed_precision
