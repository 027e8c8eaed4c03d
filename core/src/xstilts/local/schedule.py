"""What may run now: pure decisions over the graph of stages."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from enum import StrEnum
from typing import Protocol

from xstilts.stage import Kind


class State(StrEnum):
    """Where a stage stands in a run."""

    CACHED = "cached"  # the store had it
    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    BLOCKED = "blocked"  # a stage that it needs has failed
    INTERRUPTED = "interrupted"  # stopped by us: the next run continues it


class Node(Protocol):
    """A stage as a schedule sees it: a `Stage`, or a plan's record of one."""

    @property
    def key(self) -> str:
        """Its key."""

    @property
    def kind(self) -> Kind:
        """What it does."""

    @property
    def parents(self) -> Mapping[str, str]:
        """Role -> key of what it needs."""


GOOD = frozenset({State.CACHED, State.DONE})
BAD = frozenset({State.FAILED, State.BLOCKED})


def required(stages: Iterable[Node], cached: Collection[str]) -> frozenset[str]:
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


def ready(stages: Sequence[Node], states: Mapping[str, State]) -> list[str]:
    """The waiting stages whose parents are all there, the longest chain first; of equals in the order of `stages`.

    So a run does not end with one long chain on one core while the others have nothing to do.
    """
    chains = chain_lengths(stages, states)
    startable = [
        stage.key
        for stage in stages
        if states.get(stage.key) is State.WAITING
        and all(states[parent] in GOOD for parent in stage.parents.values())
    ]
    return sorted(startable, key=lambda key: -chains[key])


def chain_lengths(stages: Sequence[Node], states: Mapping[str, State]) -> dict[str, int]:
    """For each stage how many trainings wait one after the other, itself and what needs it; `stages` come parents first."""
    lengths = {stage.key: 0 for stage in stages}
    for stage in reversed(stages):
        if states.get(stage.key) is State.WAITING:
            lengths[stage.key] += stage.kind is Kind.TRAIN
            for parent in stage.parents.values():
                lengths[parent] = max(lengths[parent], lengths[stage.key])
    return lengths


def block(stages: Iterable[Node], states: Mapping[str, State]) -> dict[str, State]:
    """The same states with every waiting descendant of a failed stage blocked; `stages` come parents first."""
    settled = dict(states)
    for stage in stages:
        if settled.get(stage.key) is State.WAITING and any(
            settled[parent] in BAD for parent in stage.parents.values()
        ):
            settled[stage.key] = State.BLOCKED
    return settled
