"""The one writer: does what a decision wants, in order, and lets the cache read every answer.

So the next decision sees what this one wrote before any watch tells it. Whatever goes wrong ends the decision; what it
left undone is decided again from what the cluster then is, and that is safe because names are deterministic and
versions and UIDs are checked by the API server. What cannot be undone (a Job made, an attempt given up, a pod deleted)
is done only after a fresh read: a watch may be a minute late. So is what a decision says that it rests on.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from itertools import groupby
from typing import Any, Final

from xstilts_operator.actions import (
    Action,
    ApplyStatus,
    Create,
    CreateJob,
    Delete,
    Emit,
    Object,
    Reference,
    Resource,
    Seen,
    SetOwners,
)
from xstilts_operator.api import AlreadyExists, Api, ApiError, Conflict, NotFound
from xstilts_operator.cache import Cache, Change
from xstilts_operator.names import ATTEMPT_LABEL, STAGE_LABEL, job_name
from xstilts_operator.tolerant import count, mapping, mappings, text

SIDE_BY_SIDE: Final = 16  # writes of one decision that are in flight together
EXPERIMENT_STATUS_SECONDS: Final = 1.0  # between two writes of one experiment's status
_PACED: Final = 1_000  # experiments whose last write is remembered; beyond, only recent ones
_ACTIVE: Final = "Active"
_SUCCEEDED: Final = "Succeeded"


class Overtaken(Exception):  # noqa: N818 - it is no error: the decision was made from what is no longer so
    """The cluster is not as the decision saw it; the cache knows better now. Decide again."""


class TooSoon(Exception):  # noqa: N818 - it is no error: the write has its time
    """The experiment's status was written just now. Decide again in `seconds`."""

    def __init__(self, seconds: float) -> None:
        super().__init__(seconds)
        self.seconds = seconds


class Fenced(ApiError):  # noqa: N818 - what has happened, not whose fault it is
    """Another operator may hold the Lease by now: nothing is written until it is known to be ours."""


class Gateway:
    """Executes decisions.

    `changed` hears of every object that an answer has made new in the cache; `may_write` is asked before every write.
    """

    def __init__(
        self,
        api: Api,
        cache: Cache,
        emit: Callable[[Emit], None],
        changed: Callable[[Change], None],
        may_write: Callable[[], bool] = lambda: True,
    ) -> None:
        self._api = api
        self._cache = cache
        self._emit = emit
        self._changed = changed
        self._may_write = may_write
        self._status_written: dict[Reference, float] = {}

    async def execute(self, actions: Sequence[Action]) -> None:
        """Do the actions in order; neighbours of one type on one kind of object side by side.

        Raises:
            Overtaken, TooSoon, ApiError: the rest has not been done.
        """
        for _, group in groupby(actions, _similar):
            neighbours = list(group)
            if len(neighbours) == 1:
                await self._do(neighbours[0])
                continue
            rest = iter(neighbours)
            outcomes = await asyncio.gather(
                *(self._some(rest) for _ in range(SIDE_BY_SIDE)), return_exceptions=True
            )
            for outcome in outcomes:
                if outcome is not None:
                    raise outcome

    async def _some(self, actions: Iterator[Action]) -> None:
        """Take actions and do them until none is left or one fails: a full quota refuses a few, and not thousands."""
        for action in actions:
            await self._do(action)

    async def _do(self, action: Action) -> None:
        if isinstance(action, ApplyStatus | SetOwners | Delete):
            await self._unchanged(action.rests_on)
        match action:
            case Create(resource, body):
                await self._create(resource, body)
            case CreateJob(stage, attempt, body):
                await self._create_job(stage, attempt, body)
            case ApplyStatus(target, status, version, _):
                await self._apply(target, status, version)
            case SetOwners(target, owners, version, _):
                try:
                    self._take(target.resource, await self._writer().set_owners(target, owners, version))
                except (Conflict, NotFound) as error:
                    await self._refresh(target, error)
            case Delete(target, propagation, _):
                await self._delete(target, propagation)
            case Emit():
                self._emit(action)

    async def _unchanged(self, rests_on: Sequence[Seen]) -> None:
        """Before a write: what the decision rests on is as it was seen, whatever the watches have still to tell."""
        for seen in rests_on:
            found = mapping(await self._read(seen.reference, gone_is_fine=True), "metadata")
            same = seen.reference.uid in (None, found.get("uid"))
            version = text(found.get("resourceVersion")) if same else ""
            spec_alone = seen.generation is not None and "" not in (version, seen.version)
            if version != seen.version and not (
                spec_alone and count(found.get("generation")) == seen.generation
            ):
                raise Overtaken(f"{seen.reference.name} is not as it was seen")

    async def _create(self, resource: Resource, body: Object) -> None:
        """POST, or adopt what is there under this name; what another controls ends the decision."""
        try:
            self._take(resource, await self._writer().create(resource, body))
        except AlreadyExists as error:
            found = await self._read(_reference(resource, body))
            if _controller(found) != _controller(body):
                raise Overtaken(str(error)) from None

    async def _create_job(self, stage: Reference, attempt: int, body: Object) -> None:
        current = await self._read(stage)
        status = mapping(current, "status")
        same = (
            stage.uid in (None, current["metadata"]["uid"]) and "deletionTimestamp" not in current["metadata"]
        )
        if not same or status.get("state") != _ACTIVE or mapping(status, "attempt").get("number") != attempt:
            raise Overtaken(f"{stage.name} is no longer at attempt {attempt}")
        if attempt > 1:
            await self._nothing_new_of(stage, attempt - 1)
        await self._create(Resource.JOB, body)

    async def _nothing_new_of(self, stage: Reference, attempt: int) -> None:
        """Before the Job of the attempt after: no watch has still to tell of this one's Job and pods."""
        job = Reference(Resource.JOB, stage.namespace, job_name(stage.name, attempt))
        known = self._cache.get(job.resource, job.namespace, job.name)
        if await self._read(job, gone_is_fine=True) and known is None:
            raise Overtaken(f"{job.name} is there still")
        await self._fresh_pods(job.namespace, job.name)

    async def _apply(self, target: Reference, status: Object, version: str | None) -> None:
        now = asyncio.get_running_loop().time()
        if target.resource is Resource.EXPERIMENT:
            wait = (
                self._status_written.get(target, -EXPERIMENT_STATUS_SECONDS) + EXPERIMENT_STATUS_SECONDS - now
            )
            if wait > 0:
                raise TooSoon(wait)
        if target.resource is Resource.STAGE:
            await self._last_words(target, status)
        try:
            self._take(target.resource, await self._writer().apply_status(target, status, version))
        except (Conflict, NotFound) as error:
            await self._refresh(target, error)
        if target.resource is Resource.EXPERIMENT:
            self._status_written[target] = now
            if len(self._status_written) > _PACED:
                recent = now - EXPERIMENT_STATUS_SECONDS
                self._status_written = {
                    at: when for at, when in self._status_written.items() if when > recent
                }

    async def _last_words(self, stage: Reference, status: Object) -> None:
        """Before an attempt ends without an output: its pods as they are, and not as a late watch has told."""
        known = mapping(self._cache.get(stage.resource, stage.namespace, stage.name), "status")
        if known.get("state") == _ACTIVE and status.get("state") not in {_ACTIVE, _SUCCEEDED}:
            number = count(mapping(known, "attempt").get("number"))
            await self._fresh_pods(stage.namespace, job_name(stage.name, number))

    async def _fresh_pods(self, namespace: str, job: str) -> None:
        news = [self._take(Resource.POD, pod) for pod in await self._api.pods_of_job(namespace, job)]
        if any(news):
            raise Overtaken(f"the pods of {job} had more to say")

    async def _spare(self, target: Reference) -> None:
        """Before a Job or pod is deleted: it is of no attempt that goes on, and no answer in it is overlooked."""
        known = self._cache.get(target.resource, target.namespace, target.name)
        labels = mapping(known, "metadata", "labels")
        if STAGE_LABEL in labels:
            name = text(labels[STAGE_LABEL])
            stage = await self._read(Reference(Resource.STAGE, target.namespace, name), gone_is_fine=True)
            status = mapping(stage, "status")
            current = str(mapping(status, "attempt").get("number")) == labels.get(ATTEMPT_LABEL)
            if status.get("state") == _ACTIVE and current:
                raise Overtaken(f"{target.name} is of the attempt that goes on")
        elif target.resource is Resource.JOB:
            await self._fresh_pods(target.namespace, target.name)

    async def _delete(self, target: Reference, propagation: Any) -> None:
        if target.resource in {Resource.JOB, Resource.POD}:
            await self._spare(target)
        try:
            left = await self._writer().delete(target, propagation)
        except (NotFound, Conflict):  # a conflict: the name is another's by now
            self._lose(target)
            return
        if "deletionTimestamp" in mapping(left, "metadata"):
            self._take(target.resource, left)
        else:
            self._lose(target)

    def _writer(self) -> Api:
        """The API server, for a write that is sent at once: reads before it may have taken any time."""
        if not self._may_write():
            raise Fenced("the Lease has not been renewed in time: nothing is written")
        return self._api

    async def _refresh(self, target: Reference, error: ApiError) -> None:
        """A write has found another version than the decision saw: read the object, and end the decision."""
        await self._read(target)
        raise Overtaken(str(error)) from None

    async def _read(self, target: Reference, *, gone_is_fine: bool = False) -> Object:
        """The object as it now is, which the cache then knows; empty where it is gone and that is fine."""
        try:
            found = await self._api.get(target.resource, target.namespace, target.name)
        except NotFound as error:
            self._lose(target)
            if gone_is_fine:
                return {}
            raise Overtaken(str(error)) from None
        self._take(target.resource, found)
        return found

    def _take(self, resource: Resource, obj: Object) -> bool:
        """Let the cache know; whether that was anything new."""
        change = self._cache.upsert(resource, obj)
        if change is not None:
            self._changed(change)
        return change is not None

    def _lose(self, target: Reference) -> None:
        known = self._cache.get(target.resource, target.namespace, target.name)
        if known is not None and target.uid in (None, known["metadata"]["uid"]):
            change = self._cache.delete(target.resource, known)
            if change is not None:
                self._changed(change)


def _similar(action: Action) -> tuple[object, ...]:
    """Equal for actions that do not wait for each other."""
    match action:
        case Create(resource, _):
            return (Create, resource)
        case ApplyStatus(target) | SetOwners(target) | Delete(target):
            return (type(action), target.resource)
        case _:
            return (action,) if not isinstance(action, Emit) else (Emit,)


def _reference(resource: Resource, body: Object) -> Reference:
    return Reference(resource, body["metadata"]["namespace"], body["metadata"]["name"])


def _controller(obj: Object) -> str | None:
    """The UID of the object's controller; None where it has none, as TransferStages."""
    owners = mappings(mapping(obj, "metadata").get("ownerReferences"))
    return next((str(owner.get("uid")) for owner in owners if owner.get("controller") is True), None)
