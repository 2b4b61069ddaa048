"""One folder of data sets, wherever a process happens to run."""

from __future__ import annotations

from pathlib import Path

import pytest

from lib.data.root import data_root
from lib.study import ROOT


@pytest.mark.parametrize(("given", "found"), [
    ("",                    ROOT / "data"),
    ("pool",                ROOT / "pool"),
    ("../shared/data",      ROOT / "../shared/data"),
    ("/mnt/images",         Path("/mnt/images")),
])
def test_data_root_is_the_same_from_every_working_directory(given, found, tmp_path, monkeypatch):
    monkeypatch.setenv("DATA_ROOT", given)
    here = data_root()
    monkeypatch.chdir(tmp_path)
    assert here == data_root() == found


def test_without_the_variable_it_is_data_in_the_checkout(monkeypatch):
    monkeypatch.delenv("DATA_ROOT", raising=False)
    assert data_root() == ROOT / "data"
