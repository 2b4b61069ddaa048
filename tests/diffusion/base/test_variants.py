"""Variants of a tiny pipeline: same cells, same seeds, drawn once, and nothing that was not learnt."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
import torch

from lib.diffusion.adapters import add_lora, lora_weights, remove_lora, save_lora
from lib.diffusion.base.variants import draw_variants, with_learnt
from lib.diffusion.hub import identify
from lib.diffusion.studio import Studio
from lib.diffusion.tokens import save_tokens
from lib.diffusion.words import Words
from lib.study import Base, Compute, Generation, Groups, Truth
from lib.training.runtime import prepare_machine

DRAWING = Generation(steps=2, guidance=2, batch_size=24)


@pytest.fixture(scope="module")
def learnt(tmp_path_factory, tiny_folder):
    """Folders of a token for one cell and of an adapter."""
    from lib.diffusion.hub import load_pipeline

    folder = tmp_path_factory.mktemp("learnt")
    pipeline = load_pipeline(Base(model=str(tiny_folder)))
    save_tokens({"<melanoma-fst-vi>": torch.full((1, 32), 0.5)}, folder / "tokens")
    weights = add_lora(pipeline.unet, rank=2, alpha=4, dropout=0.0, targets=["to_q", "to_v"], seed=0)
    with torch.no_grad():
        for number, weight in enumerate(weights.values()):
            weight.normal_(0, 0.5, generator=torch.Generator().manual_seed(number))
    save_lora(lora_weights(pipeline.unet), folder / "lora")
    remove_lora(pipeline.unet)
    return folder


@pytest.fixture
def studio(tiny_pipeline, tiny_base, tiny_samples, tmp_path):
    words = Words(tiny_samples.prompts, tiny_samples.classes, tiny_samples.groups)
    machine = prepare_machine(Compute(device="cpu"))
    return Studio(tiny_pipeline, identify(tiny_base), machine, words, tiny_samples.samples, tiny_samples.pixels, tmp_path, "mark")


def test_same_cells_and_seeds_and_only_what_was_learnt_differs(learnt, studio, tiny_base, tmp_path):
    options = {"tokens": learnt, "lora": learnt, "folder": tmp_path}
    pixels, asked = draw_variants(studio, Truth(images=2), tiny_base, DRAWING, Groups(), **options)
    assert len(pixels) == len(asked) == 6 * 2 * 6 * 2                       # variants and starts, classes, types, images
    assert asked.groupby(["variant", "start", "label", "tone"]).size().eq(2).all()
    assert set(asked["variant"]) == {"base", "tokens", "tokens + LoRA"}
    assert set(asked["domain"]) <= {"dermoscopic", "clinical", "smartphone"}
    assert studio.tokens == [] and studio.adapter is None

    of = {key: pixels[rows.to_numpy()] for key, rows in asked.groupby(["variant", "start"]).groups.items()}
    named = asked[asked["prompt"].str.contains("<melanoma-fst-vi>")]
    assert set(zip(named["label"], named["tone"], strict=True)) == {("melanoma", 6)}
    assert set(named["variant"]) == {"tokens", "tokens + LoRA"}
    first = asked[asked["variant"].eq("base") & asked["start"].eq("plain")].reset_index(drop=True)
    same = (of["base", "plain"] == of["tokens", "plain"]).all(axis=(1, 2, 3))
    with_token = first["tone"].eq(6) & first["label"].eq("melanoma")
    assert same[~with_token].all() and not same[with_token].any()
    assert not (of["base", "plain"] == of["tokens + LoRA", "plain"]).all(axis=(1, 2, 3)).any()
    anchored = (of["base", "plain"] == of["base", "anchored"]).all(axis=(1, 2, 3))
    assert not anchored[first["tone"].isin([1, 5])].any() and anchored[first["tone"].eq(3)].all()       # type III has no training images

    again, _ = draw_variants(studio, Truth(images=2), tiny_base, DRAWING, Groups(), **options)
    np.testing.assert_array_equal(again, pixels)


def test_what_the_study_did_not_learn(studio, tiny_base, learnt, tmp_path):
    with pytest.raises(ValueError, match=r"names lora.*base, tokens"):
        with_learnt(studio, "lora", tiny_base, tokens=learnt)
    shutil.copytree(learnt / "lora", tmp_path / "alone" / "lora")
    assert with_learnt(studio, "lora", tiny_base, tokens=learnt, lora=tmp_path / "alone")[1] == "LoRA"
    base, name = with_learnt(studio, "base", tiny_base, tokens=learnt, lora=learnt)
    assert name == "base" and base.provenance()["token_sha256"] is None
