"""The learning rate, against the formula and against torch's own cosine."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lib.training.schedules import cosine_with_warmup


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
