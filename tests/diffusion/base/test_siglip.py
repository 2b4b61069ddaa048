"""phantom-siglip: the loss is SigLIP's where captions differ, truth decides the pairs, and the files load with plain transformers calls."""

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from torch.nn import functional
from transformers import AutoImageProcessor, AutoModel, AutoProcessor, AutoTokenizer

from lib.data.embedding import embed
from lib.data.images import content_hash
from lib.diffusion.base import captions, siglip
from lib.diffusion.base import pool as pools
from lib.diffusion.base.batches import to_network
from lib.diffusion.base.pool import SEED_HELD_OUT, draw_pool
from lib.diffusion.base.siglip import FOLDER, build, facts_of, fit, pair_loss, true_of
from lib.diffusion.base.siglip_model import CONTEXT, image_vectors, new_model, new_tokenizer, save
from lib.diffusion.base.siglip_report import embed_texts, measure
from lib.phantom.lesions import USUAL


@pytest.fixture(scope="module")
def fresh():
    return draw_pool("fresh", 420, seed=SEED_HELD_OUT, workers=1, cache=None)


@pytest.fixture(scope="module")
def untrained():
    return new_model(len(new_tokenizer()), seed=1).eval()


@pytest.fixture(scope="module")
def shipped():
    return AutoModel.from_pretrained(FOLDER).eval()


# ── the loss and its pairs ───────────────────────────────────────────────────────────────────────────────────────

def test_the_loss_is_that_of_transformers_where_each_caption_has_one_picture(untrained, fresh):
    tokens = new_tokenizer()(["melanoma", "nevus", "a photo", "skin", "type vi"], padding="max_length", return_tensors="pt")["input_ids"]
    with torch.no_grad():
        theirs = untrained(input_ids=tokens, pixel_values=to_network(fresh.pixels[:5]), return_loss=True)
        ours = pair_loss(theirs.logits_per_image, torch.eye(5, dtype=torch.bool))
    assert ours.item() == pytest.approx(theirs.loss.item(), rel=1e-5)


def test_a_caption_is_true_of_every_picture_that_it_does_not_contradict():
    rng = np.random.default_rng(0)
    facts = rng.integers(0, 3, (40, 3))
    said = np.where(rng.random((25, 3)) < 0.4, -1, rng.integers(0, 3, (25, 3)))
    found = true_of(facts, said)
    for row in range(40):
        for column in range(25):
            assert found[row, column] == all(part in (-1, fact) for part, fact in zip(said[column], facts[row], strict=True))


def test_every_picture_has_its_own_caption_among_the_true_ones(fresh):
    facts = facts_of(fresh.scenes)
    assert true_of(facts, facts).diagonal().all()
    same = true_of(facts, facts)
    columns = ["diagnosis", "tone", "domain"]
    assert np.array_equal(same.sum(axis=1), fresh.scenes.groupby(columns)["file"].transform("size").to_numpy())


# ── the towers ───────────────────────────────────────────────────────────────────────────────────────────────────

def test_image_vectors_are_the_models_own(untrained, fresh):
    pixels = to_network(fresh.pixels[:6])
    with torch.no_grad():
        wanted = functional.normalize(untrained.get_image_features(pixels).pooler_output, dim=1)
        assert torch.equal(image_vectors(untrained, pixels), wanted)
        part = image_vectors(untrained, pixels, torch.Generator().manual_seed(0))
    assert part.shape == wanted.shape and not torch.allclose(part, wanted, atol=1e-4)
    assert torch.allclose(part.norm(dim=1), torch.ones(6), atol=1e-5)


def test_patches_go_in_whole(untrained):
    kernel = untrained.vision_model.embeddings.patch_embedding.weight.detach().reshape(192, -1)
    length = kernel.norm(dim=1, keepdim=True)
    assert length.min() > 0 and torch.allclose((kernel / length) @ (kernel / length).T, torch.eye(192), atol=1e-5)


def test_every_word_of_the_captions_is_one_token_and_the_end_is_always_last(fresh):
    tokenizer = new_tokenizer()
    for word in captions.words():
        assert len(tokenizer(word)["input_ids"]) == 2 and tokenizer.unk_token_id not in tokenizer(word)["input_ids"]
    longest = [captions.caption(scene) for scene in fresh.scenes.to_dict("records")]
    tokens = tokenizer(longest, padding="max_length")["input_ids"]
    assert {len(row) for row in tokens} == {CONTEXT} and {row[-1] for row in tokens} == {tokenizer.eos_token_id}
    assert tokenizer("Melanoma, ZEBRA")["input_ids"].count(tokenizer.unk_token_id) == 2     # the comma and the zebra
    assert list(tokenizer("nevus")) == ["input_ids"]


# ── the files ────────────────────────────────────────────────────────────────────────────────────────────────────

def test_what_is_saved_is_what_transformers_loads(untrained, fresh, tmp_path):
    save(untrained, tmp_path)
    model, told = AutoModel.from_pretrained(tmp_path, use_safetensors=True, output_loading_info=True)
    assert not told["missing_keys"] and not told["unexpected_keys"] and model.dtype == torch.float32
    for name, value in untrained.state_dict().items():
        assert torch.equal(model.state_dict()[name], value.half().float())
    processor = AutoImageProcessor.from_pretrained(tmp_path)
    pixels = processor(images=[Image.fromarray(image) for image in fresh.pixels[:3]], return_tensors="pt")["pixel_values"]
    assert torch.allclose(pixels, to_network(fresh.pixels[:3]), atol=1e-6)
    text = captions.caption(fresh.scenes.iloc[0])
    assert AutoTokenizer.from_pretrained(tmp_path)(text) == new_tokenizer()(text)
    picture = Image.fromarray(fresh.pixels[0])
    both = AutoProcessor.from_pretrained(tmp_path)(text=["nevus"], images=[picture], padding="max_length", return_tensors="pt")
    assert model(**both).logits_per_image.shape == (1, 1)


def test_the_search_for_duplicates_takes_it_as_its_encoder(fresh, shipped, tmp_path):
    rows = []
    for number in range(3):
        path = tmp_path / f"{number}.png"
        Image.fromarray(fresh.pixels[number]).save(path)
        rows.append({"image_id": str(number), "dataset": "d", "file": path.name, "sha256": content_hash(path.read_bytes())})
    vectors = embed(pd.DataFrame(rows), {"d": tmp_path}, str(FOLDER))
    with torch.no_grad():
        wanted = image_vectors(shipped, to_network(fresh.pixels[:3])).numpy()
    assert np.allclose(vectors, wanted, atol=1e-4)


# ── what it has learnt ───────────────────────────────────────────────────────────────────────────────────────────

def test_the_shipped_model_knows_diagnosis_and_tone(shipped, fresh):
    with torch.no_grad():
        seen = image_vectors(shipped, to_network(fresh.pixels)).numpy()
    tokenizer = AutoTokenizer.from_pretrained(FOLDER)
    diagnoses = embed_texts(shipped, tokenizer, [f"a photo of {captions.DIAGNOSIS_WORDS[name]}" for name in USUAL])
    said = np.array(USUAL)[(seen @ diagnoses.T).argmax(axis=1)]
    assert np.mean(said == fresh.scenes["diagnosis"]) > 0.4                     # chance: 0.14
    types = [f"a photo of a skin lesion on fitzpatrick type {word} skin" for word in captions.TONE_WORDS.values()]
    tones = embed_texts(shipped, tokenizer, types)
    assert np.mean((seen @ tones.T).argmax(axis=1) + 1 == fresh.scenes["tone"]) > 0.6      # chance: 0.17


def test_captions_may_be_filled_to_the_longest_or_to_the_full_length(shipped):
    tokenizer = AutoTokenizer.from_pretrained(FOLDER)
    texts = ["a photo of melanoma", "a dermoscopic photo of basal cell carcinoma on fitzpatrick type vi skin", "nevus"]
    with torch.no_grad():
        short, full = (functional.normalize(shipped.get_text_features(tokenizer(texts, padding=way, return_tensors="pt")["input_ids"])
                                            .pooler_output, dim=1) for way in ("longest", "max_length"))
    assert (short * full).sum(dim=1).min() > 0.9


def test_training_repeats(fresh, tmp_path):
    first, second = (fit(fresh, fresh, start=1, steps=4, batch=16, state=tmp_path / name, seed=2)[0] for name in "ab")
    assert all(torch.equal(left, right) for left, right in zip(first.parameters(), second.parameters(), strict=True))


def test_measured_shares_follow_from_the_answers(untrained, fresh):
    ceiling = {"diagnosis": {"all": 0.5}, "tone": {"all": 0.8}}
    table = measure(untrained, new_tokenizer(), fresh, fresh, ceiling)
    for way in ("zero_shot", "probe"):
        for name in ("diagnosis", "tone"):
            figures = table[way][name]
            assert figures["all"] == pytest.approx(np.mean(list(figures["by_tone"].values())), abs=1e-3)        # equal shares of types
            assert figures["of_ceiling"] == pytest.approx(figures["all"] / ceiling[name]["all"], abs=1e-3)
    assert table["search"]["both"] <= min(table["search"]["diagnosis"], table["search"]["tone"])


def test_build_writes_a_model_and_its_card(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(pools, "HELD_OUT", 42)
    for name, value in {"_IMAGES": 42, "_EASY": 42, "_START": 1, "_PROBE": 42, "_STEPS": 2, "_BATCH": 8}.items():
        monkeypatch.setattr(siglip, name, value)
    table = build(tmp_path / "made", workers=1)
    assert table["images"] == 42 and AutoModel.from_pretrained(tmp_path / "made").config.model_type == "siglip"
    card = (tmp_path / "made" / "card.md").read_text(encoding="utf-8")
    assert "all six Fitzpatrick types" in card and f"{table['probe']['diagnosis']['all']:.3f}" in card
