"""Embeddings of a model that is on disk: the same whatever the order, kept by content, model and transform, refused in clear words."""

from __future__ import annotations

import shutil

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from lib.data.duplicates import find_pairs
from lib.data.embedding import embed, similar_vectors
from lib.data.errors import DataError
from lib.study import Duplicates

transformers = pytest.importorskip("transformers")


@pytest.fixture(scope="module")
def encoder(tmp_path_factory):
    """A tiny ViT with random weights, saved as a folder."""
    return save_encoder(tmp_path_factory.mktemp("encoder"), seed=0)


def save_encoder(folder, seed, size=32):
    import torch

    torch.manual_seed(seed)
    config = transformers.ViTConfig(
        hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32, image_size=size, patch_size=8)
    transformers.ViTModel(config, add_pooling_layer=False).save_pretrained(folder, safe_serialization=True)
    transformers.ViTImageProcessor(size={"height": size, "width": size}).save_pretrained(folder)
    return str(folder)


@pytest.fixture
def images(tmp_path):
    """40 pictures of stripes, the last but one like the first in other colours, the last unlike any."""
    rows = []
    for k in range(40):
        rng = np.random.default_rng(k % 39 if k != 38 else 0)
        pixels = np.repeat(np.repeat(rng.integers(0, 256, (8, 8, 3)), 4, axis=0), 4, axis=1)
        pixels = np.clip(pixels * 0.98 + 2, 0, 255) if k == 38 else pixels if k < 39 else np.full((32, 32, 3), 255)
        (tmp_path / "data").mkdir(exist_ok=True)
        Image.fromarray(pixels.astype(np.uint8)).save(tmp_path / "data" / f"{k}.png")
        rows.append((f"i{k:02d}", "d", f"{k}.png", f"s{k}", f"p{k}", "nevus"))
    return pd.DataFrame(rows, columns=["image_id", "dataset", "file", "sha256", "patient_id", "label"]), {"d": tmp_path / "data"}


def test_vectors_equal_those_of_the_model_asked_directly(images, encoder):
    import torch

    table, roots = images
    vectors = embed(table, roots, encoder)
    processor, model = transformers.AutoImageProcessor.from_pretrained(encoder), transformers.AutoModel.from_pretrained(encoder).eval()
    for k in (0, 5, 38, 39):
        with torch.no_grad():
            pixels = processor(images=Image.open(roots["d"] / f"{k}.png"), return_tensors="pt")["pixel_values"]
            wanted = model(pixel_values=pixels).last_hidden_state.mean(dim=1)[0].numpy()
        assert vectors[k] == pytest.approx(wanted / np.linalg.norm(wanted), abs=1e-5)
    assert np.linalg.norm(vectors, axis=1) == pytest.approx(1, abs=1e-5)
    mixed = table.sample(frac=1, random_state=1)
    assert embed(mixed, roots, encoder, threads=3) == pytest.approx(vectors[mixed.index], abs=1e-5)


def test_the_cache_is_by_content_model_and_transform(images, encoder, tmp_path, monkeypatch):
    from lib.data import embedding

    table, roots = images
    cache, asked = tmp_path / "cache", []
    encode = embedding._encode
    monkeypatch.setattr(embedding, "_encode", lambda images, *rest: asked.append(len(images)) or encode(images, *rest))
    first = embed(table.head(30), roots, encoder, cache=cache)
    again = embed(table.sample(frac=1, random_state=2), roots, encoder, cache=cache)
    assert asked == [30, 10] and len(list(cache.glob("embeddings-*.npz"))) == 1
    order = table.sample(frac=1, random_state=2).index.to_numpy()
    assert (again[np.argsort(order)][:30] == first).all()
    embed(table, roots, encoder, cache=cache)
    assert asked == [30, 10]
    embed(table, roots, save_encoder(tmp_path / "other", seed=1), cache=cache)              # other weights
    embed(table, roots, save_encoder(tmp_path / "larger", seed=0, size=64), cache=cache)    # another transform
    shutil.copytree(encoder, tmp_path / "moved")
    embed(table, roots, str(tmp_path / "moved"), cache=cache)                                # the same encoder in another place
    shutil.copytree(encoder, tmp_path / "shifted")
    transformers.ViTImageProcessor(size={"height": 32, "width": 32}, image_mean=[0.4] * 3).save_pretrained(tmp_path / "shifted")
    embed(table, roots, str(tmp_path / "shifted"), cache=cache)                              # the same weights, other pixels
    assert asked == [30, 10, 40, 40, 40] and len(list(cache.glob("embeddings-*.npz"))) == 4
    for damage in (lambda path: path.write_bytes(b""), lambda path: path.write_bytes(path.read_bytes()[:200])):
        for path in cache.glob("embeddings-*.npz"):
            damage(path)
        assert embed(table, roots, encoder, cache=cache) == pytest.approx(again[np.argsort(order)], abs=1e-5)
    assert asked[5:] == [40, 40]


def test_similar_vectors_equal_the_pairs_counted_one_by_one(monkeypatch):
    from lib.data import embedding

    rng = np.random.default_rng(3)
    vectors = rng.normal(size=(50, 6)).astype(np.float32)
    vectors[40:] = vectors[:10] + 0.05 * rng.normal(size=(10, 6))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    wanted = {(i, j): round(float(vectors[i] @ vectors[j]), 4) for i in range(50) for j in range(i + 1, 50)}
    wanted = {pair: cosine for pair, cosine in wanted.items() if cosine >= 0.9}
    assert {(k, 40 + k) for k in range(10)} <= set(wanted)
    for rows in (1024, 7, 1):
        monkeypatch.setattr(embedding, "_ROWS", rows)
        i, j, distance = similar_vectors(vectors, 0.9)
        assert dict(zip(zip(i.tolist(), j.tolist(), strict=True), (1 - distance).round(4).tolist(), strict=True)) == pytest.approx(wanted)


def test_pairs_by_embedding_are_a_kind_of_their_own(images, encoder, tmp_path):
    table, roots = images
    vectors = embed(table, roots, encoder)
    least = float(np.floor(1e4 * (vectors[0] @ vectors[38])) / 1e4)
    pairs, _ = find_pairs(table, None, Duplicates(near=False, encoder=encoder, similarity=least), roots, root=tmp_path)
    assert set(pairs["kind"]) == {"embedding"} and pairs["distance"].between(0, 1 - least + 1e-9).all()
    found = set(zip(pairs["image_id"], pairs["other_id"], strict=True))
    cosine = (vectors @ vectors.T).round(4)
    assert found == {(f"i{i:02d}", f"i{j:02d}") for i in range(40) for j in range(i + 1, 40) if cosine[i, j] >= np.float32(least)}
    assert ("i00", "i38") in found


def make_broken(folder):
    folder.mkdir()
    (folder / "config.json").write_text("{}")


@pytest.mark.parametrize("prepare", [lambda folder: None, lambda folder: folder.mkdir(), make_broken])
def test_an_encoder_that_is_not_there_is_one_clear_error(images, tmp_path, prepare, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    prepare(tmp_path / "none")
    table, roots = images
    with pytest.raises(DataError, match=r"duplicates\.encoder: '.*none' cannot be loaded .*\(hf download ORG.* or leave `encoder` out"):
        embed(table, roots, str(tmp_path / "none"))


def test_an_encoder_without_all_its_weights_is_refused(images, encoder, tmp_path):
    from safetensors.torch import load_file, save_file

    shutil.copytree(encoder, tmp_path / "half")
    path = tmp_path / "half" / "model.safetensors"
    weights = load_file(path)
    save_file({name: values for name, values in weights.items() if "layer.1." not in name}, path, metadata={"format": "pt"})
    table, roots = images
    with pytest.raises(DataError, match=r"half' lacks \d+ of its weights \(first: .*layers?\.1\."):
        embed(table, roots, str(tmp_path / "half"))


def test_an_image_that_is_gone_is_named(images, encoder):
    table, roots = images
    (roots["d"] / "7.png").unlink()
    with pytest.raises(DataError, match=r"d: 7\.png cannot be read .* Run again"):
        embed(table, roots, encoder)
