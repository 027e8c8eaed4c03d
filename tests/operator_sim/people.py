"""The people of a run: they submit, edit and delete experiments, at a moment or once something has come about."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from operator_sim.store import Store
from xstilts.canonical import sha256_hex
from xstilts.plan import plan
from xstilts.spec import read_experiment
from xstilts.stage import Kind, Stage
from xstilts_operator.actions import Resource
from xstilts_operator.names import API_VERSION, STAGE_LABEL, stage_name
from xstilts_operator.tolerant import mapping, mappings

NAMESPACE = "team"
LOOKS_EVERY = 5.0  # seconds
GRID = ("models", "tasks", "intermediates", "targets", "seeds")  # what stages are made of
# intermediates and targets of the experiments that differ from the reference
GRIDS = {
    "second": (("mnli", "squad"), ("xnli",)),
    "squad": (("squad",), ("xnli",)),
    "tatoeba": (("mnli",), ("tatoeba",)),
}


def source(name: str) -> str:
    return f"store://{name}@sha256:{sha256_hex(name.encode())}"


def experiment(name: str, **spec: Any) -> Any:
    """2 models, none and mnli, xnli and tatoeba, 2 seeds; everything pinned. Some names stand for other grids."""
    intermediates, targets = GRIDS.get(name, (("mnli",), ("xnli", "tatoeba")))
    if name == "small":
        spec = {"targets": [{"task": "xnli"}], "seeds": [1], **spec}
    tasks = sorted({*intermediates, *targets, "mnli"})
    return {
        "apiVersion": API_VERSION,
        "kind": "TransferExperiment",
        "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": {
            "models": [
                {"name": size, "pretrained": source(size), "family": "E5"} for size in ("base", "large")
            ],
            "tasks": [{"name": task, "data": source(task)} for task in tasks],
            "intermediates": [{"name": one, "tasks": [one]} for one in intermediates],
            "targets": [{"task": target} for target in targets],
            "seeds": [1, 2],
            "resources": {"gpus": 1},
            **spec,
        },
    }


def stages_of(manifest: Any) -> tuple[Stage, ...]:
    """The stages that become TransferStages."""
    return _planned(json.dumps(manifest, sort_keys=True))


@cache
def _planned(manifest: str) -> tuple[Stage, ...]:
    stages = plan(read_experiment(json.loads(manifest))).stages
    return tuple(one.stage for one in stages if one.stage.kind is not Kind.REPORT)


@dataclass(frozen=True)
class Pod:
    """A pod of a stage that could end now: the `index`-th of an attempt. `salt` says which stages are struck."""

    stage: Stage
    attempt: int
    index: int
    mended: bool
    salt: int


@dataclass
class People:
    """What they see is the API server's own state, and what they do is never lost.

    Attributes:
        store: the API server.
        spec: what stands in each spec that they submit besides the reference's.
        salt: says which stages are struck.
        rng: of moments.
        hangs: whether a stage goes on until it is let go.
        mended: whether what hung or failed has been let go, or mended.
        marks: the names of all Jobs made before each step.
    """

    store: Store
    spec: dict[str, Any]
    salt: int
    rng: random.Random
    hangs: Callable[[Stage], bool]
    mended: bool = False
    marks: list[list[str]] = field(default_factory=list)

    # -- what they do -------------------------------------------------------------------------------------------

    def submit(self, name: str) -> None:
        """Kubectl create."""
        self.store.create(Resource.EXPERIMENT, experiment(name, **self.spec))

    def edit(self, name: str, **spec: Any) -> None:
        """Kubectl patch of the spec."""
        old = self.store.get(Resource.EXPERIMENT, NAMESPACE, name)
        self.store.update(Resource.EXPERIMENT, {**old, "spec": {**old["spec"], **spec}})

    def remove(self, name: str) -> None:
        """Kubectl delete."""
        self.store.delete(Resource.EXPERIMENT, NAMESPACE, name, None, "Background")

    def mend(self) -> None:
        """What hangs is let go, and what failed would go well."""
        self.mended = True

    async def act(self, steps: Collection[Step]) -> None:
        """Take the steps, one after the other."""
        for step in steps:
            while not step.when(self):  # noqa: ASYNC110 - the state of things is looked at, nobody tells
                await asyncio.sleep(LOOKS_EVERY)
            await asyncio.sleep(step.after + self.rng.uniform(0, step.within))
            self.marks.append(sorted(name for (kind, _, name) in self.store.made if kind is Resource.JOB))
            step.do(self)

    # -- what they see ------------------------------------------------------------------------------------------

    def always(self) -> bool:
        """At once."""
        return True

    def ended(self) -> bool:
        """Every experiment has come to its end."""
        there = self.store.all(Resource.EXPERIMENT)
        return bool(there) and all(mapping(one, "status").get("completionTime") for one in there)

    def stalled(self) -> bool:
        """All is done that can be done without the stages that hang, those run, and every stage is owned."""
        running, wanted = self._running(), self._wanted()
        idle = bool(wanted) and all(self._can_do_no_more(stage, running) for stage in wanted)
        return idle and all(self._owns_its_stages(one) for one in self.store.all(Resource.EXPERIMENT))

    def suspended(self) -> bool:
        """Nothing runs any more, and the experiments say why."""
        return self._reasons() == {"Suspended"} and self._idle()

    def poor(self) -> bool:
        """Nothing runs any more, for the budget is spent."""
        return self._reasons() == {"BudgetSpent"} and self._idle()

    def cleared(self) -> bool:
        """There are no stages, and no pods of stages, but those that somebody needs."""
        wanted = {_name(stage) for stage in self._wanted()}
        there = {stage["metadata"]["name"] for stage in self.store.all(Resource.STAGE)}
        return there == wanted and self._running() <= wanted

    # -- within -------------------------------------------------------------------------------------------------

    def _wanted(self) -> list[Stage]:
        return [stage for one in self.store.all(Resource.EXPERIMENT) for stage in _grid(one)]

    def _owns_its_stages(self, one: Any) -> bool:
        found = (self.store.find(Resource.STAGE, NAMESPACE, _name(stage)) for stage in _grid(one))
        owners = (mappings(mapping(stage, "metadata").get("ownerReferences")) for stage in found)
        return all(one["metadata"]["uid"] in [owner["uid"] for owner in each] for each in owners)

    def _can_do_no_more(self, stage: Stage, running: set[str]) -> bool:
        name = _name(stage)
        found = self.store.find(Resource.STAGE, NAMESPACE, name)
        if found is None:
            return False
        if mapping(found, "status").get("state") == "Succeeded":
            return True
        if self.hangs(stage):
            return name in running
        parents = (
            self.store.find(Resource.STAGE, NAMESPACE, parent) for parent in found["spec"]["parentStages"]
        )
        return any(mapping(parent, "status").get("state") != "Succeeded" for parent in parents)

    def _running(self) -> set[str]:
        """The stages of which a pod runs."""
        return {
            pod["metadata"]["labels"].get(STAGE_LABEL, "")
            for pod in self.store.all(Resource.POD)
            if pod["status"]["phase"] == "Running"
        } - {""}

    def _idle(self) -> bool:
        active = [
            one for one in self.store.all(Resource.STAGE) if mapping(one, "status").get("state") == "Active"
        ]
        live = [
            one for one in self.store.all(Resource.POD) if one["status"]["phase"] in {"Pending", "Running"}
        ]
        return not active and not live

    def _reasons(self) -> set[str]:
        """The reasons of the experiments' summary conditions."""
        return {
            condition["reason"]
            for one in self.store.all(Resource.EXPERIMENT)
            for condition in mappings(mapping(one, "status").get("conditions"))
            if condition["type"] == "Succeeded"
        }


@dataclass(frozen=True)
class Step:
    """What people do once something has come about, and then `after` seconds or, drawn, up to `within` later."""

    when: Callable[[People], bool]
    do: Callable[[People], None]
    after: float = 0.0
    within: float = 0.0


def _grid(one: Any) -> tuple[Stage, ...]:
    """The stages of an experiment's spec as it is now."""
    return stages_of(experiment("reference", **{part: one["spec"][part] for part in GRID}))


def _name(stage: Stage) -> str:
    return stage_name(stage.key, stage.kind, "default")
