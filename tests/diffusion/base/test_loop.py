"""The loop: resumed it ends where it would have, it averages as the formula says, and it stops on a loss that is no number."""

import copy
import errno

import pytest
import torch
from torch import nn
from torch.nn import functional

from lib.diffusion.base import loop
from lib.diffusion.base.loop import train
from lib.training.seeds import seeded, torch_generator


def network() -> nn.Module:
    with seeded(1, "weights"):
        return nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.BatchNorm1d(8), nn.Linear(8, 1))


def losses(model, fail_at=None, seen=None):
    def loss_of(step):
        if step == fail_at:
            raise KeyboardInterrupt
        if seen is not None:
            seen.append(copy.deepcopy(dict(model.named_parameters())))
        x = torch.randn(16, 4, generator=torch_generator(1, "x", step))
        return functional.mse_loss(model(x)[:, 0], x.sum(1))
    return loss_of


OPTIONS = {"steps": 30, "fingerprint": "f", "learning_rate": 0.01, "warmup": 5, "say": lambda line: None}


def test_a_killed_run_ends_like_one_that_was_not(tmp_path):
    whole, halved = network(), network()
    outcome = train(whole, losses(whole), folder=tmp_path / "a", **OPTIONS)
    with pytest.raises(KeyboardInterrupt):
        train(halved, losses(halved, fail_at=17), folder=tmp_path / "b", checkpoint_minutes=0, **OPTIONS)
    halved = network()
    again = train(halved, losses(halved), folder=tmp_path / "b", **OPTIONS)
    assert outcome.steps == again.steps == 30 and outcome.loss == again.loss
    assert all(torch.equal(left, right) for left, right in zip(whole.state_dict().values(), halved.state_dict().values(), strict=True))


def test_a_full_disk_is_explained_and_costs_no_checkpoint(tmp_path, monkeypatch):
    save, model = loop.save_checkpoint, network()

    def full(folder, step, state, **options):
        if step > 12:
            raise OSError(errno.ENOSPC, "No space left on device")
        return save(folder, step, state, **options)

    monkeypatch.setattr(loop, "save_checkpoint", full)
    with pytest.raises(OSError, match=r"the disk is full after step 13\. The checkpoint of step 12 stays in .*run the same command again"):
        train(model, losses(model), folder=tmp_path, checkpoint_minutes=0, **OPTIONS)
    monkeypatch.undo()
    assert train(network(), losses(network(), fail_at=0), folder=tmp_path, **(OPTIONS | {"steps": 12})).steps == 12


def test_a_finished_run_is_not_trained_again(tmp_path):
    first, second = network(), network()
    train(first, losses(first), folder=tmp_path, **OPTIONS)
    outcome = train(second, losses(second, fail_at=30), folder=tmp_path, **OPTIONS)
    assert outcome.steps == 30
    assert all(torch.equal(left, right) for left, right in zip(first.parameters(), second.parameters(), strict=True))


def test_the_average_is_exponential_and_forgets_the_first_weights(tmp_path):
    model, seen = network(), []
    train(model, losses(model, seen=seen), folder=tmp_path, average=0.7, **OPTIONS)
    last = network()
    last.load_state_dict({**loop.load_checkpoint(tmp_path, fingerprint="f").state["model"]})
    path = [*seen[1:], dict(last.named_parameters())]
    expected = {name: value.detach() for name, value in seen[0].items()}
    for step, weights in enumerate(path, start=1):
        keep = min(0.7, step / (step + 9))
        expected = {name: keep * expected[name] + (1 - keep) * weights[name].detach() for name in expected}
    for name, value in model.named_parameters():
        torch.testing.assert_close(value.detach(), expected[name])


def test_a_loss_that_is_no_number_stops_with_the_step_and_keeps_what_was_saved(tmp_path):
    model = network()
    def loss_of(step):
        return losses(model)(step) * (float("nan") if step == 7 else 1)

    with pytest.raises(ArithmeticError, match="step 7: the loss is nan"):
        train(model, loss_of, folder=tmp_path, checkpoint_minutes=0, **OPTIONS)
    found = loop.load_checkpoint(tmp_path, fingerprint="f")
    assert found.step == 7 and all(torch.isfinite(value).all() for value in found.state["model"].values())


def test_the_clock_can_end_the_schedule(tmp_path, monkeypatch):
    ticks = iter(range(0, 10_000, 6))                               # every look at the clock is six seconds later
    monkeypatch.setattr(loop.time, "monotonic", lambda: next(ticks))
    model = network()
    outcome = train(model, losses(model), folder=tmp_path, minutes=1.0, **OPTIONS)
    assert outcome.steps < 30 and outcome.minutes >= 1.0


def test_the_schedule_follows_whichever_is_further_on():
    assert loop._place(50, 100, 10, 0.2, 1.0) == 50
    assert loop._place(20, 100, 10, 0.5, 1.0) == 50
    assert loop._place(5, 100, 10, 0.5, 1.0) == 5                  # warm-up is never cut short
    assert loop._place(20, 100, 10, 1.5, 1.0) == 99
    assert loop._place(20, 100, 10, 0.5, None) == 20


def test_only_matrices_and_kernels_decay():
    decayed, free = loop._groups(network(), 0.1)
    assert {parameter.dim() for parameter in decayed["params"]} == {2} and {parameter.dim() for parameter in free["params"]} == {1}
    assert free["weight_decay"] == 0 and decayed["weight_decay"] == 0.1
