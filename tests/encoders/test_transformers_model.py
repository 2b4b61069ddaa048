"""An image model of transformers as an encoder: as the model asked directly, told apart by its weights, missed in words that help."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
import torch
from PIL import Image

from lib.data import embedding
from lib.encoders.encoder import EncoderError
from lib.encoders.load import load_encoder

transformers = pytest.importorskip("transformers")
load_image_model = embedding.load_image_model


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


def test_vectors_equal_those_of_the_model_asked_directly(encoder_folder, pictures):
    encoder = load_encoder(str(encoder_folder))
    vectors = encoder.embed(pictures)
    model = transformers.AutoModel.from_pretrained(encoder_folder).eval()
    ready = transformers.AutoImageProcessor.from_pretrained(encoder_folder)(
        images=[Image.fromarray(image) for image in pictures], return_tensors="pt")["pixel_values"]
    with torch.no_grad():
        towers = hasattr(model, "get_image_features")
        wanted = model.get_image_features(ready).pooler_output if towers else model(pixel_values=ready).last_hidden_state.mean(1)
    assert vectors.dtype == np.float32 and np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    assert np.allclose(vectors, torch.nn.functional.normalize(wanted, dim=1).numpy(), atol=1e-5)
    assert np.allclose(encoder.embed(pictures[:5]), vectors[:5], atol=1e-6)


def test_images_of_a_network_give_the_same_vectors_with_a_gradient(encoder_folder, pictures):
    encoder = load_encoder(str(encoder_folder))
    images = torch.from_numpy(pictures[:4]).permute(0, 3, 1, 2) / 127.5 - 1
    images.requires_grad_()
    vectors = encoder.embed_images(images)
    assert np.allclose(vectors.detach().numpy(), encoder.embed(pictures[:4]), atol=1e-4)
    vectors[:, 0].sum().backward()
    assert images.grad.abs().sum() > 0 and not any(weight.requires_grad for weight in encoder._model.parameters())


def test_feature_maps_are_the_hidden_states(encoder_folder, pictures):
    maps = load_encoder(str(encoder_folder)).feature_maps(pictures[:3])
    assert len(maps) == 3 and {layer.shape[0] for layer in maps} == {3} and {layer.shape[2] for layer in maps} == {16}


def test_features_have_the_cosine_for_the_kernels_product(encoder_folder, pictures):
    encoder = load_encoder(str(encoder_folder))
    features, vectors = encoder.features(pictures), encoder.embed(pictures)
    assert features.dtype == np.float32
    np.testing.assert_allclose(features @ features.T / features.shape[1], vectors @ vectors.T, atol=1e-5)


def test_the_identity_follows_the_weights_and_not_the_place(encoder_folder, tmp_path):
    first = load_encoder(str(encoder_folder)).identity["sha256"]
    copy = shutil.copytree(encoder_folder, tmp_path / "copy")
    assert load_encoder(str(copy)).identity["sha256"] == first and len(first) == 64
    weights = copy / "model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(bytes(content))
    assert load_encoder(str(copy)).identity["sha256"] != first


def test_a_model_of_timm(tmp_path, pictures):
    """Its convolutional maps become positions, and pictures are made ready as timm's own transforms do it."""
    timm = pytest.importorskip("timm")
    config = transformers.TimmWrapperConfig(architecture="resnet10t", do_pooling=True, pretrained_cfg={
        "input_size": (3, 32, 32), "mean": (0.5, 0.4, 0.3), "std": (0.2, 0.3, 0.4), "crop_pct": 1.0, "interpolation": "bilinear"})
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = transformers.TimmWrapperModel(config).eval()
    model.save_pretrained(tmp_path / "timm")
    encoder = load_encoder(str(tmp_path / "timm"))
    ready = (torch.from_numpy(pictures).permute(0, 3, 1, 2) / 255 - torch.tensor([0.5, 0.4, 0.3])[:, None, None])
    ready = ready / torch.tensor([0.2, 0.3, 0.4])[:, None, None]
    alone = timm.create_model("resnet10t", num_classes=0).eval()
    alone.load_state_dict(model.timm_model.state_dict())
    with torch.no_grad():
        wanted = torch.nn.functional.normalize(alone(ready), dim=1).numpy()                # mean over positions: its own pooling
    np.testing.assert_allclose(encoder.embed(pictures), wanted, atol=1e-5)
    maps = encoder.feature_maps(pictures)
    assert all(layer.ndim == 3 and len(layer) == len(pictures) for layer in maps) and maps[-1].shape[2] == wanted.shape[1]
    assert load_encoder(str(tmp_path / "timm")).identity == encoder.identity


@pytest.mark.parametrize("key", ["gan.encoder", "diffusion.encoder", "curation.encoder"])
def test_a_missing_encoder_names_the_key_that_asked_for_it(tmp_path, key):
    with pytest.raises(EncoderError, match=rf"^{key}: '.*none' cannot be loaded .* or use phantom-siglip"):
        load_encoder(str(tmp_path / "none"), key=key)


def test_an_encoder_of_the_hub_may_name_its_revision(encoder_folder, tmp_path, monkeypatch):
    """"id@revision" asks for that revision, and its commit is told for metrics; a folder with an @ is a folder."""
    asked = []

    def pinned(name, **options):
        asked.append((name, options["revision"]))
        processor, model, random = load_image_model(str(encoder_folder), key=options["key"])
        model.config._commit_hash = "c0ffee"
        return processor, model, random

    with monkeypatch.context() as patch:
        patch.setattr(embedding, "load_image_model", pinned)
        encoder = load_encoder("some/encoder@v1.2")
        assert {**encoder.identity, "sha256": None} == {"model": "some/encoder@v1.2", "revision": "c0ffee", "sha256": None}
        assert asked == [("some/encoder", "v1.2")]
        load_encoder("some/encoder")
        assert asked[1] == ("some/encoder", None)
    shutil.copytree(encoder_folder, tmp_path / "some@v1")
    assert load_encoder(str(tmp_path / "some@v1")).revision is None
    told = []
    monkeypatch.setattr(transformers.AutoImageProcessor, "from_pretrained", lambda *_, **options: told.append(options) or 1 / 0)
    with pytest.raises(ZeroDivisionError):
        load_encoder("some/encoder@v1.2")
    assert told == [{"revision": "v1.2"}]
