"""An experiment's plan -> what its stages will take: hours, GPU-hours, money, disk, and whether memory suffices.

Pure: what was found in a store (sizes, rows, which stages are there, how long they took) is given.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from functools import cached_property

from xstilts.estimate.disk import checkpoint_bytes, stored_bytes
from xstilts.estimate.facts import Facts, Sources, UnknownError
from xstilts.estimate.hardware import Accelerator, Speed
from xstilts.estimate.memory import Memory, training_memory
from xstilts.estimate.prices import Price
from xstilts.estimate.ranges import NOTHING, Range, total
from xstilts.estimate.work import Work, evaluation_work, training_work
from xstilts.plan import Plan, PlannedStage
from xstilts.plan.placement import placement
from xstilts.spec import ExperimentSpec
from xstilts.stage import EvaluateSpec, Kind, Precision, Stage, TrainSpec

HOUR = 3600


@dataclass(frozen=True)
class Took:
    """How long a stage took that is there: seconds, and on how many GPUs or threads."""

    seconds: float
    gpus: int = 0
    threads: int = 1


@dataclass(frozen=True)
class Found:
    """What was found where the experiment will run.

    Attributes:
        cached: the keys of the stages that are there.
        dropped: those that have run, and whose weights have been dropped since.
        needed: those that must run; what nobody needs any more does not.
        facts: of models and rows.
        took: how long stages took that are there, by key.
    """

    cached: Collection[str] = ()
    dropped: Collection[str] = ()
    needed: Collection[str] | None = None
    facts: Facts = field(default_factory=Facts)
    took: Mapping[str, Took] = field(default_factory=dict)


@dataclass(frozen=True)
class StageEstimate:
    """What one stage takes.

    Attributes:
        planned: the stage.
        devices: GPUs of it, all nodes together; threads on a CPU.
        seconds: from its start to its end; of preparations and the report nothing is reckoned.
        naive: seconds of all the stages that there would be instead, if every cell had its own.
        disk: bytes that it leaves in the store; None where that is not known.
        working: bytes of a training's checkpoints while it runs; None for what trains nothing.
        memory: of a GPU, for a training.
        runs: whether it will run: False where it is there, or nobody needs it.
        unknown: why it is not estimated; "" where it is.
    """

    planned: PlannedStage
    devices: int
    seconds: Range
    naive: Range
    disk: float | None
    working: float | None
    memory: Memory | None
    runs: bool
    cached: bool
    unknown: str = ""


@dataclass(frozen=True)
class Measured:
    """A stage that is there: how long it took, and what would have been said of it on the same number of devices."""

    key: str
    group: str
    seconds: float
    predicted: Range
    on_gpus: bool


@dataclass(frozen=True)
class Estimate:
    """What an experiment takes on one kind of hardware.

    Attributes:
        stages: each of the plan's, in its order.
        assumed: tasks from files that nobody has looked into: taken to be as large as the catalogue's.
        measured: the stages that are there and say how long they took.
        budget: spec.budget.gpuHours.
    """

    accelerator: Accelerator
    price: Price | None
    stages: tuple[StageEstimate, ...]
    assumed: tuple[str, ...]
    measured: tuple[Measured, ...]
    budget: int | None

    @cached_property
    def groups(self) -> dict[str, tuple[StageEstimate, ...]]:
        """The stages by what they do, in the plan's order of kinds."""
        found: dict[str, list[StageEstimate]] = {}
        for one in self.stages:
            found.setdefault(one.planned.group, []).append(one)
        order = ("prepare", "train intermediate", "train target", "evaluate", "report")
        return {group: tuple(found[group]) for group in order if group in found}

    @cached_property
    def speeds(self) -> tuple[Speed, ...]:
        """Those at which its stages compute, that of its first training first."""
        stages = [one.planned.stage for one in self.stages]
        kinds = (Kind.TRAIN, Kind.EVALUATE)
        asked = dict.fromkeys(_precision(one) for kind in kinds for one in stages if one.kind is kind)
        return tuple({speed.precision: speed for speed in map(self.accelerator.speed, asked)}.values())

    def hours(self, stages: Collection[StageEstimate]) -> Range:
        """Hours of a device: GPU-hours; on a CPU hours of a stage, whatever the number of its threads."""
        return total(one.seconds * self._charged(one) for one in stages) * (1 / HOUR)

    def to_run(self, group: str | None = None) -> Range:
        """The hours of what will run, of a group or in all."""
        return self.hours([one for one in self.members(group) if one.runs])

    def from_nothing(self, group: str | None = None) -> Range:
        """The hours of all stages, as if nothing were there."""
        return self.hours(self.members(group))

    def saved(self, group: str | None = None) -> Range:
        """The hours of what does not run."""
        return self.hours([one for one in self.members(group) if not one.runs])

    def naive(self, group: str | None = None) -> Range:
        """The hours that there would be if every cell trained and evaluated its own models."""
        return total(one.naive * self._charged(one) for one in self.members(group)) * (1 / HOUR)

    def disk(self, group: str | None = None) -> float:
        """The bytes that what will run leaves in the store, as far as they are known."""
        return sum(one.disk or 0 for one in self.members(group) if one.runs)

    def cost(self, hours: Range) -> Range | None:
        """What hours cost; None without a price."""
        return None if self.price is None else hours * float(self.price.per_hour)

    def unknown(self, group: str | None = None) -> dict[str, int]:
        """Why stages that will run are not estimated, and how many: they are in no sum."""
        counts: dict[str, int] = {}
        for one in self.members(group):
            if one.runs and one.unknown:
                counts[one.unknown] = counts.get(one.unknown, 0) + 1
        return counts

    def members(self, group: str | None) -> tuple[StageEstimate, ...]:
        """The stages of a group, or all."""
        return self.stages if group is None else self.groups.get(group, ())

    def _charged(self, one: StageEstimate) -> int:
        return 1 if self.accelerator.is_cpu else one.devices


def estimate(
    plan: Plan,
    spec: ExperimentSpec,
    accelerator: Accelerator,
    *,
    price: Price | None = None,
    found: Found = Found(),
) -> Estimate:
    """What an experiment takes on an accelerator.

    Where the experiment asks for no GPU and the accelerator is one, every stage that computes has one.
    """
    sources = Sources(plan, found.facts)
    stages = tuple(_stage(one, spec, accelerator, sources, found) for one in plan.stages)
    by_key = {one.planned.key: one for one in stages}
    measured = tuple(
        one
        for key, took in found.took.items()
        if key in by_key and (one := _measured(by_key[key].planned, took, accelerator, sources))
    )
    return Estimate(
        accelerator,
        price,
        stages,
        tuple(sorted(sources.assumed)),
        measured,
        spec.budget.gpu_hours if spec.budget else None,
    )


def seconds(work: Work, accelerator: Accelerator, speed: Speed, devices: int) -> Range:
    """How long so many devices take for it at a speed of theirs, without the stage's start and end."""
    one = accelerator
    scaling = one.scaling if devices > 1 else Range.exactly(1)

    def at(utilisation: float, scale: float, step: float, spread: float) -> float:
        arithmetic = (work.training + work.inference) * spread / (speed.peak * utilisation * devices * scale)
        optimiser = work.traffic / one.bandwidth
        return arithmetic + optimiser + step * (work.steps + work.batches / 3)

    return Range(
        at(speed.utilisation.low, scaling.low, one.step.low, 1 / work.spread),
        at(speed.utilisation.likely, scaling.likely, one.step.likely, 1),
        at(speed.utilisation.high, scaling.high, one.step.high, work.spread),
    )


def devices_of(planned: PlannedStage, spec: ExperimentSpec, accelerator: Accelerator) -> int:
    """The GPUs of a stage, all nodes together, as the operator gives them; on a CPU its threads.

    A preparation gets none, and an evaluation is one process.
    """
    kind = planned.stage.kind
    if kind in {Kind.PREPARE, Kind.REPORT}:
        return 0
    given = placement(spec, kind, {cell.model for cell in planned.labels})
    return given.cpu if accelerator.is_cpu else max(1, given.gpus) * given.nodes


def _stage(
    planned: PlannedStage, spec: ExperimentSpec, accelerator: Accelerator, sources: Sources, found: Found
) -> StageEstimate:
    cached = planned.key in found.cached
    needed = found.needed is None or planned.key in found.needed or planned.stage.kind is Kind.REPORT
    devices = devices_of(planned, spec, accelerator)
    unknown, memory = "", None
    own = naive = NOTHING
    disk: float | None = None
    working: float | None = None
    try:
        disk = stored_bytes(planned.stage, sources, spec.store.keep)
        parts = stage_work(planned, sources, accelerator)
        if parts:
            own = _with_start(sum(parts.values(), Work()), planned, accelerator, devices)
            naive = _naive(planned, parts, own, accelerator, devices)
        if planned.stage.kind is Kind.TRAIN:
            memory = _memory(planned, sources, accelerator, devices)
            working = checkpoint_bytes(planned.stage, sources)
    except UnknownError as error:
        unknown = str(error)
    return StageEstimate(
        planned, devices, own, naive, disk, working, memory, needed and not cached, cached, unknown
    )


def stage_work(planned: PlannedStage, sources: Sources, accelerator: Accelerator) -> dict[str, Work]:
    """The work of a stage by target; of a training it is all of them's, under the name "". Empty where it is none."""
    if planned.stage.kind is Kind.TRAIN:
        return {"": training_work(planned.stage, sources, on_cpu=accelerator.is_cpu)}
    if planned.stage.kind is Kind.EVALUATE:
        return evaluation_work(planned.stage, sources)
    return {}


def _with_start(work: Work, planned: PlannedStage, accelerator: Accelerator, devices: int) -> Range:
    speed = accelerator.speed(_precision(planned.stage))
    return accelerator.start + seconds(work, accelerator, speed, devices)


def _precision(stage: Stage) -> Precision | None:
    """What a stage asks for; None where it leaves that to the device."""
    if stage.kind is Kind.TRAIN:
        return TrainSpec.model_validate(stage.spec).hyperparameters.precision
    recipe = EvaluateSpec.model_validate(stage.spec).hyperparameters
    return recipe.precision if recipe else Precision.FP32  # which sentences are compared in


def _naive(
    planned: PlannedStage, parts: Mapping[str, Work], own: Range, accelerator: Accelerator, devices: int
) -> Range:
    """A training for each cell that needs it; of each cell's evaluation its own target alone."""
    if planned.stage.kind is Kind.TRAIN:
        return own * len(planned.labels)
    alone = {name: _with_start(work, planned, accelerator, devices) for name, work in parts.items()}
    return total(alone[cell.target] for cell in planned.labels)


def _memory(planned: PlannedStage, sources: Sources, accelerator: Accelerator, devices: int) -> Memory | None:
    stage = planned.stage
    spec = TrainSpec.model_validate(stage.spec)
    rows = [sources.rows(stage, data, "train") for data in spec.data]
    usual = max(rows, key=lambda one: one.pieces * one.choices)  # the usual batch of the task that needs most
    return training_memory(spec, sources.size(stage), usual.pieces, usual.choices, accelerator, devices)


def _measured(
    planned: PlannedStage, took: Took, accelerator: Accelerator, sources: Sources
) -> Measured | None:
    """None where it cannot be compared: it is not estimated, or ran on the other kind of hardware."""
    if accelerator.is_cpu == bool(took.gpus):
        return None
    try:
        parts = stage_work(planned, sources, accelerator)
    except UnknownError:
        return None
    if not parts:
        return None
    devices = took.gpus or took.threads
    predicted = _with_start(sum(parts.values(), Work()), planned, accelerator, devices)
    return Measured(planned.key, planned.group, took.seconds, predicted, on_gpus=bool(took.gpus))
