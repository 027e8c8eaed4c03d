"""kopf's part: it logs in, lists and watches, and passes on what it is told. Nothing is decided here.

Its change handlers are edge-triggered and its indices keep what was deleted while a watch began anew: neither is used.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import kopf

# kopf takes the place where it remembers objects as an argument, but exports no base to write one.
from kopf._core.reactor.inventory import ResourceMemories, ResourceMemory

from xstilts_operator.actions import Object, Resource
from xstilts_operator.api import KINDS
from xstilts_operator.client import LABELLED, PAGE_SIZE, SELECTOR

WATCH_SECONDS: Final = (
    25  # of one request: the server ends it with a bookmark, so that the next goes on there
)
SILENCE_SECONDS: Final = 35.0  # after which a connection is dead: the server would have ended the request
BEGIN_AGAIN_SECONDS: Final = 2.0

Told = Callable[[Resource, str | None, Object], None]

logger = logging.getLogger(__name__)


async def watch(
    resources: Sequence[Resource], namespaces: Sequence[str], told: Told, stop: asyncio.Event
) -> None:
    """Watch until SIGTERM, SIGINT or `stop`.

    kopf gives up on an answer that it does not expect, such as those of an API server that is just starting. What we
    know and decide does not depend on it: it begins again.

    Args:
        resources: the kinds of objects.
        namespaces: where; () stands for the whole cluster.
        told: hears of every event: the kind, ADDED, MODIFIED, DELETED, or None in a watch's first list, and the object.
        stop: ends it.
    """
    while not stop.is_set():
        try:
            await kopf.operator(
                registry=handlers(resources, told),
                settings=settings(resources),
                memories=_Forgetful(),
                standalone=True,
                clusterwide=not namespaces,
                namespaces=namespaces,
                stop_flag=stop,
            )
        except Exception:  # whatever it is, the watches are to go on
            logger.exception("the watches have failed and begin again in %.0f s", BEGIN_AGAIN_SECONDS)
            await asyncio.sleep(BEGIN_AGAIN_SECONDS)
        else:
            return


def handlers(resources: Sequence[Resource], told: Told) -> kopf.OperatorRegistry:
    """Kopf's registry: who logs in, and one listener for each kind of object."""
    registry = kopf.OperatorRegistry()

    @kopf.on.login(registry=registry)
    def login(**arguments: Any) -> kopf.ConnectionInfo | None:
        return kopf.login_with_service_account(**arguments) or kopf.login_with_kubeconfig(**arguments)

    for resource in resources:
        _listen(registry, resource, told)
    return registry


def _listen(registry: kopf.OperatorRegistry, resource: Resource, told: Told) -> None:
    group, version = _group_and_version(resource)

    @kopf.on.event(group, version, KINDS[resource].plural, registry=registry, id=resource.value)
    async def listen(event: Mapping[str, Any], **_: Any) -> None:
        told(resource, event["type"], event["object"])


def settings(resources: Sequence[Resource]) -> kopf.OperatorSettings:
    """Kopf's settings: no Events, no peering, nothing remembered, and label selectors that the API server applies."""
    chosen = kopf.OperatorSettings()
    chosen.process.ultimate_exiting_timeout = None  # it would count from every new beginning
    chosen.posting.enabled = False
    chosen.scanning.disabled = True  # no right to list CRDs and namespaces is asked for
    chosen.queueing.idle_timeout = 0.5
    chosen.execution.max_workers = 1  # every handler is a coroutine but the login
    chosen.watching.server_timeout = WATCH_SECONDS
    chosen.watching.inactivity_timeout = SILENCE_SECONDS
    chosen.watching.connect_timeout = 10.0
    chosen.watching.chunk_size = PAGE_SIZE
    chosen.networking.error_backoffs = (1, 1, 2, 3, 5)
    chosen.persistence.diffbase_storage = _NoDiffs()
    for resource in LABELLED.intersection(resources):
        group, version = _group_and_version(resource)
        chosen.watching.label_selectors[group, version, KINDS[resource].plural] = SELECTOR
    return chosen


def _group_and_version(resource: Resource) -> tuple[str, str]:
    group, _, version = KINDS[resource].api_version.rpartition("/")
    return group, version


class _NoDiffs(kopf.DiffBaseStorage):
    """Nobody asks what has changed: saves two deep copies of every object of every event."""

    def build(self, **_: Any) -> Any:
        """Nothing of an object matters for a difference."""
        return {}

    def fetch(self, **_: Any) -> Any:
        """There is nothing to compare with."""
        return None

    def store(self, **_: Any) -> None:
        """Nothing is kept."""


class _Forgetful(ResourceMemories):
    """Nothing is kept of an object between two events: handlers that only listen need none of it."""

    async def recall(self, *arguments: Any, **options: Any) -> ResourceMemory:
        """A new memory, which nobody keeps."""
        return await super().recall(*arguments, **{**options, "ephemeral": True})
