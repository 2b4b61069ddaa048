"""Textual inversion: it learns, changes nothing else, resumes bit-equal, and its files work in a pipeline that knows nothing of us."""

import numpy as np
import pytest
import torch
from diffusers import StableDiffusionPipeline
from safetensors.torch import load_file

from lib.diffusion.examples import training_examples
from lib.diffusion.hub import load_pipeline
from lib.diffusion.latents import encode, encode_prompts
from lib.diffusion.losses import NoiseSchedule, denoising_loss
from lib.diffusion.resample import Batches
from lib.diffusion.tokens import TokenStep, load_tokens, save_tokens, tokens_hash, train_tokens
from lib.diffusion.vocabulary import TrainedRows, add_tokens, initial_vectors
from lib.diffusion.words import Words, prompts_of
from lib.study import Compute
from lib.study.generate import Prompts, Resampling, Tokens
from lib.training.runtime import prepare_machine
from lib.training.seeds import derive_seed, torch_generator

CPU = Compute(device="cpu", threads=1)
ALL = ["<melanoma>", "<melanoma-fst-i>", "<melanoma-fst-v>", "<nevus>", "<nevus-fst-i>", "<nevus-fst-v>"]


class Killed(RuntimeError):
    pass


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("latents")


@pytest.fixture
def train(tiny_base, tiny_samples, cache):
    """Train on a fresh pipeline; (pipeline, learnt)."""
    def run(folder, *, compute=CPU, prompts=None, samples=None, pipeline=None, resampling=None, **options):
        calls = {key: options.pop(key) for key in ("validate", "progress", "say") if key in options}
        options = {"steps": 6, "accumulation": 2, "batch_size": 3, "warmup": 2, "learning_rate": 0.01, "checkpoint_every": 2, **options}
        pipeline = pipeline or load_pipeline(tiny_base)
        words = Words(prompts or tiny_samples.prompts, tiny_samples.classes, tiny_samples.groups)
        examples = training_examples(tiny_samples.samples if samples is None else samples, words)
        accelerator = prepare_machine(compute)
        latents = encode(pipeline.vae, tiny_samples.pixels, examples["row"].to_numpy(), cache=cache)
        learnt = train_tokens(pipeline, examples, latents, words, Tokens(**options), resampling=resampling or Resampling(), folder=folder,
                              fingerprint="f", accelerator=accelerator, **calls)
        return pipeline, learnt
    return run


# ── what it learns ───────────────────────────────────────────────────────────────────────────────────────────────

def test_it_equals_the_published_way_of_training_the_whole_matrix(train, tiny_base, tiny_samples, cache, tmp_path):
    """As diffusers' textual_inversion.py: the whole matrix trains, and after every step the other rows are put back."""
    _, learnt = train(tmp_path, weight_decay=0, max_grad_norm=1e9, steps=3, warmup=0, min_snr_gamma=5.0, offset_noise=0.1)

    pipeline = load_pipeline(tiny_base)
    words = Words(tiny_samples.prompts, tiny_samples.classes, tiny_samples.groups)
    examples = training_examples(tiny_samples.samples, words)
    latents = encode(pipeline.vae, tiny_samples.pixels, examples["row"].to_numpy(), cache=cache)
    tokenizer, text_encoder = pipeline.tokenizer, pipeline.text_encoder
    tokenizer.add_tokens(ALL)
    text_encoder.resize_token_embeddings(len(tokenizer))
    matrix = text_encoder.get_input_embeddings().weight
    ids = tokenizer.convert_tokens_to_ids(ALL)
    with torch.no_grad():
        for token, number in zip(ALL, ids, strict=True):
            matrix[number] = matrix[tokenizer.convert_tokens_to_ids("melanoma</w>" if "melanoma" in token else "nevus</w>")]
    others = matrix.detach()[:ids[0]].clone()
    matrix.requires_grad_(True)
    optimizer = torch.optim.AdamW([matrix], lr=0.01, weight_decay=0)
    prompts = np.array(prompts_of(examples, words, ALL))
    batches = Batches(examples, {}, batch_size=3, accumulation=2, seed=derive_seed(0, "tokens"))
    for step in range(3):
        for micro in range(2):
            rows = batches.rows(step, micro)
            generator = torch_generator(0, "tokens", step, micro)
            clean = latents.sample(rows, generator)
            ids_of_prompts = tokenizer(prompts[rows].tolist(), padding="max_length", return_tensors="pt").input_ids
            schedule = NoiseSchedule.of(pipeline.scheduler)
            loss = denoising_loss(pipeline.unet, schedule, clean, text_encoder(ids_of_prompts)[0], generator=generator, min_snr_gamma=5.0,
                                  offset_noise=0.1).loss
            (loss / 2).backward()
        optimizer.step()
        optimizer.zero_grad()
        with torch.no_grad():
            matrix[:ids[0]] = others
    assert list(learnt.embeddings) == ALL
    assert torch.allclose(torch.cat(list(learnt.embeddings.values())), matrix[ids], atol=1e-5)


def test_the_loss_falls(train, tiny_base, tiny_samples, cache, tmp_path):
    """On the draws that it was trained on, from its start to its end."""
    pipeline, learnt = train(tmp_path, steps=20, batch_size=6, accumulation=1, learning_rate=0.02)
    words = Words(tiny_samples.prompts, tiny_samples.classes, tiny_samples.groups)
    examples = training_examples(tiny_samples.samples, words)
    latents = encode(pipeline.vae, tiny_samples.pixels, examples["row"].to_numpy(), cache=cache)
    fresh = load_pipeline(tiny_base)
    add_tokens(fresh, {token: initial_vectors(fresh, token[1:-1].split("-")[0], 1) for token in ALL})
    prompts = prompts_of(examples, words, ALL)
    options = Tokens(batch_size=6, accumulation=1)
    with torch.no_grad():
        losses = [[float(TokenStep(one, examples, latents, np.arange(24), prompts, options, Resampling(), say=print)(step, 0))
                   for step in range(20)] for one in (fresh, pipeline)]
    assert np.mean(losses[1]) < np.mean(losses[0])
    assert (learnt.norms["learnt"] != learnt.norms["initial"]).all()


def test_no_other_row_and_no_other_weight_changes(train, tiny_base, tmp_path):
    before, (pipeline, learnt) = load_pipeline(tiny_base), train(tmp_path, weight_decay=0.5)
    old, new = (one.text_encoder.get_input_embeddings().weight for one in (before, pipeline))
    assert torch.equal(new[: len(old)], old)
    ids = pipeline.tokenizer.convert_tokens_to_ids(ALL)
    assert torch.equal(new[ids], torch.cat(list(learnt.embeddings.values()))) and len(new) == len(old) + len(ALL)
    for part in ("unet", "vae", "text_encoder"):
        after = getattr(pipeline, part).state_dict()
        for name, weight in getattr(before, part).state_dict().items():
            if "token_embedding" not in name:
                assert torch.equal(weight, after[name]), name
    assert not any(weight.requires_grad for weight in pipeline.text_encoder.parameters())
    images = [encoded_image(one) for one in (before, pipeline)]
    assert torch.equal(*images)


def encoded_image(pipeline, prompt="a photo of melanoma"):
    pipeline.set_progress_bar_config(disable=True)
    generator = torch.Generator().manual_seed(0)
    return torch.from_numpy(pipeline(prompt, num_inference_steps=2, generator=generator, output_type="np").images)


def test_retraction_keeps_the_length_of_the_initialiser(train, tmp_path):
    _, learnt = train(tmp_path, learning_rate=0.1, retraction=True)
    assert np.allclose(learnt.norms["learnt"], learnt.norms["initial"], rtol=1e-5)
    _, free = train(tmp_path / "free", learning_rate=0.1)
    assert not np.allclose(free.norms["learnt"], free.norms["initial"], rtol=1e-2)
    assert (free.norms["low"] <= free.norms["median"]).all() and (free.norms["median"] <= free.norms["high"]).all()


def test_the_best_state_is_left_in_the_pipeline(train, tmp_path):
    scores = {2: 3.0, 4: 1.0, 6: 2.0}
    pipeline, learnt = train(tmp_path, validate=scores.get, validate_every=2)
    _, short = train(tmp_path / "short", steps=4)
    assert learnt.best_step == 4
    for token, rows in short.embeddings.items():
        assert torch.equal(rows, learnt.embeddings[token])
    ids = pipeline.tokenizer.convert_tokens_to_ids(ALL)
    assert torch.equal(pipeline.text_encoder.get_input_embeddings().weight[ids], torch.cat(list(short.embeddings.values())))


def test_validation_sees_the_tokens_as_they_are(train, tiny_base, tmp_path):
    pipeline, seen = load_pipeline(tiny_base), []

    def validate(step):
        seen.append(encode_prompts(pipeline.tokenizer, pipeline.text_encoder, ["a photo of <nevus>"])["a photo of <nevus>"])
        assert not torch.is_grad_enabled()
        return -float(step)

    train(tmp_path, pipeline=pipeline, validate=validate, validate_every=3)
    after = encode_prompts(pipeline.tokenizer, pipeline.text_encoder, ["a photo of <nevus>"])["a photo of <nevus>"]
    assert not torch.equal(seen[0], seen[1]) and torch.equal(seen[1], after)


def test_gradient_checkpointing_changes_nothing_but_memory(train, tmp_path):
    _, plain = train(tmp_path / "plain")
    _, checkpointed = train(tmp_path / "checkpointed", gradient_checkpointing=True)
    for token, rows in plain.embeddings.items():
        assert torch.allclose(rows, checkpointed.embeddings[token], atol=1e-6)


def test_half_precision_keeps_the_rows_in_full(train, tiny_base, tmp_path):
    pipeline = load_pipeline(tiny_base, dtype=torch.bfloat16)
    _, learnt = train(tmp_path, pipeline=pipeline, compute=Compute(device="cpu", precision="bf16"))
    rows = torch.cat(list(learnt.embeddings.values()))
    assert rows.dtype == torch.float32 and not torch.equal(rows, rows.bfloat16().float())


@pytest.mark.parametrize("killed_at", [1, 5])
def test_a_run_that_was_killed_ends_bit_equal(train, tmp_path, killed_at):
    _, whole = train(tmp_path / "whole", vectors=2)

    def kill(done, steps, row):
        if done == killed_at:
            raise Killed

    with pytest.raises(Killed):
        train(tmp_path / "cut", vectors=2, progress=kill)
    _, resumed = train(tmp_path / "cut", vectors=2)
    for token, rows in whole.embeddings.items():
        assert torch.equal(rows, resumed.embeddings[token])
    assert whole.history.equals(resumed.history)


# ── which tokens ─────────────────────────────────────────────────────────────────────────────────────────────────

def test_only_the_asked_cells_get_tokens_and_only_their_images_are_shown(train, tmp_path):
    _, learnt = train(tmp_path, cells=["5", "unknown"])
    assert list(learnt.embeddings) == ["<melanoma>", "<melanoma-fst-v>", "<nevus>", "<nevus-fst-v>"]
    assert learnt.images.to_dict() == dict.fromkeys(learnt.embeddings, 4)


def test_cells_with_too_few_images_are_said(train, tiny_samples, tmp_path):
    samples, said = tiny_samples.samples.copy(), []
    samples.loc[[0, 6, 12], "tone"] = 6                 # melanoma: one image of type I left
    _, learnt = train(tmp_path, samples=samples, cells=["1", "6", "3"], minimum_images=2, say=said.append)
    assert list(learnt.embeddings) == ["<melanoma-fst-vi>", "<nevus-fst-i>"]
    assert said == ["diffusion.tokens: no training image has tone 3, so no token is learnt for it",
                    "diffusion.tokens: under 2 training images, so no token: <melanoma-fst-i> (1)"]


def test_by_group(train, tmp_path):
    _, learnt = train(tmp_path, prompts=Prompts(by="group"), cells=["V–VI"])
    assert list(learnt.embeddings) == ["<melanoma-fst-v-vi>", "<nevus-fst-v-vi>"]


def test_initialisers(train, tiny_base, tmp_path):
    matrix, tokenizer = load_pipeline(tiny_base).text_encoder.get_input_embeddings().weight, load_pipeline(tiny_base).tokenizer

    def mean(words):
        return matrix[tokenizer(words, add_special_tokens=False)["input_ids"]].mean(0)

    _, learnt = train(tmp_path, prompts=Prompts(diagnoses={"nevus": "seborrheic keratosis"}),
                      initialisers={"melanoma": "basal cell carcinoma"}, learning_rate=1e-12, weight_decay=0, vectors=2, steps=1, warmup=0)
    for token, words in {"<nevus>": "seborrheic keratosis", "<melanoma-fst-v>": "basal cell carcinoma"}.items():
        assert torch.allclose(learnt.embeddings[token], mean(words).expand(2, -1), atol=1e-6)


@pytest.mark.parametrize(("options", "message"), [
    ({"cells": ["7"]}, r"no tone \(diffusion\.tokens\.cells\) is called '7'"),
    ({"initialisers": {"nevi": "x"}}, r"no class \(diffusion\.tokens\.initialisers\) is called 'nevi'; did you mean nevus"),
    ({"initialisers": {"nevus": " "}}, r"an initialiser is ' ', which holds no word"),
    ({"minimum_images": 99}, r"no diagnosis × tone among all has 99 training images; lower minimum_images"),
])
def test_what_cannot_be_learnt_is_refused(train, tmp_path, options, message):
    with pytest.raises(ValueError, match=message):
        train(tmp_path, **options)


def test_a_token_that_exists_is_refused_and_nothing_is_changed(train, tiny_base, tmp_path):
    pipeline = load_pipeline(tiny_base)
    pipeline.tokenizer.add_tokens("<nevus-fst-v>_1")
    size = len(pipeline.tokenizer)
    with pytest.raises(ValueError, match=r"tokens: '<nevus-fst-v>_1' is already in the tokenizer of tiny_sd\d*; rename the class"):
        train(tmp_path, pipeline=pipeline, vectors=2)
    assert len(pipeline.tokenizer) == size


# ── files ────────────────────────────────────────────────────────────────────────────────────────────────────────

@pytest.mark.parametrize("vectors", [1, 3])
def test_plain_diffusers_loads_the_files(train, tiny_folder, tmp_path, vectors):
    pipeline, learnt = train(tmp_path / "state", vectors=vectors)
    save_tokens(learnt.embeddings, tmp_path / "tokens")
    plain = StableDiffusionPipeline.from_pretrained(tiny_folder, safety_checker=None)
    for token in ALL:
        plain.load_textual_inversion(str(tmp_path / "tokens" / f"{token[1:-1]}.safetensors"), token=token)
    drawn = [encoded_image(one, "a photo of <melanoma-fst-v>") for one in (plain, pipeline)]
    torch.testing.assert_close(*drawn, atol=1e-5, rtol=1e-5)        # not bit by bit: the kernels here are channels last
    assert (drawn[0] - encoded_image(plain, "a photo of melanoma")).abs().max() > 1e-3


def test_saved_tokens_are_the_learnt_ones_and_stale_files_go(train, tiny_base, tmp_path):
    _, learnt = train(tmp_path / "state", vectors=2)
    first = save_tokens(learnt.embeddings, tmp_path / "tokens")
    again = load_pipeline(tiny_base)
    assert load_tokens(again, tmp_path / "tokens") == sorted(ALL)
    with TrainedRows(again, ALL) as rows:
        for token, vectors in rows.embeddings().items():
            assert torch.equal(vectors, learnt.embeddings[token])
    assert first == tokens_hash(tmp_path / "tokens") == save_tokens(learnt.embeddings, tmp_path / "tokens")
    save_tokens({"<nevus>": learnt.embeddings["<nevus>"]}, tmp_path / "tokens")
    assert {path.name for path in (tmp_path / "tokens").iterdir()} == {"tokens.safetensors", "nevus.safetensors"}
    assert list(load_file(tmp_path / "tokens" / "nevus.safetensors")) == ["<nevus>"]


def test_tokens_that_do_not_fit_or_are_not_there_are_explained(tiny_pipeline, tmp_path):
    with pytest.raises(ValueError, match=r"no tokens to be read .*run 02_textual_inversion again"):
        load_tokens(tiny_pipeline, tmp_path)
    size = len(tiny_pipeline.tokenizer)
    with pytest.raises(ValueError, match=r"<x> has vectors of shape \[1, 8\], .* takes \[vectors, 32\]; it was learnt on another base"):
        add_tokens(tiny_pipeline, {"<x>": torch.zeros(1, 8)})
    assert len(tiny_pipeline.tokenizer) == size
