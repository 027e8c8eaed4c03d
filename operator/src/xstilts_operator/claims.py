"""The volume claims of stores, read one by one when an experiment is looked at.

They are people's own, without our label, so no watch could be kept to them: a right to `get` the one that is named is all
that is asked for. Where that right is missing, nothing is known of claims, and that is in nobody's way.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Final
from urllib.parse import quote

from xstilts.spec import StoreUse
from xstilts_operator.actions import Resource
from xstilts_operator.api import Caller, NotFound, Refused
from xstilts_operator.cache import Cache
from xstilts_operator.memory import Memory
from xstilts_operator.routing import Key
from xstilts_operator.settings import Settings
from xstilts_operator.tolerant import mapping, text
from xstilts_operator.views import ClaimView, view_claim

GOOD_SECONDS: Final = 300.0  # for which a claim that pods can mount is taken to be as it was
BAD_SECONDS: Final = 10.0  # and another

logger = logging.getLogger(__name__)


class Claims:
    """What is known of the claims of the stores that experiments name."""

    def __init__(self, api: Caller, cache: Cache, settings: Settings) -> None:
        self._api = api
        self._cache = cache
        self._settings = settings
        self._known: Memory[tuple[float, ClaimView | None]] = Memory()  # until when, and what
        self._reading: dict[tuple[str, str], asyncio.Task[None]] = {}

    async def look(self, key: Key) -> None:
        """Before a decision about an experiment: read its store's claim, unless that was done a while ago.

        Raises:
            ApiError: the API server has not answered.
        """
        if key.resource is not Resource.EXPERIMENT:
            return
        obj = self._cache.get(key.resource, key.namespace, key.name)
        store = text(mapping(obj, "spec", "store").get("name")) or StoreUse().name
        claim = self._claim(key.namespace, store) if obj is not None else None
        if claim is None:
            return
        where = key.namespace, claim
        until, _ = self._known.get(where) or (0.0, None)
        if _now() < until:
            return
        if where not in self._reading:  # after a start all experiments of a namespace come at once
            self._reading[where] = asyncio.get_running_loop().create_task(self._read(*where))
            self._reading[where].add_done_callback(lambda _: self._reading.pop(where))
        await asyncio.shield(self._reading[where])

    def of(self, namespace: str, store: str) -> ClaimView | None:
        """The claim of a store as it was read last; None where it has none, or that is not known."""
        claim = self._claim(namespace, store)
        return (self._known.get((namespace, claim)) or (0.0, None))[1]

    def _claim(self, namespace: str, store: str) -> str | None:
        """The name of a store's claim; None where it has none, or the namespace may not use it."""
        found = self._settings.store(store, namespace)
        return found.claim if found is not None else None

    async def _read(self, namespace: str, name: str) -> None:
        path = f"/api/v1/namespaces/{quote(namespace, safe='')}/persistentvolumeclaims/{quote(name, safe='')}"
        claim: ClaimView | None
        try:
            claim = view_claim(await self._api.call("get", "persistentvolumeclaims", "GET", path))
        except NotFound:
            claim = ClaimView(there=False)
        except Refused as error:
            logger.warning("whether the claim %s/%s will do is not known: %s", namespace, name, error)
            claim = None
        seconds = BAD_SECONDS if claim is not None and not claim.mountable_by_many else GOOD_SECONDS
        self._known.put((namespace, name), (_now() + seconds, claim))


def _now() -> float:
    return asyncio.get_running_loop().time()
