"""Which weights may go: whatever experiments use a store together, nothing that must still run loses what it needs."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from xstilts.errors import StoreError
from xstilts.local.schedule import required
from xstilts.stage import Kind, Stage
from xstilts.store import Use, droppable
from xstilts.store.keeping import UsedStage, read_use

KEEPS = ("All", "Intermediate", "Scores")
# The grid that all experiments choose from: two intermediates, three targets each and as many without one, their evaluations,
# and an evaluation of each intermediate itself. A sweep: the last target of an intermediate begins from both.
PARENTS = {
    "i0": [],
    "i1": [],
    **{f"t{i}{t}": [f"i{i}"] if t < 2 else ["i0", "i1"] for i in range(2) for t in range(3)},
    **{f"n{t}": [] for t in range(3)},
    **{f"e-t{i}{t}": [f"t{i}{t}"] for i in range(2) for t in range(3)},
    **{f"e-n{t}": [f"n{t}"] for t in range(3)},
    "e-i0": ["i0"],
    "e-i1": ["i1"],
}
EVALUATIONS = tuple(key for key in PARENTS if key.startswith("e-"))


class Node:
    """A stage as the schedule sees it."""

    def __init__(self, stage: UsedStage) -> None:
        self.key, self.kind = stage.key, stage.kind
        self.parents = {str(number): parent for number, parent in enumerate(stage.parents)}


def used(key: str) -> UsedStage:
    kind = Kind.EVALUATE if key.startswith("e-") else Kind.TRAIN
    phase = None if kind is Kind.EVALUATE else "intermediate" if key.startswith("i") else "target"
    return UsedStage(key=key, kind=kind, parents=tuple(PARENTS[key]), phase=phase)


def use_of(keep: str, evaluations: set[str], name: str = "one") -> Use:
    keys, waiting = set(), list(evaluations)
    while waiting:
        key = waiting.pop()
        if key not in keys:
            keys.add(key)
            waiting += PARENTS[key]
    return Use(experiment=name, keep=keep, stages=tuple(used(key) for key in PARENTS if key in keys))


def must_run(use: Use, whole: set[str]) -> frozenset[str]:
    return required([Node(one) for one in use.stages], whole)


def parents_of(use: Use, keys: frozenset[str]) -> set[str]:
    return {parent for one in use.stages if one.key in keys for parent in one.parents}


uses = st.builds(use_of, st.sampled_from(KEEPS), st.sets(st.sampled_from(EVALUATIONS), min_size=1))
there = st.sets(st.sampled_from(tuple(PARENTS)))


@given(own=uses, others=st.lists(uses, max_size=3), whole=there)
@example(own=use_of("Scores", set(EVALUATIONS)), others=[], whole=set(PARENTS))
@example(own=use_of("Scores", {"e-t00"}), others=[use_of("Scores", {"e-t01"})], whole={"i0", "t00", "e-t00"})
def test_dropping_makes_nothing_run_that_would_not_run_anyway(own, others, whole):
    gone = set(droppable(own, others, whole))
    assert gone <= whole & own.by_key.keys()
    for one in (own, *others):
        assert must_run(one, whole) == must_run(one, whole - gone)


@given(own=uses, others=st.lists(uses, max_size=3), whole=there)
def test_exactly_that_goes_which_everyone_lets_go(own, others, whole):
    def wants(one: Use, key: str) -> bool:
        phase = one.by_key[key].phase
        kept = one.keep == "All" or (one.keep == "Intermediate" and phase == "intermediate")
        return kept or key in parents_of(one, must_run(one, whole))

    expected = {
        key
        for key, stage in own.by_key.items()
        if key in whole
        and stage.kind is Kind.TRAIN
        and not any(key in one.by_key and wants(one, key) for one in (own, *others))
    }
    assert set(droppable(own, others, whole)) == expected


@given(own=uses, others=st.lists(uses, max_size=3), whole=there)
def test_the_one_that_keeps_most_decides(own, others, whole):
    gone = set(droppable(own, others, whole))
    for one in others:
        if one.keep == "All":
            assert not gone & one.by_key.keys()
        if one.keep == "Intermediate":
            assert not {key for key in gone & one.by_key.keys() if one.by_key[key].phase == "intermediate"}


def test_a_target_goes_once_it_is_evaluated_and_an_intermediate_with_the_last_that_begins_from_it():
    own = use_of("Scores", {"e-t00", "e-t01"})
    assert droppable(own, [], {"i0", "t00"}) == ()
    assert droppable(own, [], {"i0", "t00", "e-t00"}) == ("t00",)
    assert droppable(own, [], {"i0", "e-t00", "t01"}) == ("i0",)
    assert droppable(own, [], {"i0", "e-t00", "e-t01", "t01"}) == ("i0", "t01")
    assert droppable(use_of("Intermediate", {"e-t00"}), [], {"i0", "t00", "e-t00"}) == ("t00",)


def test_it_is_read_as_it_was_written_and_a_circle_ends():
    own = use_of("Scores", set(EVALUATIONS), "one")
    assert read_use("one", own.to_json()) == own
    for name, text in (("two", own.to_json()), ("one", b"{}"), ("one", b"")):
        with pytest.raises(StoreError, match=r"uses/(one|two)/use\.json: must say"):
            read_use(name, text)
    circle = tuple(UsedStage(key=a, kind=Kind.TRAIN, parents=(b,), phase="target") for a, b in ("ab", "ba"))
    assert droppable(Use(experiment="one", keep="Scores", stages=circle), [], {"a"}) == ("a",)


def test_a_use_is_made_of_stages(stage: Stage):
    assert Use.of("one", "Scores", [stage]).stages == (UsedStage(key=stage.key, kind=Kind.PREPARE),)
