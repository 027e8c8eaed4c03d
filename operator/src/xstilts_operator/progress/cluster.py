"""What the progress server asks of the API server: its keys, a stage's status, and the bundle in each namespace."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Sequence
from datetime import datetime
from typing import Final

from xstilts_operator.actions import Resource
from xstilts_operator.api import KINDS, ApiError, Caller, NotFound
from xstilts_operator.cache import Cache
from xstilts_operator.names import API_VERSION, MANAGED_BY, PROGRESS_MANAGER
from xstilts_operator.progress.protocol import CA_CONFIG_MAP, CA_KEY, path
from xstilts_operator.progress.tls import bundle
from xstilts_operator.progress.tokens import KeysUnavailableError, Published, current_attempt
from xstilts_operator.progress.writes import Write
from xstilts_operator.tolerant import mapping

_APPLY: Final = "application/apply-patch+yaml"
_QUERY: Final = {"fieldManager": PROGRESS_MANAGER, "force": "true"}

logger = logging.getLogger(__name__)


async def read_published(api: Caller) -> Published:
    """The API server's issuer and keys.

    Raises:
        KeysUnavailableError: it did not say them.
        TokenError: what it said is not what it must be.
    """
    try:
        configuration = await api.call("get", "openid", "GET", "/.well-known/openid-configuration")
        keys = await api.call("get", "openid", "GET", "/openid/v1/jwks")
    except ApiError as error:
        raise KeysUnavailableError(str(error)) from error
    return Published.parse(configuration, keys)


async def write_progress(
    api: Caller, cache: Cache, write: Write, clock: Callable[[], datetime], seen: Callable[[str], None]
) -> None:
    """Put a report into its stage's status, unless its attempt is over by now.

    `seen` is told what became of it: written, outdated or failed. A failed one is not tried again: the next report is
    newer.
    """
    namespace, name = write.stage
    stage = cache.get(Resource.STAGE, namespace, name)
    reporter = write.reporter
    if (
        stage is None
        or stage["metadata"]["uid"] != reporter.uid
        or current_attempt(stage) != reporter.attempt
    ):
        seen("outdated")
        return
    body = {
        "apiVersion": API_VERSION,
        "kind": Resource.STAGE.value,
        "metadata": {"namespace": namespace, "name": name, "uid": reporter.uid},
        "status": {"progress": {"attempt": int(reporter.attempt), **write.report.status(clock())}},
    }
    try:
        await api.call(
            "apply",
            KINDS[Resource.STAGE].plural,
            "PATCH",
            path(namespace, name),
            _QUERY,
            body=body,
            content=_APPLY,
        )
    except ApiError as error:
        logger.info("the progress of %s/%s could not be written: %s", namespace, name, error)
        seen("failed")
        return
    seen("written")


class Bundles:
    """The public certificates in the ConfigMap of each namespace that is served."""

    def __init__(self, api: Caller) -> None:
        self._api = api
        self._published: dict[str, tuple[str, ...]] = {}  # namespace -> our own certificates in it

    def missing(self, namespaces: Collection[str], own: Sequence[str]) -> list[str]:
        """The namespaces in which these certificates of ours have not been published yet."""
        return [namespace for namespace in namespaces if self._published.get(namespace) != tuple(own)]

    async def publish(self, namespace: str, own: Sequence[str], now: datetime) -> None:
        """Put our certificates beside those that are there, if they are not there yet.

        Raises:
            ApiError: it is not known whether they are there.
        """
        collection = f"/api/v1/namespaces/{namespace}/configmaps"
        try:
            there = await self._api.call("get", "configmaps", "GET", f"{collection}/{CA_CONFIG_MAP}")
        except NotFound:
            there = {}
        before = str(mapping(there, "data").get(CA_KEY, ""))
        if not all(pem in before for pem in own):  # another operator may have put ours behind its own
            body = {
                "apiVersion": "v1",
                "kind": "ConfigMap",
                "metadata": {
                    "namespace": namespace,
                    "name": CA_CONFIG_MAP,
                    "labels": {MANAGED_BY: PROGRESS_MANAGER},
                },
                "data": {CA_KEY: bundle(own, before, now)},
            }
            await self._api.call(
                "apply",
                "configmaps",
                "PATCH",
                f"{collection}/{CA_CONFIG_MAP}",
                _QUERY,
                body=body,
                content=_APPLY,
            )
        self._published[namespace] = tuple(own)
