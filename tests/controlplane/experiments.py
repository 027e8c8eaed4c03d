"""The TransferExperiments of one namespace, for tests: submitted, edited, waited for; and pods that answer for them."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any

from kubernetes.aio.client import ApiException

from controlplane.api import Api, Object, eventually
from controlplane.player import RUNS_ON, TERMINATED, Outcome, Player
from operator_sim.cluster import answer_of
from xstilts.canonical import sha256_hex

ENDED = ("True", "False")
GROUP = "/apis/xstilts.dev/v1alpha1"

Labels = Mapping[str, str]


def manifest(
    name: str,
    *models: str,
    intermediates: tuple[str, ...] = (),
    targets: tuple[str, ...] = ("xnli",),
    seeds: tuple[int, ...] = (1,),
    **spec: Any,
) -> Object:
    """An experiment of these models, or one called as it is: of one model, one target and one seed, a training and an evaluation.

    No two models have stages in common. `spec` is what else its spec says.
    """
    tasks = sorted({"mnli", *intermediates, *targets})
    return {
        "apiVersion": "xstilts.dev/v1alpha1",
        "kind": "TransferExperiment",
        "metadata": {"name": name},
        "spec": {
            "models": [
                {"name": model, "pretrained": _source(model), "family": "E5"} for model in models or (name,)
            ],
            "tasks": [{"name": task, "data": _source(task)} for task in tasks],
            "intermediates": [{"name": one, "tasks": [one]} for one in intermediates],
            "targets": [{"task": target} for target in targets],
            "seeds": list(seeds),
            **spec,
        },
    }


def summary(obj: Object) -> Object:
    """The condition Succeeded of an experiment or a stage; empty before there is one."""
    return condition(obj, "Succeeded")


def condition(obj: Object, kind: str) -> Object:
    """One of an object's conditions; empty where it has none of this type."""
    conditions = obj.get("status", {}).get("conditions", ())
    return next((dict(one) for one in conditions if one["type"] == kind), {})


class Experiments:
    """The experiments of a namespace and what the operator has made for them."""

    def __init__(self, api: Api, namespace: str) -> None:
        self._api = api
        self._namespace = namespace

    async def submit(self, *manifests: Object) -> None:
        """Create experiments."""
        for one in manifests:
            await self._api.create(self._path(GROUP, "transferexperiments"), one)

    async def edit(self, name: str, **spec: Any) -> None:
        """Change fields of an experiment's spec; None removes one."""
        await self._api.patch(self._path(GROUP, "transferexperiments", name), {"spec": spec})

    async def delete(self, name: str) -> None:
        """Delete an experiment, as `kubectl delete` does."""
        await self._api.delete(self._path(GROUP, "transferexperiments", name), propagationPolicy="Background")

    async def get(self, name: str) -> Object:
        """An experiment."""
        return await self._api.get(self._path(GROUP, "transferexperiments", name))

    async def all(self) -> list[Object]:
        """The experiments that are there."""
        return await self._list(GROUP, "transferexperiments")

    async def stages(self, *of: str) -> list[Object]:
        """The stages that these experiments own, or all."""
        stages = await self._list(GROUP, "transferstages")
        return [one for one in stages if not of or set(of) & set(owners(one))]

    async def stage(self, of: str, kind: str = "train") -> Object:
        """The only stage of a kind of an experiment."""
        (found,) = [one for one in await self.stages(of) if one["spec"]["kind"] == kind]
        return found

    async def jobs(self) -> list[Object]:
        """All Jobs."""
        return await self._list("/apis/batch/v1", "jobs")

    async def pods(self) -> list[Object]:
        """All pods."""
        return await self._list("/api/v1", "pods")

    async def plans(self) -> list[Object]:
        """The ConfigMaps of plans."""
        found = await self._list("/api/v1", "configmaps")
        return [one for one in found if "-plan-" in one["metadata"]["name"]]

    async def running(self, of: str) -> list[Object]:
        """The pods of an experiment's stages that have not ended."""
        return [
            pod
            for pod in await self.pods()
            if pod["metadata"]["labels"].get("xstilts.dev/experiment") == of
            and "xstilts.dev/stage" in pod["metadata"]["labels"]
            and pod["status"].get("phase") not in {"Succeeded", "Failed"}
        ]

    async def events(self, name: str) -> dict[str, str]:
        """The Events about an object of this name: reason -> the message of the last."""
        found = await self._list("/api/v1", "events")
        return {one["reason"]: one["message"] for one in found if one["involvedObject"]["name"] == name}

    async def until(self, name: str, check: Callable[[Object], object], *, within_s: float = 60) -> Object:
        """An experiment once `check` of it is true; while the API server is away it is asked again."""

        async def checked() -> Object | None:
            try:
                found = await self.get(name)
            except ApiException as error:
                if error.status < 500:
                    raise
                return None
            except OSError:
                return None
            return found if check(found) else None

        try:
            return await eventually(checked, within_s=within_s, every_s=0.2)
        except TimeoutError:
            found = await self.get(name)
            jobs = {one["metadata"]["name"]: one.get("status", {}) for one in await self.jobs()}
            pods = {one["metadata"]["name"]: one["status"].get("phase") for one in await self.pods()}
            said = f"{found.get('status')}; pods: {pods}; Jobs: {jobs}"
            raise TimeoutError(f"{name} after {within_s} s: {said}") from None

    async def ended(self, *names: str, within_s: float = 60) -> list[Object]:
        """The experiments, once they have all come to an end."""
        return [
            await self.until(name, lambda one: summary(one).get("status") in ENDED, within_s=within_s)
            for name in names
        ]

    async def says(self, name: str, reason: str, *, within_s: float = 60) -> Object:
        """An experiment, once its summary has this reason."""
        return await self.until(name, lambda one: summary(one).get("reason") == reason, within_s=within_s)

    async def _list(self, prefix: str, plural: str) -> list[Object]:
        items: list[Object] = (await self._api.get(self._path(prefix, plural)))["items"]
        return items

    def _path(self, prefix: str, plural: str, name: str = "") -> str:
        return f"{prefix}/namespaces/{self._namespace}/{plural}/{name}".rstrip("/")


def owners(obj: Object) -> list[str]:
    """The names of an object's owners."""
    return [one["name"] for one in obj["metadata"].get("ownerReferences", ())]


async def _well(_: Labels) -> None:
    return None


def answering(
    api: Api,
    namespace: str,
    special: Callable[[Labels], Awaitable[Outcome | None]] = _well,
    *,
    seconds: float = 0.2,
    stopped: Outcome = TERMINATED,
) -> Player:
    """Pods that answer what the trainer and the operator's own programs would, of one store that is empty at first.

    `special` is asked first, with the pod's labels. None: it ends well after so many seconds. What it says of one that
    ends well gets the right answer added. `stopped` is how one ends that is deleted while it runs.
    """
    held: set[str] = set()

    async def outcome(pod: Object) -> Outcome:
        labels: Labels = pod["metadata"]["labels"]
        said = await special(labels) or Outcome(after_seconds=seconds)
        if said.exit_code or said.evicted or math.isinf(said.after_seconds):
            return said
        plan = labels.get("xstilts.dev/plan")
        try:
            frozen = await api.get(f"/api/v1/namespaces/{namespace}/configmaps/{plan}") if plan else None
        except ApiException as error:
            if error.status != 404:
                raise
            return RUNS_ON  # its plan has just been deleted, and it goes too
        code, message = answer_of(pod, frozen, 1, lambda _stage, _attempt: 0, held=held)
        return replace(said, exit_code=code, message=message)

    return Player(api, outcome, stopped=lambda _: stopped, namespace=namespace)


def not_at_once(stages: Iterable[Object]) -> list[Object]:
    """The statuses of stages that have not succeeded at their first attempt, or been found in the store."""
    statuses = [one.get("status", {}) for one in stages]
    return [
        one
        for one in statuses
        if one.get("state") != "Succeeded" or one.get("attempt", {}).get("number", 1) != 1
    ]


def _source(name: str) -> str:
    return f"store://{name}@sha256:{sha256_hex(name.encode())}"
