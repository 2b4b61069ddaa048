"""Where pretrained models lie, and what tells one state of them from another."""

from __future__ import annotations

from pathlib import Path

import pytest

from lib.pretrained import ASSETS, ModelError, fetched, locate, model_state, split_revision, without_folders


def test_names_become_places(tmp_path, monkeypatch):
    monkeypatch.setitem(ASSETS, "phantom-sd", tmp_path)
    assert locate("phantom-sd") == str(tmp_path)
    assert locate(str(tmp_path)) == str(tmp_path)
    assert locate("some/model") == "some/model"
    monkeypatch.setitem(ASSETS, "phantom-sd", tmp_path / "none")
    with pytest.raises(ModelError, match=r"build it with: python -m lib\.diffusion\.base\.build phantom-sd"):
        locate("phantom-sd")
    with pytest.raises(ModelError) as told:
        locate("phantom-sd")
    assert str(tmp_path) not in str(told.value)


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


def test_published_weights_are_found_in_the_caches(tmp_path, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    names = ("inception", "lpips-alex", "some/model@v1", "spectrum", "phantom-siglip")
    assert all(fetched(name) == [] for name in names)
    places = {"inception": tmp_path / "torch/hub/checkpoints/weights-inception-2015-12-05-6726825d.pth",
              "lpips-alex": tmp_path / "torch/hub/checkpoints/alexnet-owt-7be5be79.pth",
              "some/model@v1": tmp_path / "hub/models--some--model/snapshots/abc/model.safetensors"}
    for name, path in places.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"123")
        assert fetched(name) == [f"{path.name} 3"]
    assert fetched("lpips-vgg") == fetched("some/other") == fetched("spectrum") == []


def test_the_place_of_torchs_cache_is_torchs_own(tmp_path, monkeypatch):
    import torch

    monkeypatch.delenv("TORCH_HOME", raising=False)
    for variable in ("XDG_CACHE_HOME", "TORCH_HOME"):
        monkeypatch.setenv(variable, str(tmp_path / variable))
        path = Path(torch.hub.get_dir()) / "checkpoints" / "vgg16-397923af.pth"
        assert path.is_relative_to(tmp_path / variable)
        path.parent.mkdir(parents=True)
        path.write_bytes(b"1")
        assert fetched("lpips-vgg") == ["vgg16-397923af.pth 1"]
        path.unlink()


@pytest.mark.parametrize(("text", "said"), [
    ("[Errno 2] No such file or directory: '/some/my files/x.pth'", "[Errno 2] No such file or directory: 'x.pth'"),
    ("not in /some/.cache/torch. Fetch https://ab.c/d/e.pth", "not in torch. Fetch https://ab.c/d/e.pth"),
    ("inception@/abs/f.pth judges", "inception@f.pth judges"),
    *[(kept, kept) for kept in ("some/model@v1", "lib/assets/x", "~/.cache/torch", "$TORCH_HOME/hub", "1 / 2")],
])
def test_messages_keep_files_and_addresses_and_lose_folders(text, said):
    assert without_folders(text) == said
