"""One experiment full of garbage among a hundred: the others do not wait for it."""

from __future__ import annotations

import pytest

from operator_sim.poison import EXPERIMENTS, observed


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_poisoned_experiment_delays_no_other() -> None:
    alone, beside = observed(poisoned=False), observed(poisoned=True)
    for one in (alone, beside):
        assert one.ended == EXPERIMENTS - 1
        assert len(one.seconds) == 2 * (EXPERIMENTS - 1)  # it came, and its one stage ended
    assert (alone.scribbles, beside.scribbles > 100) == (0, True)
    without = alone.quantile(99)
    assert beside.quantile(99) <= max(1.2 * without, without + 1.0)
