"""Models are found by name, folder or Hub id, told apart by what they are made of, and missed in words that help."""

import hashlib
import json
import shutil

import pytest
import torch

from lib.diffusion import hub
from lib.diffusion.hub import cast, file_hash, identify, load_pipeline, native_size
from lib.pretrained import ModelError
from lib.study.generate import Base


@pytest.fixture(autouse=True)
def _offline(monkeypatch):
    """Nothing may be fetched, whatever network the tests run on."""
    def refuse(*_, **__):
        raise OSError("no network here\nand a second line")

    monkeypatch.setattr(hub.StableDiffusionPipeline, "download", refuse)


def test_a_pipeline_comes_frozen_and_in_the_wanted_precision(tiny_base):
    pipeline = load_pipeline(tiny_base, dtype=torch.bfloat16)
    for part in (pipeline.unet, pipeline.vae, pipeline.text_encoder):
        assert not part.training and not any(weight.requires_grad for weight in part.parameters())
        assert {weight.dtype for weight in part.parameters()} == {torch.bfloat16}
    assert pipeline.safety_checker is None
    assert all(part.conv_in.weight.is_contiguous(memory_format=torch.channels_last) for part in (pipeline.unet, pipeline.vae.decoder))


def test_weights_are_cast_where_they_have_to_be_alone(tiny_base, monkeypatch):
    pipeline, asked = load_pipeline(tiny_base), []
    with monkeypatch.context() as patch:
        patch.setattr(type(pipeline.unet), "to", lambda part, *given: asked.append(given))
        cast(pipeline, torch.float32)
    assert asked == []
    cast(pipeline, torch.bfloat16)
    weights = [weight for part in (pipeline.unet, pipeline.vae, pipeline.text_encoder) for weight in part.parameters()]
    assert {weight.dtype for weight in weights} == {torch.bfloat16}


def test_a_missing_model_says_how_to_fetch_it():
    with pytest.raises(ModelError, match=r"diffusion\.base\.model: 'some/model' is no shipped model .*\(no network here\)\. .*"
                                         r"hf download some/model --revision main .*write its path as diffusion\.base\.model"):
        load_pipeline(Base(model="some/model", revision="main"))


def test_a_damaged_or_foreign_model_is_refused(tiny_folder, tmp_path):
    def copy(name):
        return Base(model=str(shutil.copytree(tiny_folder, tmp_path / name))), tmp_path / name

    base, folder = copy("cut")
    weights = next((folder / "unet").glob("*.safetensors"))
    weights.write_bytes(weights.read_bytes()[:1000])
    with pytest.raises(ModelError, match=r"cut' in .* cannot be loaded"):
        load_pipeline(base)
    base, folder = copy("half")
    index = json.loads((folder / "model_index.json").read_text())
    (folder / "model_index.json").write_text(json.dumps(index | {"unet": [None, None]}))
    with pytest.raises(ModelError, match="lacks unet"):
        load_pipeline(base)
    (folder / "model_index.json").write_text(json.dumps(index | {"_class_name": "StableDiffusionXLPipeline"}))
    with pytest.raises(ModelError, match="is a StableDiffusionXLPipeline; expected a StableDiffusionPipeline"):
        load_pipeline(base)
    (folder / "model_index.json").unlink()
    with pytest.raises(ModelError, match=r"no readable model_index\.json"):
        identify(base)


def test_the_identity_follows_what_is_loaded_and_nothing_else(tiny_folder, tmp_path):
    folder = shutil.copytree(tiny_folder, tmp_path / "copy")
    base, first = Base(model=str(folder)), identify(Base(model=str(tiny_folder))).sha256
    assert identify(base).sha256 == first and identify(base).revision is None
    (folder / "card.md").write_text("words")
    plain = next((folder / "unet").glob("*.safetensors"))
    half = plain.with_name("diffusion_pytorch_model.fp16.safetensors")
    half.write_bytes(plain.read_bytes() + b" ")
    assert identify(base).sha256 == first
    assert identify(Base(model=str(folder), variant="fp16")).sha256 != first
    weights = bytearray(plain.read_bytes())
    weights[-1] ^= 1
    plain.write_bytes(bytes(weights))
    assert identify(base).sha256 != first


def test_a_file_that_was_replaced_is_hashed_again(tmp_path):
    for content in (b"one", b"another"):
        (tmp_path / "x").write_bytes(content)
        assert file_hash(tmp_path / "x") == hashlib.sha256(content).hexdigest()


def test_the_size_of_the_images_follows_from_unet_and_vae(tiny_pipeline):
    assert native_size(tiny_pipeline) == 32


def test_the_commit_of_a_hub_model_is_its_revision(tiny_folder, tmp_path):
    folder = shutil.copytree(tiny_folder, tmp_path / "snapshots" / "abc123")
    assert identify(Base(model=str(folder))).revision == "abc123"
