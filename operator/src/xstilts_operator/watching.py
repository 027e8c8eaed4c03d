"""kopf's part: it logs in, lists and watches, and passes on what it is told. Nothing is decided here.

Its change handlers are edge-triggered and its indices keep what was deleted while a watch began anew: neither is used. Nor
are its handlers of plain events: each object would have a task that runs them, and those took more of a processor than
the decisions themselves. What is used is below them, kopf's streams of events and the logins that those need.
"""

from __future__ import annotations

import asyncio
import logging
import signal
from collections.abc import Callable, Sequence
from typing import Any, Final

import kopf

# kopf exports its handlers only, and not the streams of events that they are fed by.
from kopf._cogs.clients.errors import APIForbiddenError, APINotFoundError
from kopf._cogs.clients.watching import Bookmark, infinite_watch
from kopf._cogs.structs.references import NamespaceName
from kopf._cogs.structs.references import Resource as KopfResource

from xstilts_operator.actions import Object, Resource
from xstilts_operator.api import KINDS
from xstilts_operator.client import LABELLED, PAGE_SIZE, REQUEST_SECONDS, SELECTOR

WATCH_SECONDS: Final = (
    25  # of one request: the server ends it with a bookmark, so that the next goes on there
)
SILENCE_SECONDS: Final = 35.0  # after which a connection is dead: the server would have ended the request
BEGIN_AGAIN_SECONDS: Final = 2.0
ABSENT_SECONDS: Final = 60.0  # after which a kind that the API server does not know is asked for again
FORBIDDEN_SECONDS: Final = 10.0  # an API server that has just begun may not know of any right yet

Told = Callable[[Resource, str | None, Object], None]

logger = logging.getLogger(__name__)


async def watch(
    resources: Sequence[Resource], namespaces: Sequence[str], told: Told, stop: asyncio.Event
) -> None:
    """Watch until `stop`.

    kopf gives up on an answer that it does not expect, such as those of an API server that is just starting. What we
    know and decide does not depend on it: it begins again.

    Args:
        resources: the kinds of objects.
        namespaces: where; () stands for the whole cluster.
        told: hears of every event: the kind, ADDED, MODIFIED, DELETED, or None in a watch's first list, and the object.
        stop: ends it, and is set by SIGTERM and SIGINT.
    """
    while True:
        try:
            await _until_kopf_ends(resources, namespaces, told, stop)
        except Exception:  # whatever it is, the watches are to go on
            logger.exception("the watches have failed and begin again in %.0f s", BEGIN_AGAIN_SECONDS)
        if stop.is_set():
            return
        await asyncio.sleep(BEGIN_AGAIN_SECONDS)


def stop_on_signals(stop: asyncio.Event) -> None:
    """Have SIGTERM and SIGINT set `stop`, and do nothing else."""
    for each in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(each, stop.set)


async def _until_kopf_ends(
    resources: Sequence[Resource], namespaces: Sequence[str], told: Told, stop: asyncio.Event
) -> None:
    """Run kopf's tasks until one of them ends, or `stop`; its error is raised.

    `kopf.operator` would at its end cancel every task of the event loop that is younger than itself, ours too.
    """
    chosen = settings(resources)
    tasks = await kopf.spawn_tasks(
        registry=_logins(),
        settings=chosen,
        standalone=True,
        clusterwide=not namespaces,
        namespaces=namespaces,
        _command=_streams(resources, namespaces, told, chosen),  # in the place of what calls handlers
    )
    stop_on_signals(stop)  # it has just set its own
    stopping = asyncio.get_running_loop().create_task(stop.wait())
    try:
        await asyncio.wait({*tasks, stopping}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in (*tasks, stopping):
            task.cancel()
        outcomes = await asyncio.gather(*tasks, stopping, return_exceptions=True)
    for outcome in outcomes:
        if isinstance(outcome, Exception):
            raise outcome


def _logins() -> kopf.OperatorRegistry:
    """Kopf's registry: who logs in, at first and whenever the API server wants it anew."""
    registry = kopf.OperatorRegistry()

    @kopf.on.login(registry=registry)
    def login(**arguments: Any) -> kopf.ConnectionInfo | None:
        return kopf.login_with_service_account(**arguments) or kopf.login_with_kubeconfig(**arguments)

    return registry


async def _streams(
    resources: Sequence[Resource], namespaces: Sequence[str], told: Told, chosen: kopf.OperatorSettings
) -> None:
    """Pass on what all watches tell; one that fails ends all."""
    async with asyncio.TaskGroup() as group:
        for resource in resources:
            for namespace in namespaces or (None,):
                group.create_task(_stream(resource, namespace, told, chosen))


async def _stream(
    resource: Resource, namespace: str | None, told: Told, chosen: kopf.OperatorSettings
) -> None:
    group, version = _group_and_version(resource)
    named = KopfResource(group, version, KINDS[resource].plural, namespaced=True)
    where = None if namespace is None else NamespaceName(namespace)
    while True:
        try:
            async for event in infinite_watch(settings=chosen, resource=named, namespace=where):
                if not isinstance(event, Bookmark) and event["type"] != "BOOKMARK":
                    _pass_on(told, resource, event["type"], event["object"])
        except APINotFoundError:  # Kueue is not there, or not yet
            await asyncio.sleep(ABSENT_SECONDS)
        except (
            APIForbiddenError
        ) as error:  # a namespace that was deleted with its Role: all others are watched
            logger.warning(
                "%s of %s may not be watched: %s", resource.value, namespace or "the cluster", error.message
            )
            await asyncio.sleep(FORBIDDEN_SECONDS)


def _pass_on(told: Told, resource: Resource, kind: str | None, obj: Object) -> None:
    try:
        told(resource, kind, obj)
    except Exception:  # an object past all that was foreseen is no reason to hear of no other
        logger.exception("an event of a %s could not be taken in", resource.value)


def settings(resources: Sequence[Resource]) -> kopf.OperatorSettings:
    """Kopf's settings: no Events, no peering, nothing remembered, and label selectors that the API server applies."""
    chosen = kopf.OperatorSettings()
    chosen.process.ultimate_exiting_timeout = None  # it would count from every new beginning
    chosen.posting.enabled = False
    chosen.scanning.disabled = True  # no right to list CRDs and namespaces is asked for
    chosen.execution.max_workers = 1  # for the login
    chosen.watching.server_timeout = WATCH_SECONDS
    chosen.watching.inactivity_timeout = SILENCE_SECONDS
    chosen.watching.connect_timeout = 10.0
    chosen.watching.chunk_size = PAGE_SIZE
    chosen.networking.request_timeout = REQUEST_SECONDS
    chosen.networking.error_backoffs = (1, 1, 2, 3, 5)
    for resource in LABELLED.intersection(resources):
        group, version = _group_and_version(resource)
        chosen.watching.label_selectors[group, version, KINDS[resource].plural] = SELECTOR
    return chosen


def _group_and_version(resource: Resource) -> tuple[str, str]:
    group, _, version = KINDS[resource].api_version.rpartition("/")
    return group, version
