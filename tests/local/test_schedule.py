"""The schedule's decisions hold on any graph."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from xstilts.local.schedule import BAD, GOOD, State, block, chain_lengths, ready, required
from xstilts.stage import Kind, Stage


@st.composite
def graphs(draw: st.DrawFn) -> list[Stage]:
    """Stages in topological order, with keys that are their numbers."""
    stages: list[Stage] = []
    for number in range(draw(st.integers(1, 12))):
        before = [stage.key for stage in stages if stage.kind is not Kind.EVALUATE]
        parents = draw(st.lists(st.sampled_from(before), max_size=2, unique=True)) if before else []
        kind = draw(st.sampled_from([Kind.TRAIN, Kind.EVALUATE]))
        stages.append(
            Stage(
                key=str(number),
                kind=kind,
                parents={f"role{index}": key for index, key in enumerate(parents)},
                spec={},
            )
        )
    return stages


def run_to_the_end(stages: list[Stage], failing: set[str]) -> dict[str, State]:
    states = {stage.key: State.WAITING for stage in stages}
    while startable := ready(stages, states):
        for key in startable:
            states[key] = State.FAILED if key in failing else State.DONE
        states = block(stages, states)
    return states


@given(graphs(), st.sets(st.integers(0, 11).map(str)))
def test_only_descendants_of_a_failure_are_blocked(stages: list[Stage], failing: set[str]) -> None:
    states = run_to_the_end(stages, failing)
    for stage in stages:
        parents_good = all(states[parent] in GOOD for parent in stage.parents.values())
        if parents_good:
            assert states[stage.key] is (State.FAILED if stage.key in failing else State.DONE)
        else:
            assert states[stage.key] is State.BLOCKED
            assert any(states[parent] in BAD for parent in stage.parents.values())


@given(graphs(), st.data())
def test_the_longest_chain_starts_first_and_never_before_its_parents(
    stages: list[Stage], data: st.DataObject
) -> None:
    states = dict.fromkeys((stage.key for stage in stages), State.WAITING)
    by_key = {stage.key: stage for stage in stages}
    order = list(by_key)
    while startable := ready(stages, states):
        lengths = chain_lengths(stages, states)
        assert startable == sorted(startable, key=lambda key: (-lengths[key], order.index(key)))
        for stage in stages:
            if states[stage.key] is State.WAITING:
                assert all(lengths[parent] >= lengths[stage.key] for parent in stage.parents.values())
        for key in startable:
            assert all(states[parent] is State.DONE for parent in by_key[key].parents.values())
        states[data.draw(st.sampled_from(startable))] = State.DONE
    assert set(states.values()) == {State.DONE}


def test_a_chain_is_measured_by_the_trainings_that_it_still_waits_for() -> None:
    def stage(key: str, kind: Kind, *parents: str) -> Stage:
        return Stage(key=key, kind=kind, parents={parent: parent for parent in parents}, spec={})

    stages = [
        stage("model", Kind.PREPARE),
        stage("alone", Kind.TRAIN, "model"),
        stage("scores alone", Kind.EVALUATE, "alone"),
        stage("first", Kind.TRAIN, "model"),
        stage("second", Kind.TRAIN, "first"),
        stage("scores second", Kind.EVALUATE, "second"),
    ]
    states = dict.fromkeys((stage.key for stage in stages), State.WAITING)
    assert chain_lengths(stages, states) == {
        "model": 2,
        "alone": 1,
        "scores alone": 0,
        "first": 2,
        "second": 1,
        "scores second": 0,
    }
    states["model"] = State.DONE
    assert ready(stages, states) == ["first", "alone"]
    states |= {"first": State.DONE, "alone": State.DONE}
    assert ready(stages, states) == ["second", "scores alone"]
    assert chain_lengths(stages, states | {"second": State.CACHED})["first"] == 0


@given(graphs(), st.sets(st.integers(0, 11).map(str)))
def test_required_is_closed_and_stops_at_what_is_cached(stages: list[Stage], cached: set[str]) -> None:
    needed = required(stages, cached)
    by_key = {stage.key: stage for stage in stages}
    assert not needed & cached
    for key in needed:
        assert all(parent in needed or parent in cached for parent in by_key[key].parents.values())
        children = [stage.key for stage in stages if key in stage.parents.values()]
        assert by_key[key].kind is Kind.EVALUATE or needed & set(children)
    for stage in stages:
        if stage.kind is Kind.EVALUATE:
            assert stage.key in needed | cached


def test_a_lost_model_is_not_made_again_for_scores_that_are_there() -> None:
    train = Stage(key="train", kind=Kind.TRAIN, spec={})
    evaluate = Stage(key="evaluate", kind=Kind.EVALUATE, parents={"model": "train"}, spec={})
    assert required([train, evaluate], {"evaluate"}) == frozenset()
    assert required([train, evaluate], {"train"}) == {"evaluate"}
