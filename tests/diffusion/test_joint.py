"""Joint refinement: tokens and adapter both move, nothing else does, and a killed run ends where an uninterrupted one does."""

import numpy as np
import pandas as pd
import pytest
import torch

from lib.diffusion.adapters import lora_weights, save_lora
from lib.diffusion.joint import LiveTexts, refine
from lib.diffusion.latents import Latents
from lib.diffusion.lora import CachedTexts, train_lora
from lib.diffusion.vocabulary import add_tokens
from lib.study import Compute
from lib.study.generate import Lora, Resampling
from lib.training.errors import TrainingDivergedError
from lib.training.runtime import prepare_machine
from lib.training.seeds import numpy_generator, torch_generator

OPTIONS = Lora(steps=2, batch_size=4, rank=2, alpha=3, learning_rate=1e-2, joint_steps=4, joint_learning_rate=1e-2, checkpoint_every=2)
TOKENS = ["<melanoma-fst-v>", "<nevus-fst-v>"]
PROMPTS = ["a photo of <melanoma-fst-v>", "a photo of <nevus-fst-v>", "a photo of nevus"] * 4
EXAMPLES = pd.DataFrame({"label": ["melanoma", "nevus", "nevus"] * 4, "tone": ["5", "5", None] * 4, "group": [None] * 12})


class Killed(RuntimeError):
    pass


def latents(value=None):
    mean = numpy_generator(0, "latents").normal(size=(12, 4, 8, 8)).astype(np.float32)
    return Latents(mean if value is None else np.full_like(mean, value), np.full_like(mean, 0.1))


def started(pipeline):
    add_tokens(pipeline, {token: torch.randn(2, 32, generator=torch_generator(0, token)) * 0.02 for token in TOKENS})
    return pipeline


@pytest.fixture
def shared(tmp_path):
    return {"resampling": Resampling(), "fingerprint": "f", "accelerator": prepare_machine(Compute(device="cpu", threads=1)), "say": print}


@pytest.fixture
def first(make_pipeline, shared, tmp_path):
    def run(options=OPTIONS, **more):
        return train_lora(started(make_pipeline()), EXAMPLES, latents(), PROMPTS, options, folder=tmp_path / "lora", **{**shared, **more})

    return run


@pytest.mark.parametrize("class_labels", [False, True])
def test_both_move_and_nothing_else_does(make_pipeline, first, shared, tmp_path, class_labels):
    options = OPTIONS.model_copy(update={"class_labels": class_labels})
    learnt = first(options)
    rows_before = {name: value.clone() for name, value in learnt.class_labels.state_dict().items()} if class_labels else {}
    pipeline = started(make_pipeline())
    words = pipeline.text_encoder.get_input_embeddings()
    ids = pipeline.tokenizer.convert_tokens_to_ids([name for token in TOKENS for name in (token, f"{token}_1")])
    before = {part: {name: value.clone() for name, value in getattr(pipeline, part).state_dict().items()}
              for part in ("unet", "vae", "text_encoder")}
    matrix = words.weight.clone()

    refined = refine(pipeline, learnt, TOKENS, EXAMPLES, latents(), PROMPTS, options, folder=tmp_path / "joint", **shared)
    changed = (words.weight != matrix).any(dim=1).nonzero().flatten().tolist()
    assert changed == sorted(ids)
    assert torch.equal(torch.cat([refined.embeddings[token] for token in TOKENS]), words.weight[ids])
    assert any(not torch.equal(value, learnt.weights[name]) for name, value in refined.lora.weights.items())
    if class_labels:
        assert any(not torch.equal(value, rows_before[name]) for name, value in refined.lora.class_labels.state_dict().items())
    for part, weights in before.items():
        now = {name.replace(".base_layer", ""): value for name, value in getattr(pipeline, part).state_dict().items()}
        assert all(torch.equal(now[name], value) for name, value in weights.items() if "token_embedding" not in name)
    assert refined.lora.history["step"].iloc[-1] == 4
    save_lora(refined.lora.weights, tmp_path, class_labels=refined.lora.class_labels)


def test_a_killed_run_ends_where_an_uninterrupted_one_does(make_pipeline, first, shared, tmp_path):
    learnt = first()

    def run(folder, **more):
        return refine(started(make_pipeline()), learnt, TOKENS, EXAMPLES, latents(), PROMPTS, OPTIONS, folder=tmp_path / folder,
                      **{**shared, **more})

    def stop(done, total, row):
        if done == 3:
            raise Killed

    whole = run("whole")
    with pytest.raises(Killed):
        run("joint", progress=stop)
    seen = []
    resumed = run("joint", progress=lambda done, total, row: seen.append(done))
    assert seen == [3, 4]
    assert all(torch.equal(resumed.embeddings[token], whole.embeddings[token]) for token in TOKENS)
    assert all(torch.equal(resumed.lora.weights[name], value) for name, value in whole.lora.weights.items())


@pytest.mark.parametrize("scores", [[0.3, 0.3, 0.4], [None, None, None]])
def test_a_refinement_that_is_no_better_leaves_everything_as_it_was(make_pipeline, first, shared, tmp_path, scores):
    """The start has a score by the same measure (0.3, that of the best step of the adapter): one that is not lower does not replace it."""
    options = OPTIONS.model_copy(update={"class_labels": True, "validate_every": 2})
    learnt = first(options, validate={2: 0.3}.get)
    rows = {name: value.clone() for name, value in learnt.class_labels.state_dict().items()}
    pipeline, scores = started(make_pipeline()), iter(scores)
    matrix = pipeline.text_encoder.get_input_embeddings().weight.clone()
    refined = refine(pipeline, learnt, TOKENS, EXAMPLES, latents(), PROMPTS, options, folder=tmp_path / "joint",
                     validate=lambda done: next(scores), **shared)
    assert not refined.kept and refined.lora.best_step == 0 and refined.before == 0.3
    assert torch.equal(pipeline.text_encoder.get_input_embeddings().weight, matrix)
    assert all(torch.equal(value, learnt.weights[name]) for name, value in refined.lora.weights.items())
    assert all(torch.equal(value, rows[name]) for name, value in refined.lora.class_labels.state_dict().items())
    torch.testing.assert_close(lora_weights(pipeline.unet), learnt.weights)
    assert refined.lora.history["step"].tolist() == [0, 2, 4] and refined.lora.history["score"].iloc[0] == 0.3


@pytest.mark.parametrize(("before", "after", "best"), [({2: 0.3}.get, {2: 0.4, 4: 0.2}.get, 4), (None, None, 4), ({}.get, {2: 9.0}.get, 2)])
def test_a_refinement_that_is_better_or_not_compared_is_kept(make_pipeline, first, shared, tmp_path, before, after, best):
    options = OPTIONS.model_copy(update={"validate_every": 2})
    learnt = first(options, validate=before)
    refined = refine(started(make_pipeline()), learnt, TOKENS, EXAMPLES, latents(), PROMPTS, options, folder=tmp_path / "joint",
                     validate=after, **shared)
    assert refined.kept and refined.lora.best_step == best
    assert any(not torch.equal(value, learnt.weights[name]) for name, value in refined.lora.weights.items())


def test_a_loss_that_is_no_number_names_the_key_that_counts_here(make_pipeline, first, shared, tmp_path):
    with pytest.raises(TrainingDivergedError, match=r"lower diffusion.lora.joint_learning_rate \(now 0.01\)"):
        refine(started(make_pipeline()), first(), TOKENS, EXAMPLES, latents(np.nan), PROMPTS, OPTIONS, folder=tmp_path / "joint", **shared)


def test_a_token_that_is_not_there_is_refused(make_pipeline, first, shared, tmp_path):
    with pytest.raises(ValueError, match="'<nevus-fst-v>' is not in the tokenizer"):
        refine(make_pipeline(), first(), TOKENS[1:], EXAMPLES, latents(), ["a photo"] * 12, OPTIONS, folder=tmp_path / "joint", **shared)


def test_live_texts_are_the_cached_ones(tiny_pipeline):
    started(tiny_pipeline)
    rows, told = np.array([7, 0, 5, 6, 7]), torch.tensor([True, False, True, True, True])
    cached = CachedTexts(tiny_pipeline, PROMPTS, torch.device("cpu"))(rows, told)
    torch.testing.assert_close(LiveTexts(tiny_pipeline, PROMPTS)(rows, told), cached)
