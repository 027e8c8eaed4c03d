"""Who reports: the pod that a bearer token was made for, and whether it is a pod of the stage.

Tokens are verified here, against the keys that the API server publishes: a TokenReview for each report would be a
cluster-wide permission, and thousands of calls a second on a large cluster.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from xstilts_operator.actions import Object, Resource
from xstilts_operator.cache import Cache
from xstilts_operator.names import ATTEMPT_LABEL, STAGE_LABEL
from xstilts_operator.progress.jwt import Jwt, PublicKey, TokenError, parse, public_keys, verify
from xstilts_operator.progress.protocol import audience
from xstilts_operator.progress.refusal import RefusedError
from xstilts_operator.tolerant import integer

_LEEWAY_SECONDS: Final = 60  # between clocks, as the API server allows itself
_KEYS_SECONDS: Final = 3600.0  # the API server lets its keys be kept for as long
_REFRESH_SECONDS: Final = 10.0  # between two tries, whatever tokens come


class KeysUnavailableError(Exception):
    """The API server did not say its keys."""


@dataclass(frozen=True)
class Published:
    """What the API server publishes of itself: the issuer of its tokens and the keys that it signs them with."""

    issuer: str
    keys: Mapping[str, PublicKey]

    @classmethod
    def parse(cls, configuration: object, key_set: object) -> Published:
        """From the JSON of /.well-known/openid-configuration and /openid/v1/jwks.

        Raises:
            TokenError: one of them is not what it must be.
        """
        issuer = configuration.get("issuer") if isinstance(configuration, Mapping) else None
        if not isinstance(issuer, str) or not issuer:
            raise TokenError("the API server's OpenID configuration must name its issuer")
        return cls(issuer, public_keys(key_set))


class Issuer:
    """The API server's published keys, kept for an hour and read again for a key id that is not among them.

    `fetch` reads them; it raises KeysUnavailableError or TokenError.
    """

    def __init__(
        self, fetch: Callable[[], Awaitable[Published]], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._fetch = fetch
        self._clock = clock
        self._published: Published | None = None
        self._read = 0.0
        self._tried: float | None = None
        self._lock = asyncio.Lock()

    async def published(self, key_id: str) -> Published:
        """What is published, with the key of this id if the API server has it.

        Raises:
            KeysUnavailableError: nothing could be read so far.
        """
        if not self._is_fresh(key_id):
            async with self._lock:
                if not self._is_fresh(key_id) and self._may_try():
                    await self._refresh()
        if self._published is None:
            raise KeysUnavailableError("the API server's keys could not be read")
        return self._published

    def _is_fresh(self, key_id: str) -> bool:
        published = self._published
        return (
            published is not None and key_id in published.keys and self._clock() - self._read < _KEYS_SECONDS
        )

    def _may_try(self) -> bool:
        return self._tried is None or self._clock() - self._tried >= _REFRESH_SECONDS

    async def _refresh(self) -> None:
        self._tried = self._clock()
        try:
            self._published = await self._fetch()
        except (KeysUnavailableError, TokenError):
            return  # what was read before stays good: a token's signature does not age
        self._read = self._clock()


@dataclass(frozen=True)
class Bearer:
    """The pod that a token was made for."""

    namespace: str
    pod: str
    uid: str


async def bearer_of(
    authorization: str | None, issuer: Issuer, namespace: str, stage: str, now: datetime
) -> Bearer:
    """The pod behind an Authorization header, of a token that was made for reports of this one stage.

    Raises:
        RefusedError: 401 for a token that is none, is not the API server's, has expired or is for something else; 403 for
            one that is bound to no pod; 503 while the keys cannot be read.
    """
    scheme, _, credentials = (authorization or "").partition(" ")
    if scheme.lower() != "bearer" or not credentials.strip():
        raise RefusedError(401, "the Authorization header must be: Bearer TOKEN")
    try:
        token = parse(credentials.strip())
        published = await issuer.published(token.key_id)
        _check(token, published, audience(namespace, stage), now)
    except TokenError as error:
        raise RefusedError(401, f"the bearer token is not valid: it {error}") from None
    except KeysUnavailableError as error:
        raise RefusedError(503, str(error), retry_after=int(_REFRESH_SECONDS)) from None
    return _bound_pod(token.claims)


def _check(token: Jwt, published: Published, wanted: str, now: datetime) -> None:
    """Check signature, issuer, times and audience.

    Raises:
        TokenError: the first that does not hold.
    """
    key = published.keys.get(token.key_id)
    if key is None:
        raise TokenError("must be signed with a key that the API server publishes")
    verify(token, key)
    claims = token.claims
    if claims.get("iss") != published.issuer:
        raise TokenError(f"must be issued by {published.issuer}")
    if _seconds(claims, "exp") < now.timestamp() - _LEEWAY_SECONDS:
        raise TokenError("must not have expired: read the token's file again")
    if "nbf" in claims and _seconds(claims, "nbf") > now.timestamp() + _LEEWAY_SECONDS:
        raise TokenError("must be valid already")
    audiences = claims.get("aud")
    if wanted not in (audiences if isinstance(audiences, list) else [audiences]):
        raise TokenError(f"must be made for the audience {wanted}")


def _seconds(claims: Mapping[str, Any], name: str) -> float:
    value = claims.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TokenError(f"must have the time {name}")
    return value


def _bound_pod(claims: Mapping[str, Any]) -> Bearer:
    bound = claims.get("kubernetes.io")
    pod = bound.get("pod") if isinstance(bound, Mapping) else None
    if not isinstance(bound, Mapping) or not isinstance(pod, Mapping):
        raise RefusedError(403, "the bearer token must be bound to a pod")
    return Bearer(str(bound.get("namespace")), str(pod.get("name")), str(pod.get("uid")))


@dataclass(frozen=True)
class Reporter:
    """A stage whose pod may report, and the attempt that the pod is of."""

    namespace: str
    stage: str
    uid: str  # of the TransferStage
    attempt: str


def reporter_of(bearer: Bearer, namespace: str, stage: str, cache: Cache) -> Reporter:
    """The stage that the pod reports for, if it is a pod of the stage's current attempt.

    Raises:
        RefusedError: 403 for a pod that is none of the stage's; 404 for a stage that is not there.
    """
    pod = cache.get(Resource.POD, bearer.namespace, bearer.pod)
    if pod is None or pod["metadata"]["uid"] != bearer.uid or bearer.namespace != namespace:
        raise RefusedError(403, f"the token's pod {bearer.pod} must be a pod of this stage that is there")
    labels = pod["metadata"].get("labels") or {}
    if labels.get(STAGE_LABEL) != stage:
        raise RefusedError(403, f"the token's pod {bearer.pod} must be a pod of this stage")
    found = cache.get(Resource.STAGE, namespace, stage)
    if found is None:
        raise RefusedError(404, f'transferstages.xstilts.dev "{stage}" not found')
    attempt = str(labels.get(ATTEMPT_LABEL))
    if attempt != current_attempt(found):
        raise RefusedError(403, f"the token's pod {bearer.pod} is of attempt {attempt}, which is over")
    return Reporter(namespace, stage, found["metadata"]["uid"], attempt)


def current_attempt(stage: Object) -> str | None:
    """The number of the attempt that is running, as labels have it."""
    status = stage.get("status")
    attempt = status.get("attempt") if isinstance(status, Mapping) else None
    if not isinstance(status, Mapping) or status.get("state") != "Active" or not isinstance(attempt, Mapping):
        return None
    number = integer(attempt.get("number"))
    return None if number is None else str(number)
