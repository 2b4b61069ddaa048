"""FID's Inception, with random weights on both sides: pytorch-fid's network, and files that are missing or wrong."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torchvision
from safetensors.torch import save_file

from lib.encoders.encoder import EncoderError
from lib.encoders.inception import FILES
from lib.encoders.load import load_encoder

pytest.importorskip("torch_fidelity")


@pytest.fixture(scope="module")
def state():
    """Random weights under the names of the published file, of a size that keeps what passes through at the size it had."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = torchvision.models.inception_v3(num_classes=1008, aux_logits=False, weights=None, init_weights=False)
        for layer in network.modules():
            if isinstance(layer, torch.nn.Conv2d):
                torch.nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
    return network.state_dict()


@pytest.fixture(scope="module")
def file(state, tmp_path_factory):
    path = tmp_path_factory.mktemp("inception") / FILES[0]
    torch.save(state, path)
    return path


@pytest.fixture(scope="module")
def encoder(file):
    return load_encoder(f"inception@{file}")


def test_equals_pytorch_fids_network(state, encoder, monkeypatch, draw):
    """At 299 px, where nothing is resized, and with pictures scaled as TensorFlow's graph does it: the packages differ in both."""
    fid = pytest.importorskip("pytorch_fid.inception")
    monkeypatch.setattr(fid, "load_state_dict_from_url", lambda *_, **__: state)
    pictures = draw(2, 299)
    with torch.inference_mode():
        network = fid.InceptionV3(resize_input=False, normalize_input=False).eval()
        wanted = network((torch.from_numpy(pictures).permute(0, 3, 1, 2).float() - 128) / 128)[0].flatten(1).numpy()
    seen = encoder.embed(pictures)
    assert seen.dtype == np.float32 and seen.shape == (2, 2048) and wanted.max() > 0.1
    np.testing.assert_allclose(seen, wanted, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(encoder.logits(pictures), seen @ state["fc.weight"].numpy().T, rtol=1e-3, atol=1e-4)


def test_features_are_the_vectors_as_they_are(encoder, pictures):
    np.testing.assert_array_equal(encoder.features(pictures[:1]), encoder.embed(pictures[:1]))
    assert encoder.embed(pictures[:0]).shape == (0, 2048)


def test_the_same_weights_from_torchs_cache(encoder, file, tmp_path):
    (tmp_path / "hub" / "checkpoints").mkdir(parents=True)
    (tmp_path / "hub" / "checkpoints" / FILES[1]).symlink_to(file)
    cached = load_encoder("inception").identity
    assert cached == {**encoder.identity, "model": "inception"} and len(cached["sha256"]) == 64
    assert encoder.name == f"inception@{FILES[0]}"                          # figures name no folder of this machine


def test_out_of_reach_it_says_where_the_file_belongs_and_what_else_there_is(tmp_path):
    with pytest.raises(EncoderError) as told:
        load_encoder("inception", key="curation.encoder")
    for words in ("curation.encoder: the weights", "$TORCH_HOME/hub/checkpoints", "no network here", FILES[0], "inception@FOLDER/",
                  "phantom-siglip", "https://github.com/toshas"):
        assert words in str(told.value)
    assert str(tmp_path) not in str(told.value)
    encoder = load_encoder("inception", fallback="spectrum")
    assert encoder.name == "spectrum" and encoder.note.endswith("spectrum judges in place of inception, and every figure names it.")
    with pytest.raises(EncoderError, match="the weights of FID's Inception"):
        load_encoder("inception", fallback="inception")


@pytest.mark.parametrize("content", [b"", b"words", b"PK\x03\x04 half a file"])
def test_a_file_that_is_something_else(tmp_path, content):
    (tmp_path / "x.pth").write_bytes(content)
    with pytest.raises(EncoderError, match=r"gan\.encoder: .*x\.pth does not hold the weights of FID's Inception \(.+\)\. Delete it"):
        load_encoder(f"inception@{tmp_path / 'x.pth'}", key="gan.encoder")
    with pytest.raises(EncoderError, match="names a file that is not there; expected inception@FOLDER/"):
        load_encoder(f"inception@{tmp_path / 'none.pth'}")


def test_what_a_report_says_names_no_folder(tmp_path):
    (tmp_path / "x.pth").write_bytes(b"words")
    for file in ("x.pth", "none.pth"):
        note = load_encoder(f"inception@{tmp_path / file}", fallback="spectrum").note
        assert file in note and str(tmp_path) not in note and "spectrum judges in place of inception@" in note


def test_other_weights_and_code_in_a_file_are_refused(tmp_path):
    save_file({"fc.weight": torch.zeros(2)}, tmp_path / "x.safetensors")
    with pytest.raises(EncoderError, match="does not hold the weights"):
        load_encoder(f"inception@{tmp_path / 'x.safetensors'}")
    torch.save({"fc.weight": Trap(tmp_path / "sprung")}, tmp_path / "x.pth")
    with pytest.raises(EncoderError, match="does not hold the weights"):
        load_encoder(f"inception@{tmp_path / 'x.pth'}")
    assert not (tmp_path / "sprung").exists()


class Trap:
    """Makes a file when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")
