"""The training loop: equal to a plain loop, resumed bit-equal, stops in time, keeps the best, explains what went wrong."""

import errno
import math
from types import SimpleNamespace

import pytest
import torch
from torch.nn import Parameter
from torch.nn import functional as F

from lib.diffusion import fit as module
from lib.diffusion.fit import fit, machine_of
from lib.study import Compute
from lib.study.generate import Training
from lib.training.errors import TrainingDivergedError
from lib.training.runtime import prepare_machine
from lib.training.seeds import torch_generator

CPU = Compute(device="cpu", threads=1)


class Killed(RuntimeError):
    pass


def loss_of(weight, step, micro):
    """A noisy regression with dropout, so that torch's own generator matters too."""
    inputs = torch.randn(8, 3, generator=torch_generator(0, "toy", step, micro))
    return (F.dropout(inputs, 0.3) @ weight - inputs.sum(1)).square().mean()


def run(folder, *, rate=lambda step: 1 / (1 + step), step=None, fingerprint="f", compute=CPU, **options):
    calls = {key: options.pop(key) for key in ("validate", "before", "after_step", "progress", "say") if key in options}
    options = Training(**{"steps": 30, "accumulation": 2, "learning_rate": 0.05, "checkpoint_every": 7, "max_grad_norm": 0.5, **options})
    weight = Parameter(torch.zeros(3))
    optimizer = torch.optim.AdamW([weight], lr=options.learning_rate, weight_decay=options.weight_decay)
    step = step or (lambda number, micro: loss_of(weight, number, micro))
    return fit(step, {"weight": weight}, optimizer, rate, options=options, section="diffusion.toy", folder=folder, fingerprint=fingerprint,
               accelerator=prepare_machine(compute), **calls)


def test_it_equals_a_plain_loop_over_the_joined_batches(tmp_path):
    def plain(weight, number, micro):
        inputs = torch.randn(8, 3, generator=torch_generator(0, "toy", number, micro))
        return inputs, inputs.sum(1)

    weight = Parameter(torch.zeros(3))
    optimizer = torch.optim.AdamW([weight], lr=0.05, weight_decay=1e-2)
    for number in range(30):
        parts = [plain(weight, number, micro) for micro in range(2)]
        inputs, wanted = (torch.cat(part) for part in zip(*parts, strict=True))
        optimizer.param_groups[0]["lr"] = 0.05 / (1 + number)
        optimizer.zero_grad()
        (inputs @ weight - wanted).square().mean().backward()
        torch.nn.utils.clip_grad_norm_([weight], 0.5)
        optimizer.step()

    mine = Parameter(torch.zeros(3))
    options = Training(steps=30, accumulation=2, learning_rate=0.05, max_grad_norm=0.5)

    def step(number, micro):
        inputs, wanted = plain(mine, number, micro)
        return (inputs @ mine - wanted).square().mean()

    fit(step, {"w": mine}, torch.optim.AdamW([mine], lr=0.05, weight_decay=1e-2), lambda number: 1 / (1 + number), options=options,
        section="s", folder=tmp_path, fingerprint="f", accelerator=prepare_machine(CPU))
    assert torch.allclose(mine, weight, atol=1e-6)


@pytest.mark.parametrize("killed_at", [1, 7, 13, 29])
def test_a_run_that_was_killed_ends_bit_equal(tmp_path, killed_at):
    scores = {10: 3.0, 20: 1.0, 30: 2.0}
    whole = run(tmp_path / "whole", validate=scores.get, validate_every=10)

    def kill(step):
        if step == killed_at:
            raise Killed

    with pytest.raises(Killed):
        run(tmp_path / "cut", validate=scores.get, validate_every=10, after_step=kill)
    resumed = run(tmp_path / "cut", validate=scores.get, validate_every=10)
    assert torch.equal(whole.state["weight"], resumed.state["weight"])
    assert whole.history.equals(resumed.history) and whole.best_step == resumed.best_step == 20
    again = run(tmp_path / "cut", validate=lambda step: pytest.fail("it is finished"), validate_every=10)
    assert torch.equal(again.state["weight"], whole.state["weight"]) and again.history.equals(whole.history)


def test_another_fingerprint_starts_afresh_and_says_so(tmp_path):
    run(tmp_path)
    said = []
    run(tmp_path, fingerprint="g", say=said.append)
    assert "another configuration" in said[0]


def test_the_machine_is_told_by_device_and_precision():
    def told(device="cpu", precision="no", dtype=torch.float32):
        return machine_of(SimpleNamespace(device=torch.device(device), mixed_precision=precision), SimpleNamespace(dtype=dtype))

    others = [told("cuda:0"), told(precision="bf16"), told(dtype=torch.bfloat16)]
    assert told() == told() and told() not in others and told("cuda:0") == told("cuda:1")


def test_the_best_state_is_kept_and_patience_ends_the_run(tmp_path):
    scores, states = iter([5.0, 2.0, 2.0, None, 3.0, 9.0, 9.0]), {}
    weight = Parameter(torch.zeros(3))
    options = Training(steps=100, validate_every=5, patience=2, learning_rate=0.05)

    def validate(done):
        states[done] = weight.detach().clone()
        return next(scores)

    fitted = fit(lambda number, micro: loss_of(weight, number, micro), {"weight": weight}, torch.optim.AdamW([weight], lr=0.05),
                 lambda step: 1.0, options=options, section="s", folder=tmp_path, fingerprint="f", accelerator=prepare_machine(CPU),
                 validate=validate)
    assert fitted.best_step == 10                      # the first of equals; no score (20) is no failure
    assert torch.equal(fitted.state["weight"], states[10]) and not torch.equal(weight, states[10])
    assert max(states) == 25 and fitted.stopped == "2 validations without a better score"
    scored = fitted.history.dropna(subset="score")
    assert scored["step"].tolist() == [5, 10, 15, 25] and scored["score"].tolist() == [5.0, 2.0, 2.0, 3.0]


def test_the_start_is_a_candidate_where_its_score_is_known(tmp_path):
    kept = run(tmp_path / "kept", before=1.0, validate={10: 1.0, 20: 2.0, 30: 3.0}.get, validate_every=10, patience=3)
    assert kept.best_step == 0 and torch.equal(kept.state["weight"], torch.zeros(3))
    assert kept.history["step"].iloc[0] == 0 and kept.history["score"].iloc[0] == 1.0
    stopped = run(tmp_path / "patience", before=1.0, validate={10: 1.0, 20: 2.0}.get, validate_every=10, patience=2)
    assert stopped.history["step"].max() == 20
    assert run(tmp_path / "better", before=1.0, validate={10: 2.0, 20: 0.5}.get, validate_every=10).best_step == 20

    def kill(step):
        if step == 8:
            raise Killed

    with pytest.raises(Killed):
        run(tmp_path / "cut", before=1.0, validate={10: 2.0}.get, validate_every=10, after_step=kill)
    resumed = run(tmp_path / "cut", before=1.0, validate={10: 2.0}.get, validate_every=10)
    assert resumed.best_step == 0 and resumed.history["step"].eq(0).sum() == 1 and torch.equal(resumed.state["weight"], torch.zeros(3))


def test_without_scores_the_last_state_counts(tmp_path):
    fitted = run(tmp_path)
    assert fitted.best_step == 30 and fitted.stopped == "all 30 steps done" and fitted.history["score"].isna().all()
    assert fitted.history["step"].tolist() == [7, 10, 14, 20, 21, 28, 30]


def test_the_history_holds_means_since_the_row_before(tmp_path):
    losses = torch.arange(1.0, 31.0)
    weight = Parameter(torch.zeros(1))

    def step(number, micro):
        return losses[number] + weight.sum() * 0

    options = Training(steps=30, checkpoint_every=30)
    fitted = fit(step, {"w": weight}, torch.optim.AdamW([weight]), lambda number: 1.0, options=options, section="s", folder=tmp_path,
                 fingerprint="f", accelerator=prepare_machine(CPU))
    assert fitted.history["loss"].tolist() == [5.5, 15.5, 25.5] and fitted.history["gradient_norm"].tolist() == [0, 0, 0]


def test_a_loss_that_is_no_number_names_the_step_and_keeps_the_last_good_checkpoint(tmp_path):
    weight = Parameter(torch.zeros(3))

    def step(number, micro):
        return loss_of(weight, number, micro) * (math.nan if number == 16 else 1)

    with pytest.raises(TrainingDivergedError, match=r"diffusion\.toy: the loss is nan in step 17; lower diffusion\.toy\.learning_rate "
                                                    r"\(now 0\.05\)\. The checkpoint of step 14 stays in"):
        run(tmp_path, step=step)
    assert {path.name for path in tmp_path.glob("step-*")} == {"step-0000000007.safetensors", "step-0000000014.safetensors"}
    with pytest.raises(TrainingDivergedError, match=r"or set compute\.precision: no \(now bf16\)\. No checkpoint was written before"):
        run(tmp_path / "other", step=lambda number, micro: weight.sum() * math.nan, compute=Compute(device="cpu", precision="bf16"))


def test_a_gradient_that_is_no_number_is_met_before_it_is_saved(tmp_path):
    weight = Parameter(torch.zeros(3))
    with pytest.raises(TrainingDivergedError, match=r"the gradient's norm is nan in step 1;"):
        options = Training(steps=30)
        fit(lambda number, micro: weight.abs().sqrt().sum() * 0, {"w": weight}, torch.optim.AdamW([weight]), lambda step: 1.0,
            options=options, section="s", folder=tmp_path, fingerprint="f", accelerator=prepare_machine(CPU))
    assert not list(tmp_path.glob("step-*"))


def test_a_full_disk_is_explained_and_costs_no_checkpoint(tmp_path, monkeypatch):
    save = module.save_checkpoint

    def full(folder, step, state, **options):
        if step > 14:
            raise OSError(errno.ENOSPC, "No space left on device")
        return save(folder, step, state, **options)

    monkeypatch.setattr(module, "save_checkpoint", full)
    with pytest.raises(OSError, match=r"the disk is full after step 21\. The checkpoint of step 14 stays in .*run the same command again"):
        run(tmp_path)
    monkeypatch.undo()
    assert torch.equal(run(tmp_path).state["weight"], run(tmp_path / "whole").state["weight"])


def test_progress_is_told_every_step_and_rows_where_there_are_some(tmp_path):
    told = []
    run(tmp_path, progress=lambda done, steps, row: told.append((done, steps, row and row["step"])))
    assert [one[0] for one in told] == list(range(1, 31)) and {one[1] for one in told} == {30}
    assert [one[2] for one in told if one[2]] == [7, 10, 14, 20, 21, 28, 30]


def test_torchs_own_generator_is_left_as_it_was(tmp_path):
    torch.manual_seed(3)
    before = torch.get_rng_state()
    run(tmp_path)
    assert torch.equal(before, torch.get_rng_state())


class OneOfTwo:
    """An accelerator of one of two processes; `other` has, in the order in which they are asked for, what the second process would add."""

    num_processes, process_index, is_main_process, device, scaler, mixed_precision = 2, 0, True, torch.device("cpu"), None, "no"

    def __init__(self, other):
        self.other, self.asked = iter(other), []

    def reduce(self, tensor, reduction):
        self.asked.append(tuple(tensor.shape))
        return tensor + torch.as_tensor(next(self.other))

    def __getattr__(self, name):
        return getattr(prepare_machine(CPU), name)


def test_processes_add_up_the_same_gradients_in_the_same_order(tmp_path):
    """Also of a parameter that only another process's batches used; one that nobody used stays without a gradient, as in one process."""
    ours, theirs, nobody, memory = (Parameter(torch.ones(size), requires_grad=size < 5) for size in (2, 3, 4, 5))
    accelerator = OneOfTwo([1.0, [1.0, 1.0, 0.0], [4.0, 4.0], [7.0, 8.0, 9.0]])
    options = Training(steps=1, accumulation=2, learning_rate=1.0, weight_decay=0.5, max_grad_norm=1e9)
    optimizer = torch.optim.SGD([ours, theirs, nobody], lr=1.0, weight_decay=0.5)
    fit(lambda number, micro: ours.sum(), {"ours": ours, "theirs": theirs, "nobody": nobody, "memory": memory}, optimizer,
        lambda step: 1.0, options=options, section="s", folder=tmp_path, fingerprint="f", accelerator=accelerator)
    assert accelerator.asked == [(), (3,), (2,), (3,)]
    assert torch.allclose(ours, 1 - (torch.tensor([4.5, 4.5]) + 0.5)) and torch.allclose(theirs, 1 - (torch.tensor([7.0, 8, 9]) + 0.5))
    assert torch.equal(nobody, torch.ones(4))
