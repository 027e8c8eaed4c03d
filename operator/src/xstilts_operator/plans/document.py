"""A plan as it was accepted: the document, and how it is packed.

The document is plain JSON (`gunzip`): the manifest without what may be edited, every stage with its title and cells, and the
stage that answers each cell.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from importlib.metadata import version
from typing import Any, Final, get_args

from pydantic import ValidationError

from xstilts.canonical import canonical_json, sha256_hex
from xstilts.plan import Cell, Naive, Plan, PlannedStage
from xstilts.spec import Experiment
from xstilts.stage import Kind, Stage
from xstilts.store import Keep, Use
from xstilts.store.keeping import GIVEN_UP, Phase, UsedStage
from xstilts_operator.answers import answer_size
from xstilts_operator.names import stage_name

PLAN_SCHEMA: Final = "xstilts.dev/plan/v1"
UNPACKED_LIMIT: Final = 64_000_000  # bytes; what a made-up ConfigMap may make of our memory

# What may be edited while an experiment runs is no part of what was accepted.
_SCHEDULING: Final = {
    "resources",
    "queue_name",
    "parallelism",
    "budget",
    "suspend",
    "retry_failed_at",
    "active_deadline_seconds",
    "ttl_seconds_after_finished",
}
_WRITTEN: Final[dict[str, Any]] = {
    "api_version": True,
    "kind": True,
    "metadata": {"name", "namespace"},
    "spec": True,
}


class PlanError(Exception):
    """A plan that cannot be made or read; `reason` is that of the experiment's condition."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class FrozenStage:
    """A stage of a plan, without its spec.

    Attributes:
        key: the stage's key.
        name: the TransferStage's name.
        kind: what it does.
        phase: of a training; None of what is none.
        parents: role -> key.
        title: for people.
        tasks: what it prepares, trains on or scores.
        cells: the cells that need it, as indices of `PlanDocument.cells`.
        unpinned: whether it belongs to this experiment alone.
        answer: how many bytes it takes at most in a lookup's answer.
    """

    key: str
    name: str
    kind: Kind
    phase: Phase | None
    parents: Mapping[str, str]
    title: str
    tasks: tuple[str, ...]
    cells: tuple[int, ...]
    unpinned: bool
    answer: int


@dataclass(frozen=True)
class PlanDocument:
    """A plan as it was accepted. Light: the stages themselves stay packed until they are asked for.

    Attributes:
        name: the experiment's name.
        namespace: where it lives.
        store: the name of its store.
        version: of xstilts, when it was planned.
        recipe_version: of the catalogue, when it was planned.
        image: the trainer's image, when it was planned: a record, stages run with the administrator's of today.
        keep: spec.store.keep.
        manifest: the experiment as it was written, without what may be edited.
        stages: by key, parents first.
        cells: the grid, in the experiment's order.
        evaluations: for each cell the key of the stage that holds its scores.
        content: the digest of all of it.
        packed: all of it.
    """

    name: str
    namespace: str
    store: str
    version: str
    recipe_version: int
    image: str
    keep: Keep
    manifest: Mapping[str, Any] = field(repr=False)
    stages: Mapping[str, FrozenStage] = field(repr=False)
    cells: tuple[Cell, ...] = field(repr=False)
    evaluations: Mapping[Cell, str] = field(repr=False)
    content: str
    packed: bytes = field(repr=False)

    def models(self, stage: FrozenStage) -> frozenset[str]:
        """The models of the experiment whose cells need a stage."""
        return frozenset(self.cells[index].model for index in stage.cells)

    def of_kind(self, kind: Kind) -> tuple[FrozenStage, ...]:
        """The stages of a kind, in the plan's order."""
        return tuple(stage for stage in self.stages.values() if stage.kind is kind)

    @cached_property
    def by_name(self) -> Mapping[str, FrozenStage]:
        """The stages by the TransferStage's name."""
        return {stage.name: stage for stage in self.stages.values()}

    @cached_property
    def use(self) -> Use:
        """What the experiment has of the store's stages, and how much it keeps of them."""
        used = (
            UsedStage(key=one.key, kind=one.kind, parents=tuple(one.parents.values()), phase=one.phase)
            for one in self.stages.values()
        )
        return Use(experiment=self.name, keep=self.keep, stages=tuple(used))

    def questions(self, before: PlanDocument | None = None) -> tuple[str, ...]:
        """The keys that the store is asked for, longest answers first; of equals in the order of the keys.

        `before` is a plan that it has answered for.
        """
        if before is None:
            return self._by_answer
        return tuple(key for key in self._by_answer if key not in before.stages)

    @cached_property
    def _by_answer(self) -> tuple[str, ...]:
        return tuple(sorted(self.stages, key=lambda key: (-self.stages[key].answer, key)))

    def texts(self) -> dict[str, str]:
        """Key -> the stage as canonical JSON, unpacked now."""
        return {
            one["stage"]["key"]: canonical_json(one["stage"]).decode()
            for one in _parsed(_text(self.packed))["stages"]
        }

    def experiment(self) -> Experiment:
        """The experiment as it was accepted; what may be edited has its default.

        Raises:
            ValidationError: this version cannot read what another one has accepted.
        """
        return Experiment.model_validate(self.manifest)

    def plan(self) -> Plan:
        """The core's plan, for results and reports; it has no report stage."""
        document = _parsed(_text(self.packed))
        return Plan(
            name=self.name,
            namespace=self.namespace,
            stages=tuple(
                PlannedStage(
                    stage=Stage.model_validate(one["stage"]),
                    labels=frozenset(self.cells[index] for index in one["cells"]),
                    unpinned=one["unpinned"],
                )
                for one in document["stages"]
            ),
            evaluations=self.evaluations,
            naive=Naive(**document["naive"]),
        )

    def covers(self, experiment: Experiment) -> bool:
        """Whether an experiment asks for what was accepted: it differs at most in what may be edited."""
        try:
            accepted = self.experiment()
        except ValidationError:
            return self.manifest == manifest(experiment)
        return _grid(accepted) == _grid(experiment)


def unpack(packed: bytes, is_meant: Callable[[str], bool] = lambda _: True) -> PlanDocument:
    """The plan in the bytes of a ConfigMap's file.

    `is_meant` is asked for the digest of its content before any of it is read: what is made up may take 25 times its
    size in memory.

    Raises:
        PlanError: it is not what is meant, or this version cannot read it.
    """
    try:
        text = _text(packed)
        content = sha256_hex(text)
        if not is_meant(content):
            raise unreadable("it holds another plan than its name says")
        document = _parsed(text)
        metadata, spec = document["experiment"]["metadata"], document["experiment"]["spec"]
        store = spec.get("store", {}).get("name", "default")
        stages = [_frozen(one, store) for one in document["stages"]]
        cells = tuple(Cell(*cell) for cell in document["cells"])
        evaluations = dict(zip(cells, (stages[index].key for index in document["evaluations"]), strict=True))
        return PlanDocument(
            name=metadata["name"],
            namespace=metadata["namespace"],
            store=store,
            version=document["version"],
            recipe_version=document["recipeVersion"],
            image=document["image"],
            keep=_keep(spec.get("store", {}).get("keep")),
            manifest=document["experiment"],
            stages={stage.key: stage for stage in stages},
            cells=cells,
            evaluations=evaluations,
            content=content,
            packed=packed,
        )
    except (KeyError, IndexError, TypeError, ValueError, AttributeError, RecursionError) as error:
        raise unreadable(f"{type(error).__name__}: {error}"[:200]) from None


def manifest(experiment: Experiment) -> dict[str, Any]:
    """The experiment as it was written, without what may be edited."""
    document = experiment.model_dump(
        mode="json", exclude_unset=True, include=_WRITTEN, exclude={"spec": _SCHEDULING}
    )
    document["metadata"].setdefault("namespace", "default")
    return document


def _grid(experiment: Experiment) -> dict[str, Any]:
    return experiment.spec.model_dump(exclude=_SCHEDULING)


def _frozen(one: Mapping[str, Any], store: str) -> FrozenStage:
    stage = one["stage"]
    kind, spec = Kind(stage["kind"]), stage["spec"]
    data = spec.get("data", ())
    named = [spec["task"]] if "task" in spec else [rows["task"]["name"] for rows in data]
    return FrozenStage(
        key=stage["key"],
        name=stage_name(stage["key"], kind, store),
        kind=kind,
        phase=_phase(spec) if kind is Kind.TRAIN else None,
        parents=dict(stage["parents"]),
        title=one["title"],
        tasks=tuple(sorted(set(named))),
        cells=tuple(one["cells"]),
        unpinned=one["unpinned"],
        answer=answer_size(kind, spec),
    )


def _phase(spec: Mapping[str, Any]) -> Phase | None:
    phase: Phase | None = spec.get("phase")
    return phase if phase in get_args(Phase) else None


def _keep(said: Any) -> Keep:
    """How much is kept; all, where it is not said."""
    keep: Keep = said if said in GIVEN_UP else "All"
    return keep


def _text(packed: bytes) -> bytes:
    """The document's bytes.

    Raises:
        ValueError: they are not packed, or more than we take.
    """
    try:
        opened = zlib.decompressobj(wbits=31)
        text = opened.decompress(packed, UNPACKED_LIMIT)
    except zlib.error as error:
        raise ValueError(str(error)) from None
    if not opened.eof:
        raise ValueError("it is cut short, or too large")
    return text


def _parsed(text: bytes) -> dict[str, Any]:
    document = json.loads(text)
    if not isinstance(document, dict) or document.get("schema") != PLAN_SCHEMA:
        raise ValueError(f"it is not of schema {PLAN_SCHEMA}")
    return document


def unreadable(why: str) -> PlanError:
    """The error of a plan that cannot be read."""
    return PlanError(
        "PlanUnsupported",
        f"the plan's ConfigMap must hold a plan that version {version('xstilts')} can read, does not ({why}); make the "
        "experiment anew, what the store has is kept",
    )
