"""A fixture for tests of training; a conftest that imports it applies it to all tests beside it."""

from __future__ import annotations

import pytest
import torch


@pytest.fixture(autouse=True)
def one_thread():
    """Trainers set the study's threads, and sums are rounded otherwise with another number: what a test compares, it computes with one."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
