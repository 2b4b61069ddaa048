"""Derived seeds: the same parts give the same numbers, whatever was drawn before."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lib.training.seeds import derive_seed, numpy_generator, seeded, torch_generator

PARTS = st.lists(st.one_of(st.integers(-(10**9), 10**9), st.text(max_size=5)), min_size=1, max_size=4)


@settings(deadline=None)
@given(PARTS, PARTS)
def test_equal_parts_equal_seeds_and_only_those(first, second):
    assert (derive_seed(*first) == derive_seed(*second)) == (first == second)
    assert 0 <= derive_seed(*first) < 2**63


def test_the_value_never_changes():
    assert derive_seed(7, "order", 3) == 7057241712520603416      # another value here means that no old run can be repeated


def test_numpy_integers_count_as_integers_and_other_kinds_are_refused():
    assert derive_seed(np.int32(5)) == derive_seed(5) != derive_seed("5")
    for part in (1.0, True, None):
        with pytest.raises(TypeError, match="whole numbers and words"):
            derive_seed(part)


def test_generators_do_not_touch_the_global_state():
    np.random.seed(0)
    torch.manual_seed(0)
    before = np.random.get_state()[1].copy(), torch.get_rng_state()
    first = numpy_generator(1, "a").random(3), torch.rand(3, generator=torch_generator(1, "a"))
    again = numpy_generator(1, "a").random(3), torch.rand(3, generator=torch_generator(1, "a"))
    with seeded(1, "dropout"):
        inside = torch.rand(3)
    with seeded(1, "dropout"):
        assert torch.equal(inside, torch.rand(3))
    with seeded(2, "dropout"):
        assert not torch.equal(inside, torch.rand(3))
    assert np.array_equal(first[0], again[0]) and torch.equal(first[1], again[1])
    assert np.array_equal(before[0], np.random.get_state()[1]) and torch.equal(before[1], torch.get_rng_state())
