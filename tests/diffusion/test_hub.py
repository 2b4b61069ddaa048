"""Models are found by name, folder or Hub id, told apart by what they are made of, and missed in words that help."""

import hashlib
import json
import shutil

import numpy as np
import pytest
import torch
from PIL import Image

from lib.data.embedding import load_image_model
from lib.diffusion import hub
from lib.diffusion.hub import ASSETS, ModelError, file_hash, identify, load_encoder, load_pipeline, locate, native_size
from lib.diffusion.places import split_revision
from lib.study.generate import Base

transformers = pytest.importorskip("transformers")


@pytest.fixture(autouse=True)
def _offline(monkeypatch):
    """Nothing may be fetched, whatever network the tests run on."""
    def refuse(*_, **__):
        raise OSError("no network here\nand a second line")

    monkeypatch.setattr(hub.StableDiffusionPipeline, "download", refuse)


def test_names_become_places(tmp_path, monkeypatch):
    monkeypatch.setitem(ASSETS, "phantom-sd", tmp_path)
    assert locate("phantom-sd") == str(tmp_path)
    assert locate(str(tmp_path)) == str(tmp_path)
    assert locate("some/model") == "some/model"
    monkeypatch.setitem(ASSETS, "phantom-sd", tmp_path / "none")
    with pytest.raises(ModelError, match=r"build it with: python -m lib\.diffusion\.base\.build phantom-sd"):
        locate("phantom-sd")


def test_a_pipeline_comes_frozen_and_in_the_wanted_precision(tiny_base):
    pipeline = load_pipeline(tiny_base, dtype=torch.bfloat16)
    for part in (pipeline.unet, pipeline.vae, pipeline.text_encoder):
        assert not part.training and not any(weight.requires_grad for weight in part.parameters())
        assert {weight.dtype for weight in part.parameters()} == {torch.bfloat16}
    assert pipeline.safety_checker is None
    assert all(part.conv_in.weight.is_contiguous(memory_format=torch.channels_last) for part in (pipeline.unet, pipeline.vae.decoder))


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


# ── encoders ─────────────────────────────────────────────────────────────────────────────────────────────────────

@pytest.fixture(scope="module", params=["siglip", "vit"])
def encoder_folder(request, tmp_path_factory):
    """A tiny model with random weights: two towers, or one."""
    folder = tmp_path_factory.mktemp(request.param)
    sizes = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        if request.param == "vit":
            model = transformers.ViTModel(transformers.ViTConfig(**sizes, image_size=32, patch_size=8), add_pooling_layer=False)
            processor = transformers.ViTImageProcessor(size={"height": 32, "width": 32})
        else:
            config = {"text_config": {**sizes, "vocab_size": 50}, "vision_config": {**sizes, "image_size": 32, "patch_size": 8}}
            model = transformers.SiglipModel(transformers.SiglipConfig(**config))
            processor = transformers.SiglipImageProcessor(size={"height": 32, "width": 32})
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder


def test_vectors_equal_those_of_the_model_asked_directly(encoder_folder, tiny_samples):
    encoder = load_encoder(str(encoder_folder))
    vectors = encoder.embed(tiny_samples.pixels)
    model = transformers.AutoModel.from_pretrained(encoder_folder).eval()
    ready = transformers.AutoImageProcessor.from_pretrained(encoder_folder)(
        images=[Image.fromarray(image) for image in tiny_samples.pixels], return_tensors="pt")["pixel_values"]
    with torch.no_grad():
        towers = hasattr(model, "get_image_features")
        wanted = model.get_image_features(ready).pooler_output if towers else model(pixel_values=ready).last_hidden_state.mean(1)
    assert vectors.dtype == np.float32 and np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    assert np.allclose(vectors, torch.nn.functional.normalize(wanted, dim=1).numpy(), atol=1e-5)
    assert np.allclose(encoder.embed(tiny_samples.pixels[:5]), vectors[:5], atol=1e-6)


def test_images_of_a_network_give_the_same_vectors_with_a_gradient(encoder_folder, tiny_samples):
    encoder = load_encoder(str(encoder_folder))
    images = torch.from_numpy(tiny_samples.pixels[:4]).permute(0, 3, 1, 2) / 127.5 - 1
    images.requires_grad_()
    vectors = encoder.embed_images(images)
    assert np.allclose(vectors.detach().numpy(), encoder.embed(tiny_samples.pixels[:4]), atol=1e-4)
    vectors[:, 0].sum().backward()
    assert images.grad.abs().sum() > 0 and not any(weight.requires_grad for weight in encoder._model.parameters())


def test_feature_maps_are_the_hidden_states(encoder_folder, tiny_samples):
    maps = load_encoder(str(encoder_folder)).feature_maps(tiny_samples.pixels[:3])
    assert len(maps) == 3 and {layer.shape[0] for layer in maps} == {3} and {layer.shape[2] for layer in maps} == {16}


def test_a_missing_encoder_names_its_key(tmp_path):
    with pytest.raises(ModelError, match=r"diffusion\.encoder: '.*none' cannot be loaded .* or use phantom-siglip"):
        load_encoder(str(tmp_path / "none"))


def test_an_encoder_of_the_hub_may_name_its_revision(encoder_folder, tmp_path, monkeypatch):
    """"id@revision" asks for that revision, and its commit is told for metrics; a folder with an @ is a folder."""
    asked = []

    def pinned(name, **options):
        asked.append((name, options["revision"]))
        processor, model, random = load_image_model(str(encoder_folder), key=options["key"])
        model.config._commit_hash = "c0ffee"
        return processor, model, random

    with monkeypatch.context() as patch:
        patch.setattr(hub, "load_image_model", pinned)
        encoder = load_encoder("some/encoder@v1.2")
        assert encoder.identity == {"model": "some/encoder@v1.2", "revision": "c0ffee"} and asked == [("some/encoder", "v1.2")]
        load_encoder("some/encoder")
        assert asked[1] == ("some/encoder", None)
    shutil.copytree(encoder_folder, tmp_path / "some@v1")
    assert load_encoder(str(tmp_path / "some@v1")).identity == {"model": str(tmp_path / "some@v1"), "revision": None}
    assert split_revision("phantom-siglip") == ("phantom-siglip", None) and split_revision("a/b@") == ("a/b@", None)
    told = []
    monkeypatch.setattr(transformers.AutoImageProcessor, "from_pretrained", lambda *_, **options: told.append(options) or 1 / 0)
    with pytest.raises(ZeroDivisionError):
        load_encoder("some/encoder@v1.2")
    assert told == [{"revision": "v1.2"}]
