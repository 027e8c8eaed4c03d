"""Plays scheduler and kubelet for pods that no machine runs: a test says how each one ends."""

from __future__ import annotations

import asyncio
import inspect
import itertools
import math
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import aiohttp
from kubernetes.aio.client import ApiException

from controlplane.api import Api, Object
from controlplane.nodes import fake_node

OPERATORS_PODS = "app.kubernetes.io/managed-by=xstilts"
_STRATEGIC = (
    "application/strategic-merge-patch+json"  # keeps the conditions that others wrote (DisruptionTarget)
)
_FINAL = ("Succeeded", "Failed")
_MESSAGE_BYTES = 4096  # kubelet's limit; it keeps the end


@dataclass(frozen=True)
class Outcome:
    """How a pod's containers end: exit code and termination message (the first container's), after some seconds.

    math.inf seconds: it runs until it is deleted. The rest of the containers end with the same code and no message.
    claimed_seconds: for how much longer they say to have run. evicted: by the kubelet, which reports no exit codes then.
    """

    exit_code: int = 0
    message: str = ""
    after_seconds: float = 0
    claimed_seconds: float = 0
    evicted: bool = False


RUNS_ON = Outcome(after_seconds=math.inf)
TERMINATED = Outcome(exit_code=143)  # of a process that does not handle SIGTERM

Decide = Callable[[Object], Outcome | Awaitable[Outcome]]


@dataclass
class Play:
    """One pod's run: when (monotonic seconds) it was Running, and when it ended or was deleted."""

    pod: Object
    began: float
    ended: float | None = None


@dataclass
class Player:
    """Runs every pod that `selector` (of labels) selects, in `namespace` or else in all, as `outcome` decides.

    outcome: asked when a pod starts to run; a coroutine is awaited while the pod runs, and cancelled when the pod is
    deleted. stopped: asked when a running pod is deleted, as what its process does on SIGTERM (a coroutine is awaited);
    later than the pod's grace period, it is killed. plays: every run so far, in order.
    """

    api: Api
    outcome: Decide
    stopped: Decide = lambda _pod: TERMINATED
    selector: str = OPERATORS_PODS
    namespace: str | None = None
    node: str = "player"
    plays: list[Play] = field(default_factory=list)
    _playing: dict[str, asyncio.Task[None]] = field(default_factory=dict)
    _ending: dict[str, asyncio.Task[None]] = field(default_factory=dict)
    _addresses: Any = field(default_factory=lambda: itertools.count(1))

    async def run(self) -> None:
        """Play until cancelled; an API server that is away for a while is waited for."""
        try:
            await self._persist(self._make_node)
            while True:
                with suppress(aiohttp.ClientError, TimeoutError, ApiException):
                    await self._follow()
                await asyncio.sleep(0.1)
        finally:
            tasks = [*self._playing.values(), *self._ending.values()]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _follow(self) -> None:
        pods = f"/api/v1/namespaces/{self.namespace}/pods" if self.namespace else "/api/v1/pods"
        listed = await self.api.get(pods, labelSelector=self.selector)
        present = {pod["metadata"]["uid"] for pod in listed["items"]}
        for uid in [uid for uid in self._playing if uid not in present]:
            self._playing.pop(uid).cancel()
        for pod in listed["items"]:
            self._see(pod)
        version = listed["metadata"]["resourceVersion"]
        async for kind, pod in self.api.watch(pods, labelSelector=self.selector, resourceVersion=version):
            if kind == "ERROR":
                return
            if kind == "DELETED":
                if task := self._playing.pop(pod["metadata"]["uid"], None):
                    task.cancel()
            else:
                self._see(pod)

    def _see(self, pod: Object) -> None:
        uid = pod["metadata"]["uid"]
        if "deletionTimestamp" in pod["metadata"]:
            if uid not in self._ending:
                self._ending[uid] = asyncio.create_task(self._end(pod))
        elif (
            uid not in self._playing
            and pod["status"].get("phase") not in _FINAL
            and not pod["spec"].get("schedulingGates")
        ):
            self._playing[uid] = asyncio.create_task(self._play(pod))

    async def _play(self, pod: Object) -> None:
        """Bind the pod, run it, and end it as the test decides."""
        if not pod["spec"].get("nodeName") and not await self._bound(pod):
            return
        if not await self._write_status(pod, self._running(pod)):
            return
        play = Play(pod, time.monotonic())
        self.plays.append(play)
        try:
            outcome = await _settled(self.outcome(pod))
            await _sleep(outcome.after_seconds)
            await self._write_status(pod, _ended(pod, outcome, time.monotonic() - play.began))
        finally:
            play.ended = time.monotonic()

    async def _end(self, pod: Object) -> None:
        """What a kubelet does with a pod that is being deleted: stop it, say how it ended, remove it."""
        uid = pod["metadata"]["uid"]
        task = self._playing.pop(uid, None)
        if task and not task.done():
            grace = pod["metadata"].get("deletionGracePeriodSeconds", 0)
            outcome = await _settled(self.stopped(pod))
            await _sleep(min(outcome.after_seconds, grace))
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            late = outcome.after_seconds > grace
            began = next((play.began for play in self.plays if play.pod["metadata"]["uid"] == uid), None)
            ran = time.monotonic() - began if began is not None else 0
            await self._write_status(pod, _ended(pod, Outcome(exit_code=137) if late else outcome, ran))
        await self._persist(
            lambda: self.api.delete(_path(pod), gracePeriodSeconds=0, preconditions={"uid": uid})
        )

    async def _bound(self, pod: Object) -> bool:
        """Bind the pod to this node; False where it is gone. Where a reply was lost, it is bound already: 409."""
        while not await self._persist(lambda: self._bind(pod)):
            there = await self._read(pod)
            if there is None or there["spec"].get("nodeName"):
                return there is not None and there["spec"]["nodeName"] == self.node
            await asyncio.sleep(0.1)
        return True

    async def _read(self, pod: Object) -> Object | None:
        """The pod as it is now; None where it is gone or going."""
        found: list[Object] = []

        async def read() -> Object:
            found.append(await self.api.get(_path(pod)))
            return found[-1]

        if not await self._persist(read):
            return None
        metadata = found[-1]["metadata"]
        same = metadata["uid"] == pod["metadata"]["uid"] and "deletionTimestamp" not in metadata
        return found[-1] if same else None

    async def _bind(self, pod: Object) -> Object:
        metadata = {name: pod["metadata"][name] for name in ("name", "namespace", "uid")}
        target = {"apiVersion": "v1", "kind": "Node", "name": self.node}
        return await self.api.create(
            f"{_path(pod)}/binding",
            {"apiVersion": "v1", "kind": "Binding", "metadata": metadata, "target": target},
        )

    async def _make_node(self) -> Object:
        return await self.api.create("/api/v1/nodes", fake_node(self.node))

    async def _write_status(self, pod: Object, status: Object) -> bool:
        body = {"metadata": {"uid": pod["metadata"]["uid"]}, "status": status}
        return await self._persist(
            lambda: self.api.patch(f"{_path(pod)}/status", body, content_type=_STRATEGIC)
        )

    async def _persist(self, call: Callable[[], Awaitable[Object]]) -> bool:
        """Call until the API server answers; False where the pod is gone or another's (404, 409)."""
        while True:
            try:
                await call()
            except ApiException as error:
                if error.status in {404, 409}:
                    return False
                # 403: an API server that has just started says so until its own caches are filled
                if error.status not in {403, 429, 500, 502, 503, 504}:
                    raise
            except (aiohttp.ClientError, TimeoutError):
                pass
            else:
                return True
            await asyncio.sleep(0.1)

    def _running(self, pod: Object) -> Object:
        high, low = divmod(next(self._addresses), 250)
        address = f"10.244.{high % 250}.{low + 1}"
        return {
            "phase": "Running",
            "startTime": _now(),
            "hostIP": "10.0.0.1",
            "podIP": address,
            "podIPs": [{"ip": address}],
            "conditions": _conditions(ready=True),
            "containerStatuses": [
                _container(each, ready=True, state={"running": {"startedAt": _now()}})
                for each in pod["spec"]["containers"]
            ],
        }


@asynccontextmanager
async def playing(player: Player) -> AsyncIterator[Player]:
    """Run `player` beside the block; an error in it ends the block."""
    async with asyncio.TaskGroup() as group:
        task = group.create_task(player.run())
        yield player
        task.cancel()


def _ended(pod: Object, outcome: Outcome, ran_seconds: float) -> Object:
    if outcome.evicted:
        return {"phase": "Failed", "reason": "Evicted", "message": "The node was low on resource: memory."}
    state = {
        "exitCode": outcome.exit_code,
        "reason": "Error" if outcome.exit_code else "Completed",
        "startedAt": _now(before_s=ran_seconds + outcome.claimed_seconds),
        "finishedAt": _now(),
    }
    message = outcome.message.encode()[-_MESSAGE_BYTES:].decode(errors="ignore")
    first, *rest = pod["spec"]["containers"]
    return {
        "phase": "Failed" if outcome.exit_code else "Succeeded",
        "conditions": _conditions(ready=False),
        "containerStatuses": [
            _container(first, ready=False, state={"terminated": {**state, "message": message}}),
            *(_container(each, ready=False, state={"terminated": state}) for each in rest),
        ],
    }


def _container(container: Object, *, ready: bool, state: Object) -> Object:
    return {
        "name": container["name"],
        "image": container["image"],
        "imageID": "",
        "ready": ready,
        "started": ready,
        "restartCount": 0,
        "state": state,
    }


def _conditions(*, ready: bool) -> list[Object]:
    states = {"PodScheduled": True, "Initialized": True, "ContainersReady": ready, "Ready": ready}
    return [
        {"type": kind, "status": str(state), "lastTransitionTime": _now()} for kind, state in states.items()
    ]


def _path(pod: Object) -> str:
    return f"/api/v1/namespaces/{pod['metadata']['namespace']}/pods/{pod['metadata']['name']}"


def _now(*, before_s: float = 0) -> str:
    return (datetime.now(UTC) - timedelta(seconds=before_s)).strftime("%Y-%m-%dT%H:%M:%SZ")


async def _settled(decided: Outcome | Awaitable[Outcome]) -> Outcome:
    return await decided if inspect.isawaitable(decided) else decided


async def _sleep(seconds: float) -> None:
    if math.isinf(seconds):
        await asyncio.Event().wait()
    await asyncio.sleep(seconds)
