"""What may run now: pure decisions over the graph of stages."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from enum import StrEnum

from xstilts.stage import Kind, Stage


class State(StrEnum):
    """Where a stage stands in a run."""

    CACHED = "cached"  # the store had it
    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    BLOCKED = "blocked"  # a stage that it needs has failed
    INTERRUPTED = "interrupted"  # stopped by us: the next run continues it


GOOD = frozenset({State.CACHED, State.DONE})
BAD = frozenset({State.FAILED, State.BLOCKED})


def required(stages: Iterable[Stage], cached: Collection[str]) -> frozenset[str]:
    """The stages that must run: every evaluation that is not cached, and what it needs that is not.

    A trained model that is gone from the store is not made again when all that was asked of it is there.
    """
    by_key = {stage.key: stage for stage in stages}
    wanted = [key for key, stage in by_key.items() if stage.kind is Kind.EVALUATE]
    needed: set[str] = set()
    while wanted:
        key = wanted.pop()
        if key not in needed and key not in cached:
            needed.add(key)
            wanted.extend(by_key[key].parents.values())
    return frozenset(needed)


def ready(stages: Iterable[Stage], states: Mapping[str, State]) -> list[str]:
    """The waiting stages whose parents are all there, in the plan's order."""
    return [
        stage.key
        for stage in stages
        if states.get(stage.key) is State.WAITING
        and all(states[parent] in GOOD for parent in stage.parents.values())
    ]


def block(stages: Iterable[Stage], states: Mapping[str, State]) -> dict[str, State]:
    """The same states with every waiting descendant of a failed stage blocked; `stages` come parents first."""
    settled = dict(states)
    for stage in stages:
        if settled.get(stage.key) is State.WAITING and any(
            settled[parent] in BAD for parent in stage.parents.values()
        ):
            settled[stage.key] = State.BLOCKED
    return settled
