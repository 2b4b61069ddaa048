"""Where pretrained models lie, and what tells one state of them from another."""

from __future__ import annotations

import pytest

from lib.pretrained import ASSETS, ModelError, locate, model_state, split_revision


def test_names_become_places(tmp_path, monkeypatch):
    monkeypatch.setitem(ASSETS, "phantom-sd", tmp_path)
    assert locate("phantom-sd") == str(tmp_path)
    assert locate(str(tmp_path)) == str(tmp_path)
    assert locate("some/model") == "some/model"
    monkeypatch.setitem(ASSETS, "phantom-sd", tmp_path / "none")
    with pytest.raises(ModelError, match=r"build it with: python -m lib\.diffusion\.base\.build phantom-sd"):
        locate("phantom-sd")


def test_a_revision_follows_an_at():
    assert split_revision("some/encoder@v1.2") == ("some/encoder", "v1.2")
    assert split_revision("phantom-siglip") == ("phantom-siglip", None) and split_revision("a/b@") == ("a/b@", None)


def test_the_state_follows_the_files(tmp_path):
    (tmp_path / "w.pth").write_bytes(b"1")
    for model in (str(tmp_path), f"inception@{tmp_path / 'w.pth'}"):
        before = model_state(model)
        assert model_state(model) == before
        (tmp_path / "w.pth").write_bytes((tmp_path / "w.pth").read_bytes() + b"2")
        assert model_state(model) != before
    assert model_state("spectrum") != model_state("inception") and model_state("spectrum") == model_state("spectrum")
