"""The learning rate, against the formula and against torch's own cosine."""

import pytest
import torch
from diffusers.optimization import get_cosine_with_hard_restarts_schedule_with_warmup
from hypothesis import given, settings
from hypothesis import strategies as st

from lib.training.schedules import constant_with_warmup, cosine_with_restarts, cosine_with_warmup


def test_without_warmup_it_is_torchs_cosine():
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    reference = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=50)
    for step in range(50):
        assert cosine_with_warmup(step, steps=50) == pytest.approx(optimizer.param_groups[0]["lr"], abs=1e-9)
        optimizer.step()
        reference.step()


@settings(deadline=None)
@given(st.integers(1, 300), st.data())
def test_it_rises_to_one_then_falls_and_is_never_zero(steps, data):
    warmup = data.draw(st.integers(0, steps - 1))
    rates = [cosine_with_warmup(step, steps=steps, warmup=warmup) for step in range(steps)]
    assert max(rates) == rates[warmup] == 1 and min(rates) > 0
    assert rates[:warmup + 1] == sorted(rates[:warmup + 1]) and rates[warmup:] == sorted(rates[warmup:], reverse=True)


def test_a_step_outside_the_run_is_refused():
    with pytest.raises(ValueError, match="step 10 lies outside a run of 10 steps"):
        cosine_with_warmup(10, steps=10)


@pytest.mark.parametrize("cycles", [1, 3, 7])
def test_restarts_are_those_of_diffusers(cycles):
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    reference = get_cosine_with_hard_restarts_schedule_with_warmup(optimizer, num_warmup_steps=0, num_training_steps=60, num_cycles=cycles)
    for step in range(60):
        assert cosine_with_restarts(step, steps=60, cycles=cycles) == pytest.approx(optimizer.param_groups[0]["lr"], abs=1e-6), step
        optimizer.step()
        reference.step()


@settings(deadline=None)
@given(st.integers(1, 200), st.integers(1, 5), st.data())
def test_with_restarts_it_is_at_its_peak_as_many_times_as_there_are_cycles(length, cycles, data):
    warmup = data.draw(st.integers(0, 50))
    steps = warmup + length * cycles
    rates = [cosine_with_restarts(step, steps=steps, cycles=cycles, warmup=warmup) for step in range(steps)]
    assert min(rates) > 0
    assert [step for step, rate in enumerate(rates) if rate == 1] == [warmup + length * cycle for cycle in range(cycles)]


def test_constant_after_a_linear_rise():
    assert [constant_with_warmup(step, warmup=3) for step in range(5)] == [0.25, 0.5, 0.75, 1, 1]
    assert constant_with_warmup(0) == 1
