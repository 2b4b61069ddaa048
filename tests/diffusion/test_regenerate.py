"""An image from its row alone: tokens, adapter, class labels and the reference image are found again, and the bytes are the same."""

import json
import shutil

import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from PIL import Image
from safetensors.torch import load_file, save_file

from lib.data.images import content_hash
from lib.diffusion.adapters import adapter_hash, add_lora, load_lora, lora_weights, save_lora
from lib.diffusion.anchor import Anchors
from lib.diffusion.class_labels import add_class_labels
from lib.diffusion.generate import basic_checks, generate
from lib.diffusion.hub import identify, load_pipeline
from lib.diffusion.image_prompt import attach_ip_adapter
from lib.diffusion.regenerate import main
from lib.diffusion.requests import Requests
from lib.diffusion.sampler import DiffusionSampler
from lib.diffusion.tokens import load_tokens, save_tokens, tokens_hash
from lib.diffusion.words import Cell, Words
from lib.study import Compute, Generation, Groups, ImagePrompt, Prompts
from lib.tables import read_table, write_table
from lib.training.runtime import prepare_machine

CELLS = pd.DataFrame([("melanoma", "6", 3), ("nevus", "1", 3)], columns=["label", "tone", "images"])


def draw(study, base, *, pictures=None, dtype=torch.float32, **options):
    """A finished chunk of 05 under `study`, with what 02 and 03 left; the path of its table."""
    prepare_machine(Compute(threads=1, device="cpu"))
    generation = Generation(**{"steps": 3, "guidance": 3, "batch_size": 4, "minimum_contrast": 0, "brightness": (0, 1)} | options)
    values = {"data": {"sources": [{"dataset": "image_folder", "name": "toy", "folder": "toy", "domain": "clinical"}]},
              "diffusion": {"base": base.model_dump()}, "generation": generation.model_dump(mode="json")}
    study.mkdir(exist_ok=True)
    (study / "study.yaml").write_text(yaml.safe_dump(values), encoding="utf-8")

    torch.manual_seed(0)
    save_tokens({"<melanoma-fst-vi>": torch.randn(2, 32), "<nevus-fst-i>": torch.randn(2, 32)}, study / "02_textual_inversion" / "tokens")
    pipeline = load_pipeline(base)
    weights = add_lora(pipeline.unet, rank=2, alpha=4, dropout=0.5, targets=["to_q", "to_v"], seed=0)
    labels = add_class_labels(pipeline.unet, ["melanoma", "nevus"], list("123456"))
    for weight in [*weights.values(), *labels.parameters()]:
        torch.nn.init.normal_(weight, std=0.3)
    save_lora(lora_weights(pipeline.unet), study / "03_lora" / "lora", class_labels=labels)

    pipeline = load_pipeline(base)
    tokens = load_tokens(pipeline, study / "02_textual_inversion" / "tokens")
    load_lora(pipeline, study / "03_lora" / "lora", scale=generation.lora_scale)
    if generation.image_prompt.mode == "ip_adapter":
        attach_ip_adapter(pipeline, generation)
    pipeline.to(dtype)
    references = pictures and {Cell("melanoma", "6"): sorted(pictures), Cell("nevus", "1"): sorted(pictures)}
    requests = Requests(CELLS, Words(Prompts(), ["melanoma", "nevus"], Groups()), {"clinical": 1}, generation, Groups(), study="tiny",
                        tokens=tokens, references=references)
    shapes = {("melanoma", "6"): (bytes(range(64, 256)), bytes(range(192)))}
    anchors = Anchors({("6", None): ((80, 50, 40), (60, 40, 30))}, {("6", None): 2}, shapes)
    identity = identify(base)
    folder = study / "05_generation" / "shard-1-of-1"
    drawn = generate(requests, DiffusionSampler(pipeline, generation, anchors=anchors, pictures=pictures), folder=folder,
                     accept=basic_checks(generation), attempts=1, provenance={
                         "base_model": identity.model, "base_revision": identity.revision, "base_sha256": identity.sha256,
                         "token_sha256": tokens_hash(study / "02_textual_inversion" / "tokens"),
                         "adapter_sha256": adapter_hash(study / "03_lora" / "lora")})
    write_table("synthetic", drawn.table(), folder / "synthetic.parquet")
    return folder / "synthetic.parquet"


def test_every_image_of_a_run_comes_out_byte_by_byte(tmp_path, tiny_base, capsys):
    path = draw(tmp_path / "tiny", tiny_base, lora_scale=0.7)
    table = read_table("synthetic", path)
    assert table["start"].tolist() == ["anchored"] * 3 + ["plain"] * 3
    assert table["anchor_shape"].notna().tolist() == [True] * 3 + [False] * 3
    assert table["class_labels"].all() and (table["lora_scale"] == 0.7).all()
    assert table["prompt"].str.contains("<").all()
    for row in table.itertuples():
        out = tmp_path / "again.png"
        assert main([str(path), row.image_id, "--out", str(out)]) == 0
        assert out.read_bytes() == (path.parent / row.path).read_bytes()
        assert "the same bytes" in capsys.readouterr().out


@pytest.mark.parametrize("options", [{"dtype": torch.bfloat16}, {"attention_slicing": True}])
def test_in_another_precision_and_with_attention_in_slices(tmp_path, tiny_base, options):
    path = draw(tmp_path / "tiny", tiny_base, **options)
    row = read_table("synthetic", path).iloc[0]
    assert (row["dtype"], row["attention_slicing"]) == (str(options.get("dtype", torch.float32))[6:], "attention_slicing" in options)
    assert main([str(path), row["image_id"], "--out", str(tmp_path / "again.png")]) == 0


@pytest.fixture
def taken_in(tmp_path, monkeypatch):
    """Two pictures of the study `tiny` by their ids, as its samples have them."""
    monkeypatch.setenv("DATA_ROOT", str(tmp_path / "data"))
    pixels, rows = {}, []
    for i in range(2):
        image = np.random.default_rng(i).integers(0, 255, (32, 32, 3), dtype=np.uint8)
        path = tmp_path / "data" / "toy" / f"{i}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(path)
        pixels[f"i{i}"] = image
        rows.append({"image_id": f"i{i}", "path": f"{i}.png", "dataset": "toy", "domain": "clinical", "label": "melanoma",
                     "diagnosis": "MEL", "tone": 6,
                     "group": "V–VI", "patient_id": f"p{i}", "lesion_id": f"l{i}", "cluster_id": f"c{i}", "split": "train",
                     "sha256": content_hash(path.read_bytes()), "mask_path": None, "ita": np.nan, "width": 32, "height": 32})
    samples = pd.DataFrame(rows).astype({"tone": "Int8", "width": "Int32", "height": "Int32", "mask_path": "str"})
    write_table("samples", samples, tmp_path / "tiny" / "01_eda" / "samples.parquet")
    return pixels


def test_from_a_reference_image(tmp_path, tiny_base, taken_in, capsys):
    path = draw(tmp_path / "tiny", tiny_base, pictures=taken_in, image_prompt=ImagePrompt(mode="img2img", strength=0.7))
    row = read_table("synthetic", path).iloc[1]
    assert row["start"] == "img2img" and row["source_image_id"] in taken_in
    assert main([str(path), row["image_id"], "--out", str(tmp_path / "again.png")]) == 0
    samples = read_table("samples", tmp_path / "tiny" / "01_eda" / "samples.parquet")
    for change in ({"path": samples["path"].to_numpy()[::-1], "sha256": samples["sha256"].to_numpy()[::-1]}, {"image_id": ["x", "y"]}):
        write_table("samples", samples.assign(**change), tmp_path / "tiny" / "01_eda" / "samples.parquet")
        assert main([str(path), row["image_id"], "--out", str(tmp_path / "again.png")]) == 2
    said = capsys.readouterr().err
    assert "is not the picture it was drawn from" in said and "is not among the samples any more" in said


def test_with_an_ip_adapter_whatever_the_study_asks_for_since(tmp_path, tiny_base, tiny_pipeline, taken_in, save_ip_adapter, capsys):
    prompt = save_ip_adapter(tmp_path / "adapter", tiny_pipeline.unet)
    path = draw(tmp_path / "tiny", tiny_base, pictures=taken_in, image_prompt=prompt)
    row = read_table("synthetic", path).iloc[1]
    assert (row["image_adapter"], row["image_adapter_weights"], row["strength"]) == (prompt.adapter, prompt.weights, prompt.scale)
    settings = yaml.safe_load((tmp_path / "tiny" / "study.yaml").read_text(encoding="utf-8"))
    settings.pop("generation")
    (tmp_path / "tiny" / "study.yaml").write_text(yaml.safe_dump(settings), encoding="utf-8")
    assert main([str(path), row["image_id"], "--out", str(tmp_path / "again.png")]) == 0
    weights = load_file(tmp_path / "adapter" / prompt.weights)
    save_file({name: weight + 1 for name, weight in weights.items()}, tmp_path / "adapter" / prompt.weights)
    assert main([str(path), row["image_id"], "--out", str(tmp_path / "again.png")]) == 2
    assert "or its image encoder is not what it was drawn with" in capsys.readouterr().err


def test_what_is_different_is_said(tmp_path, tiny_base, capsys):
    path = draw(tmp_path / "tiny", tiny_base)
    table = read_table("synthetic", path)
    name = table["image_id"].iloc[0]
    versions = json.dumps(json.loads(table["versions"].iloc[0]) | {"torch": "1.0"})
    write_table("synthetic", table.assign(versions=versions, sha256="0" * 64), path)
    assert main([str(path), name, "--out", str(tmp_path / "again.png")]) == 1
    said = capsys.readouterr().out
    assert "differs from the original by at most 0 of 255" in said and f"torch: then 1.0, now {torch.__version__}" in said

    assert main([str(path), "nobody"]) == 2
    assert "has no accepted image 'nobody'; it has tiny-melanoma-fst-vi-000000" in capsys.readouterr().err
    (tmp_path / "tiny" / "03_lora").rename(tmp_path / "tiny" / "adapters")       # found by its hash, wherever it lies
    assert main([str(path), name, "--out", str(tmp_path / "again.png")]) == 1
    assert "at most 0 of 255" in capsys.readouterr().out
    (tmp_path / "tiny" / "adapters" / "lora" / "class_labels.safetensors").unlink()
    assert main([str(path), name]) == 2
    assert "the adapter of 03_lora with the hash" in capsys.readouterr().err       # which covers the class labels beside it
    shutil.rmtree(tmp_path / "tiny" / "adapters")
    assert main([str(path), name]) == 2
    assert "the adapter of 03_lora with the hash" in capsys.readouterr().err
    write_table("synthetic", table.assign(base_sha256="0" * 64), path)
    assert main([str(path), name]) == 2
    assert "is not the model it was drawn with" in capsys.readouterr().err
    (tmp_path / "tiny" / "study.yaml").unlink()
    assert main([str(path), name]) == 2
    assert "no study.yaml" in capsys.readouterr().err
