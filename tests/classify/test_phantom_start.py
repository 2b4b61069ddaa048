"""The control: networks that start from the pictures that the base model was made from."""

import numpy as np
import pandas as pd
import pytest
import torch

from lib.classify import phantom_cnn
from lib.classify.arms import START, check_arm, find_arm
from lib.classify.fit import Run
from lib.classify.grid import Cell
from lib.classify.models import ImageClassifier, SmallCnn, build_model, load_start
from lib.classify.pool import real_pool
from lib.classify.train import cell_fingerprint
from lib.diffusion.base.pool import Pool
from lib.phantom.camera import DOMAINS
from lib.phantom.lesions import USUAL
from lib.pretrained import ASSETS, ModelError
from lib.study import Classifier, Compute, load_study
from lib.training.runtime import prepare_machine
from lib.workflow.checks import load_plan
from lib.workflow.keys import full_key


@pytest.fixture
def weights(tmp_path, monkeypatch):
    """A start of known weights in place of the shipped ones."""
    torch.manual_seed(5)
    saved = ImageClassifier(SmallCnn(9), 1)
    phantom_cnn.save(saved, tmp_path / "cnn")
    monkeypatch.setitem(ASSETS, "phantom-cnn", tmp_path / "cnn")
    return saved.network.state_dict()


def body(state):
    return {name: value for name, value in state.items() if not name.startswith(f"{len(SmallCnn(2)) - 1}.")}


def test_a_network_starts_from_all_but_the_last_layer(weights):
    torch.manual_seed(1)
    fresh = build_model(START, 3)
    before = {name: value.clone() for name, value in fresh.network.state_dict().items()}
    load_start(fresh, START, "phantom-cnn")
    now = fresh.network.state_dict()
    assert all(torch.allclose(now[name].float(), value.half().float()) for name, value in body(weights).items())
    last = set(now) - set(body(now))
    assert len(last) == 2 and all(torch.equal(now[name], before[name]) for name in last) and now[max(last)].shape[0] == 3


def test_only_the_arm_that_says_so_starts_there(weights, small):
    pool, options = real_pool(small.samples, small.pixels), Classifier(epochs=1)
    runs = {arm: Run(Cell(arm, START, 0), pool, small.classes, options, {}, prepare_machine(Compute(device="cpu")))
            for arm in ("real", "phantom_start")}
    states = {arm: run.model.network.state_dict() for arm, run in runs.items()}
    first = "0.weight"
    assert torch.allclose(states["phantom_start"][first], weights[first].half().float())
    assert not torch.allclose(states["real"][first], weights[first].half().float())
    assert runs["real"].plan.batch_sizes == runs["phantom_start"].plan.batch_sizes
    order = [run.plan.batches(0, 0) for run in runs.values()]
    assert all(np.array_equal(a, b) for a, b in zip(*order, strict=True))


def test_other_weights_are_another_cell_and_another_network_is_refused(weights, small, tmp_path):
    def marks():
        pool = real_pool(small.samples, small.pixels)
        return [cell_fingerprint(Cell(arm, START, 0), pool, small.classes, Classifier(), Compute(), "x")
                for arm in ("real", "phantom_start")]

    before = marks()
    torch.manual_seed(6)
    phantom_cnn.save(ImageClassifier(SmallCnn(9), 1), tmp_path / "cnn")
    after = marks()
    assert before[0] == after[0] and before[1] != after[1]
    with pytest.raises(ValueError, match="phantom-cnn holds the weights of small_cnn, not of resnet18"):
        load_start(build_model("resnet18", 2), "resnet18", "phantom-cnn")
    with pytest.raises(ValueError, match=r"classifier\.architectures names resnet18; take the arm out, or train small_cnn alone"):
        check_arm("phantom_start", load_study("params/demo.yaml", {"classifier.architectures": ["small_cnn", "resnet18"]}))


def test_only_its_own_chunks_depend_on_the_weights(weights):
    plan = load_plan("params/ci.yaml", {"classifier.arms": ["real", "oversampled", "phantom_start"]})
    models = {job.cells[0]["arm"]: full_key(plan, job)["models"] for job in plan.of("07_classifier")}
    assert "classifier.phantom-cnn" in models.pop("phantom_start")
    assert not any("classifier.phantom-cnn" in names for names in models.values())


def test_weights_that_are_not_there_are_explained(tmp_path, monkeypatch):
    monkeypatch.setitem(ASSETS, "phantom-cnn", tmp_path / "none")
    with pytest.raises(ModelError, match=r"build it with: python -m lib\.classify\.phantom_cnn"):
        load_start(build_model(START, 2), START, "phantom-cnn")


def test_it_learns_what_captions_tell_and_repeats(tmp_path):
    rng = np.random.default_rng(0)
    scenes = pd.DataFrame({"diagnosis": rng.choice(USUAL[:2], 64), "tone": rng.choice([1, 4], 64), "domain": rng.choice(list(DOMAINS), 64)})
    pixels = rng.integers(0, 120, (64, 16, 16, 3), dtype=np.uint8)
    pixels[scenes["diagnosis"] == USUAL[0], :, :, 0] += 120
    pool = Pool(pixels, scenes)
    model, outcome = phantom_cnn.fit(pool, steps=80, batch=16, state=tmp_path / "a")
    again, _ = phantom_cnn.fit(pool, steps=80, batch=16, state=tmp_path / "b")
    assert outcome.steps == 80 and all(torch.equal(a, b) for a, b in zip(model.parameters(), again.parameters(), strict=True))
    found = phantom_cnn.measure(model, pool)
    assert set(found) == {"all", "1", "4"} and found["all"] > 0.8
    assert "| all | type 1 | type 4 |" in phantom_cnn._card(outcome, found)


def test_the_shipped_weights_know_drawn_lesions():
    assert find_arm("phantom_start").start == "phantom-cnn"
    model = build_model(START, 7)
    load_start(model, START, "phantom-cnn")
    assert all(torch.isfinite(value).all() for value in model.state_dict().values())
    assert "type 6" in (ASSETS["phantom-cnn"] / "card.md").read_text(encoding="utf-8")
