"""Where the numbers of a report come from: versions, hardware, inputs, and the stages with their time."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from xstilts.plan import Plan, PlannedStage
from xstilts.stage import Stage
from xstilts.store import Store


@dataclass(frozen=True)
class StageRecord:
    """A stage whose artifact stands behind the numbers.

    Attributes:
        key: the stage's.
        title: its name for people.
        seconds: that its work took when it was run; None where its manifest does not say.
        reused: whether it was in the store before this run.
        gpu_seconds: of that work; 0 without a GPU.
        outputs: the digest of what it has made.
    """

    key: str
    title: str
    seconds: float | None
    reused: bool
    gpu_seconds: int = 0
    outputs: str = ""


@dataclass(frozen=True)
class Provenance:
    """What a reader needs to make the numbers again. Every tuple is sorted, but `stages`, which are in plan order.

    Attributes:
        versions: name -> the versions that stages were run with; several where they differ.
        hardware: a line for each kind of machine.
        inputs: models and data, each with its digest or commit.
        stages: those that the store holds, also where their weights have been dropped.
    """

    versions: Mapping[str, tuple[str, ...]]
    hardware: tuple[str, ...]
    inputs: tuple[str, ...]
    stages: tuple[StageRecord, ...]

    @property
    def gpu_hours(self) -> float:
        """Behind all stages, reused or not."""
        return sum(stage.gpu_seconds for stage in self.stages) / 3600


def collect(plan: Plan, store: Store, *, titles: Mapping[str, str], ran: Collection[str] = ()) -> Provenance:
    """What the manifests of a plan's stages say.

    Args:
        plan: the experiment's.
        store: where its artifacts are.
        titles: what stages are called, by key.
        ran: the keys of the stages that this run has done itself; all others were there before.
    """
    environments: list[Mapping[str, Any]] = []
    records = []
    for planned in plan.stages:
        found = store.record(planned.key)
        if found is not None:
            manifest = found.manifest
            environments.append(manifest.environment)
            seconds = manifest.environment.get("seconds")
            reused = planned.key not in ran
            records.append(
                StageRecord(
                    key=planned.key,
                    title=titles[planned.key],
                    seconds=seconds,
                    reused=reused,
                    gpu_seconds=manifest.gpu_seconds,
                    outputs=manifest.outputs_digest,
                )
            )
    return Provenance(
        versions=_versions(environments),
        hardware=tuple(sorted({_hardware(environment) for environment in environments} - {""})),
        inputs=tuple(sorted({name for planned in plan.stages for name in _inputs(planned)})),
        stages=tuple(records),
    )


def _versions(environments: Iterable[Mapping[str, Any]]) -> dict[str, tuple[str, ...]]:
    found: dict[str, set[str]] = {}
    for environment in environments:
        for name, version in environment.get("versions", {}).items():
            found.setdefault(name, set()).add(str(version))
    return {name: tuple(sorted(found[name])) for name in sorted(found)}


def _hardware(environment: Mapping[str, Any]) -> str:
    """Such as `cores 2, machine x86_64, processor …, threads 2, precision fp32`."""
    said = dict(sorted(environment.get("hardware", {}).items()))
    if "precision" in environment:
        said["precision"] = environment["precision"]
    return ", ".join(f"{name} {value}" for name, value in said.items())


def _inputs(planned: PlannedStage) -> Iterator[str]:
    """What a stage reads that no stage has made."""
    for ref in planned.stage.spec.get("inputs", {}).values():
        yield f"store://{ref['name']}@sha256:{ref['digest']}"
    for source in _hub_sources(planned.stage):
        yield f"{source['repository']} at {source.get('revision') or 'no commit (not pinned)'}"


def _hub_sources(stage: Stage) -> Iterator[Mapping[str, Any]]:
    """The repositories that a prepare stage reads."""
    if "source" in stage.spec:
        yield stage.spec["source"]
    for file in stage.spec.get("files", ()):
        yield from file["slices"]
