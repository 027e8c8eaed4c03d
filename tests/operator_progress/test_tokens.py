"""Whose token is believed, and which pod may report for which stage."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime, timedelta

import pytest

from operator_progress import issuing
from operator_progress.issuing import (
    NAMESPACE,
    POD,
    POD_UID,
    STAGE,
    STAGE_UID,
    ApiServer,
    Signer,
    bound_to,
    claims,
)
from xstilts_operator.actions import Resource
from xstilts_operator.cache import Cache
from xstilts_operator.progress.cluster import read_published
from xstilts_operator.progress.jwt import TokenError, public_keys
from xstilts_operator.progress.protocol import audience
from xstilts_operator.progress.refusal import RefusedError
from xstilts_operator.progress.tokens import Bearer, Issuer, Published, Reporter, bearer_of, reporter_of


def bearer(token: str | None, api: ApiServer, now: datetime | None = None) -> Bearer:
    issuer = Issuer(lambda: read_published(api))
    header = None if token is None else f"Bearer {token}"
    return asyncio.run(bearer_of(header, issuer, NAMESPACE, STAGE, now or datetime.now(UTC)))


def refusal(token: str | None, api: ApiServer, now: datetime | None = None) -> RefusedError:
    with pytest.raises(RefusedError) as caught:
        bearer(token, api, now)
    return caught.value


@pytest.mark.parametrize("algorithm", ["RS256", "ES256", "ES384"])
def test_a_pod_is_known_by_its_token(algorithm: str) -> None:
    signer = Signer("key-2", algorithm)
    api = ApiServer([Signer("key-1"), signer])
    assert bearer(signer.sign(claims()), api) == Bearer(NAMESPACE, POD, POD_UID)
    assert bearer(signer.sign(claims(aud=audience(NAMESPACE, STAGE))), api).uid == POD_UID  # one, not a list


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"exp": 1_700_000_000}, "expired"),
        ({"exp": "tomorrow"}, "time exp"),
        ({"exp": True}, "time exp"),
        ({"exp": None}, "time exp"),
        ({"nbf": 4_000_000_000}, "valid already"),
        ({"iss": "https://another.cluster"}, "issued by"),
        ({"aud": ["https://kubernetes.default.svc"]}, "audience"),
        ({"aud": [audience(NAMESPACE, "train-another")]}, "audience"),
        ({"aud": [audience("another", STAGE)]}, "audience"),
        ({"aud": audience(NAMESPACE, STAGE) + "x"}, "audience"),
        ({"aud": None}, "audience"),
    ],
)
def test_claims_that_do_not_hold(signer: Signer, api_server: ApiServer, changes: dict, said: str) -> None:
    refused = refusal(signer.sign(claims(**changes)), api_server)
    assert refused.code == 401
    assert said in str(refused)


def test_clocks_may_differ_by_a_minute(signer: Signer, api_server: ApiServer) -> None:
    token = signer.sign(claims())
    begun = datetime.now(UTC)
    assert bearer(token, api_server, begun - timedelta(seconds=50))
    assert bearer(token, api_server, begun + timedelta(seconds=3650))
    assert refusal(token, api_server, begun - timedelta(seconds=70)).code == 401
    assert refusal(token, api_server, begun + timedelta(seconds=3670)).code == 401


def test_nobody_else_signs(signer: Signer, api_server: ApiServer) -> None:
    good = signer.sign(claims())
    head, body, signature = good.split(".")
    other_claims = issuing.encoded(json.dumps(claims(**bound_to(name="another"))).encode())
    none = issuing.encoded(json.dumps({"alg": "none", "kid": signer.key_id}).encode())
    hmac = issuing.encoded(json.dumps({"alg": "HS256", "kid": signer.key_id}).encode())
    for forged in (
        f"{head}.{other_claims}.{signature}",
        f"{none}.{body}.",
        f"{none}.{body}.{signature}",
        f"{hmac}.{body}.{signature}",
        f"{head}.{body}.",
        f"{head}.{body}.{signature[:-8]}",
        f"{head}.{body}",
        f"{good}.{signature}",
        f"{head}.{body}.{signature}!",
        Signer("key-1").sign(claims()),  # the id of a published key, and another key
        Signer("key-1", "ES256").sign(claims()),
        Signer("key-9").sign(claims()),  # an id that is not published
        signer.sign(claims(), alg="RS512"),
        signer.sign(claims(), crit=["exp"]),
        issuing.encoded(b"[" * 5000) + ".e30.e30",
        "e30.e30.e30",
        "junk",
    ):
        assert refusal(forged, api_server).code == 401, forged


@pytest.mark.parametrize("header", [None, "", "Bearer", "Bearer ", "Basic dXNlcjpwYXNz"])
def test_no_token_at_all(api_server: ApiServer, header: str | None) -> None:
    issuer = Issuer(lambda: read_published(api_server))
    with pytest.raises(RefusedError) as caught:
        asyncio.run(bearer_of(header, issuer, NAMESPACE, STAGE, datetime.now(UTC)))
    assert caught.value.code == 401
    assert caught.value.headers == {"WWW-Authenticate": "Bearer"}
    assert not api_server.asked


@pytest.mark.parametrize("bound", [{}, {"namespace": NAMESPACE}, {"pod": "x"}, None, "x"])
def test_a_token_of_no_pod(signer: Signer, api_server: ApiServer, bound: object) -> None:
    assert refusal(signer.sign(claims(**{"kubernetes.io": bound})), api_server).code == 403


# -- the published keys ----------------------------------------------------------------------------------------------


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


async def _known(issuer: Issuer, key_id: str) -> bool:
    return key_id in (await issuer.published(key_id)).keys


def test_keys_are_kept_and_read_again_for_a_new_one_but_not_for_every_stranger(signer: Signer) -> None:
    api, clock = ApiServer([signer]), Clock()
    issuer = Issuer(lambda: read_published(api), clock)

    async def scenario() -> None:
        assert all(await asyncio.gather(*(_known(issuer, "key-1") for _ in range(100))))
        assert len(api.asked) == 2  # the configuration and the keys, once for all
        clock.now = 20.0
        assert not any(await asyncio.gather(*(_known(issuer, "stranger") for _ in range(100))))
        assert len(api.asked) == 4
        api.signers.append(Signer("key-2"))
        assert not await _known(issuer, "key-2")  # ten seconds have not passed
        clock.now = 30.0
        assert await _known(issuer, "key-2")
        assert len(api.asked) == 6
        del api.signers[0]
        clock.now = 30.0 + 3600.0
        assert not await _known(issuer, "key-1")  # withdrawn: seen within an hour
        assert len(api.asked) == 8

    asyncio.run(scenario())


def test_an_api_server_that_does_not_answer(signer: Signer) -> None:
    api, clock = ApiServer([signer], failing={"jwks"}), Clock()
    issuer = Issuer(lambda: read_published(api), clock)
    token = f"Bearer {signer.sign(claims())}"

    async def scenario() -> None:
        for _ in range(10):
            with pytest.raises(RefusedError) as caught:
                await bearer_of(token, issuer, NAMESPACE, STAGE, datetime.now(UTC))
            assert caught.value.code == 503
            assert caught.value.headers == {"Retry-After": "10"}
        assert len(api.asked) == 2
        clock.now, api.failing = 10.0, set()
        assert await bearer_of(token, issuer, NAMESPACE, STAGE, datetime.now(UTC))
        clock.now, api.failing = 10_000.0, {"jwks"}
        assert await bearer_of(token, issuer, NAMESPACE, STAGE, datetime.now(UTC))  # what was read stays good

    asyncio.run(scenario())


def test_what_is_published_must_be_keys(signer: Signer) -> None:
    good = signer.published()
    assert set(public_keys({"keys": [good, {"kty": "OKP", "crv": "Ed25519", "kid": "new", "x": "AA"}]})) == {
        "key-1"
    }
    off_curve = {"kty": "EC", "crv": "P-256", "kid": "x", "x": "AQ", "y": "AQ"}
    for bad in (
        None,
        [],
        {},
        {"keys": {}},
        {"keys": [1]},
        {"keys": [{**good, "n": 3}]},
        {"keys": [off_curve]},
    ):
        with pytest.raises(TokenError):
            public_keys(bad)
    with pytest.raises(TokenError, match="issuer"):
        Published.parse({}, {"keys": [good]})


# -- the pod and the stage -------------------------------------------------------------------------------------------


@pytest.fixture
def cache() -> Cache:
    known = issuing.cache()
    known.upsert(Resource.STAGE, issuing.stage("train-other"))
    known.upsert(Resource.POD, issuing.pod("pod-of-other", "uid-other", "train-other"))
    known.upsert(Resource.POD, issuing.pod("pod-of-old", "uid-old", attempt=0))
    known.upsert(Resource.POD, issuing.pod("pod-of-gone", "uid-gone", "train-gone"))
    unlabelled = issuing.pod("pod-of-nothing", "uid-nothing")
    del unlabelled["metadata"]["labels"]
    known.upsert(Resource.POD, unlabelled)
    return known


def test_a_pod_of_the_stage_may_report(cache: Cache) -> None:
    reporter = reporter_of(Bearer(NAMESPACE, POD, POD_UID), NAMESPACE, STAGE, cache)
    assert reporter == Reporter(NAMESPACE, STAGE, STAGE_UID, "1")


@pytest.mark.parametrize(
    ("pod", "uid"),
    [
        (POD, "uid-of-its-predecessor"),
        ("pod-of-other", "uid-other"),
        ("pod-of-old", "uid-old"),
        ("pod-of-nothing", "uid-nothing"),
        ("pod-nobody-knows", POD_UID),
    ],
)
def test_no_other_pod_may(cache: Cache, pod: str, uid: str) -> None:
    with pytest.raises(RefusedError) as caught:
        reporter_of(Bearer(NAMESPACE, pod, uid), NAMESPACE, STAGE, cache)
    assert caught.value.code == 403
    with pytest.raises(RefusedError) as caught:
        reporter_of(Bearer("another", POD, POD_UID), NAMESPACE, STAGE, cache)
    assert caught.value.code == 403


def test_a_stage_that_is_gone_and_one_that_has_ended(cache: Cache) -> None:
    with pytest.raises(RefusedError) as caught:
        reporter_of(Bearer(NAMESPACE, "pod-of-gone", "uid-gone"), NAMESPACE, "train-gone", cache)
    assert caught.value.code == 404
    for ended in (issuing.stage(state="Succeeded", version=2), issuing.stage(version=3) | {"status": "junk"}):
        cache.upsert(Resource.STAGE, ended)
        with pytest.raises(RefusedError) as caught:
            reporter_of(Bearer(NAMESPACE, POD, POD_UID), NAMESPACE, STAGE, cache)
        assert caught.value.code == 403
