"""What experiments of a cluster need that name something without its commit or digest: no file leads to their keys.

The experiment's UID stands in these keys, where a local run has its namespace and name. The store itself tells of them: artifacts by
their manifests, inputs by the pins that were made when they were first read.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from xstilts.canonical import sha256_hex
from xstilts.plan import Plan
from xstilts.plan.sources import is_unpinned, marked_by_cluster
from xstilts.stage import InputRef
from xstilts.store import Store


@dataclass(frozen=True)
class Needed:
    """The keys of artifacts, and inputs."""

    keys: frozenset[str]
    inputs: frozenset[InputRef]

    def __bool__(self) -> bool:
        return bool(self.keys or self.inputs)


def needed_by_plan(plan: Plan, pins: Mapping[str, InputRef]) -> Needed:
    """What an experiment needs; of an input without its digest that which its stages read, where one has.

    `pins` are the store's: what each mark's SHA-256 stands for.
    """
    refs = {
        InputRef(**reference)
        for one in plan.stages
        for reference in one.stage.spec.get("inputs", {}).values()
    }
    read = {pins.get(sha256_hex(ref.digest.encode())) for ref in refs if is_unpinned(ref.digest)}
    pinned = {ref for ref in refs if not is_unpinned(ref.digest)}
    return Needed(frozenset(plan.by_key), frozenset(pinned | {ref for ref in read if ref is not None}))


def of_clusters(store: Store, known: Collection[str]) -> Needed:
    """What the store holds of any cluster's experiments, beside the artifacts that are known: whether they still exist or not."""
    unknown = set(store.keys()).difference(known)
    stages = {key: there.manifest.stage for key in unknown if (there := store.record(key)) is not None}
    found = {key for key, stage in stages.items() if marked_by_cluster(stage)}
    before = -1
    while len(found) != before:
        before = len(found)
        found |= {key for key, stage in stages.items() if not found.isdisjoint(stage.parents.values())}
    return Needed(frozenset(found), frozenset(ref for _, ref in store.pins()))
