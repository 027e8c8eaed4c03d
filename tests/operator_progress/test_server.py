"""The server over real TLS: what each kind of request is answered, and what reaches the stage's status."""

from __future__ import annotations

import http.client
import json
import ssl
import urllib.error
import urllib.request
from typing import Any

import pytest

from operator_progress import issuing
from operator_progress.issuing import NAMESPACE, STAGE, STAGE_UID, Signer, bound_to, claims
from operator_progress.serving import Serving
from xstilts_operator.actions import Resource
from xstilts_operator.progress.protocol import BODY_LIMIT, CA_KEY, url
from xstilts_operator.progress.server import STAGE_BURST, Allowance

pytestmark = pytest.mark.slow

REPORT = {
    "trainerStatus": {
        "progressPercentage": 12,
        "estimatedRemainingSeconds": 345,
        "metrics": [{"name": "loss", "value": "0.6931"}],
        "lastUpdatedTime": "2026-11-24T12:00:00.5+00:00",
    }
}
Answer = tuple[int, dict[str, Any], http.client.HTTPMessage]


def post(
    serving: Serving, body: bytes | Any = REPORT, *, token: str | None = None, to: str | None = None
) -> Answer:
    """Post as a strict client; returns the HTTP status, the JSON and the headers."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    bearer = serving.token.read_text().strip() if token is None else token
    request = urllib.request.Request(  # noqa: S310 - https
        to or serving.url, data, {"Authorization": f"Bearer {bearer}", "Content-Type": "application/json"}
    )
    context = ssl.create_default_context(cafile=str(serving.ca))
    context.verify_flags |= ssl.VERIFY_X509_STRICT  # the default from Python 3.13 on
    try:
        with urllib.request.urlopen(request, timeout=20, context=context) as answer:  # noqa: S310 - https
            return answer.status, json.load(answer), answer.headers
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.load(error), error.headers


def refused(answer: Answer, code: int, reason: str) -> str:
    """Check that it is a Kubernetes Status object; returns its message."""
    status, body, headers = answer
    assert headers.get_content_type() == "application/json"
    message = body.pop("message")
    assert message
    assert (status, body) == (
        code,
        {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "reason": reason,
            "code": code,
        },
    )
    return message


def test_a_report_becomes_the_stages_progress(serving: Serving) -> None:
    status, echoed, _ = post(serving)
    assert (status, echoed) == (200, REPORT)
    serving.wait_for(lambda: serving.api.progress)
    ((path, body, query),) = serving.api.progress
    assert path == f"/apis/xstilts.dev/v1alpha1/namespaces/{NAMESPACE}/transferstages/{STAGE}/status"
    assert query == {"fieldManager": "xstilts-progress", "force": "true"}
    assert body == {
        "apiVersion": "xstilts.dev/v1alpha1",
        "kind": "TransferStage",
        "metadata": {"namespace": NAMESPACE, "name": STAGE, "uid": STAGE_UID},
        "status": {
            "progress": {
                "attempt": 1,
                "percent": 12,
                "estimatedRemainingSeconds": 345,
                "metrics": [{"name": "loss", "value": "0.6931"}],
                "lastUpdatedTime": "2026-11-24T12:00:00Z",
            }
        },
    }
    assert serving.counts.answers == {200: 1}
    serving.wait_for(lambda: serving.counts.writes == {"written": 1})


def test_nothing_to_report_is_fine_and_writes_nothing(serving: Serving) -> None:
    assert post(serving, {})[0] == 200
    assert not serving.api.progress
    assert serving.counts.pending() == 0


def test_bad_tokens(serving: Serving, signer: Signer) -> None:
    none = issuing.encoded(b'{"alg":"none"}') + "." + signer.sign(claims()).split(".")[1] + "."
    for token in (
        "",
        "junk",
        none,
        signer.sign(claims(exp=1_700_000_000)),
        signer.sign(claims(aud=["https://kubernetes.default.svc"])),
        Signer("unknown").sign(claims()),
    ):
        answer = post(serving, token=token)
        refused(answer, 401, "Unauthorized")
        assert answer[2]["WWW-Authenticate"] == "Bearer"
    refused(post(serving, token=signer.sign(claims(**bound_to(uid="another")))), 403, "Forbidden")
    refused(post(serving, token=signer.sign(claims(**{"kubernetes.io": {}}))), 403, "Forbidden")
    assert not serving.api.progress


def test_another_stages_address(serving: Serving, signer: Signer) -> None:
    other = url(serving.address, NAMESPACE, "train-other")
    refused(post(serving, to=other), 401, "Unauthorized")  # the token is for its own stage
    forged = signer.sign(
        claims(aud=["xstilts.dev/v1alpha1/namespaces/research/transferstages/train-other/status"])
    )
    refused(post(serving, to=other, token=forged), 403, "Forbidden")  # and so is the pod


def test_a_stage_that_is_gone(serving: Serving) -> None:
    serving.cache.delete(Resource.STAGE, issuing.stage())
    assert STAGE in refused(post(serving), 404, "NotFound")


def test_other_addresses_and_methods(serving: Serving) -> None:
    refused(post(serving, to=f"{serving.address}/"), 404, "NotFound")
    refused(post(serving, to=serving.url.removesuffix("/status")), 404, "NotFound")
    context = ssl.create_default_context(cafile=str(serving.ca))
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(serving.url, timeout=20, context=context)  # noqa: S310 - https
    with caught.value:
        assert caught.value.code == 405


def test_bodies(serving: Serving) -> None:
    for body in (b"junk", b"[]", {"trainerStatus": {}}, b"[" * 20_000):
        refused(post(serving, body), 422, "Invalid")
    message = refused(
        post(serving, {"trainerStatus": {**REPORT["trainerStatus"], "progressPercentage": 101}}),
        422,
        "Invalid",
    )
    assert "progressPercentage" in message
    padding = BODY_LIMIT - len(json.dumps({**REPORT, "padding": ""}))
    assert post(serving, {**REPORT, "padding": "x" * padding})[0] == 200
    refused(post(serving, {**REPORT, "padding": "x" * (padding + 1)}), 413, "RequestEntityTooLarge")


def test_a_body_that_does_not_say_its_length(serving: Serving) -> None:
    context = ssl.create_default_context(cafile=str(serving.ca))
    connection = http.client.HTTPSConnection(
        "127.0.0.1", int(serving.address.rsplit(":")[-1]), context=context
    )
    headers = {"Authorization": f"Bearer {serving.token.read_text().strip()}"}
    path = serving.url.removeprefix(serving.address)
    connection.request("POST", path, iter([b"x" * 40_000] * 2), headers, encode_chunked=True)
    answer = connection.getresponse()
    assert answer.status == 413
    assert json.load(answer)["reason"] == "RequestEntityTooLarge"
    connection.close()


def test_a_stage_that_reports_all_the_time_is_told_to_wait(serving: Serving) -> None:
    answers = [post(serving) for _ in range(STAGE_BURST + 5)]
    assert [code for code, *_ in answers][:STAGE_BURST] == [200] * STAGE_BURST
    late = next(answer for answer in answers if answer[0] != 200)
    assert int(late[2]["Retry-After"]) >= 1
    refused(late, 429, "TooManyRequests")


def test_an_allowance_comes_back() -> None:
    allowance = Allowance(burst=3, seconds=2.0)
    key, other = ("research", "a"), ("research", "b")
    assert [allowance.take(key, 100.0) for _ in range(4)] == [0, 0, 0, 2.0]
    assert allowance.take(other, 100.0) == 0
    assert allowance.take(key, 101.0) == 1.0
    assert allowance.take(key, 102.0) == 0
    assert allowance.take(key, 102.0) == 2.0
    assert [allowance.take(key, 1_000.0) for _ in range(4)] == [0, 0, 0, 2.0]


def test_a_stage_that_ends_meanwhile_is_not_written(serving: Serving) -> None:
    post(serving)
    serving.wait_for(lambda: serving.counts.writes["written"] == 1)
    post(serving, {"trainerStatus": {**REPORT["trainerStatus"], "progressPercentage": 99}})
    assert serving.counts.pending() == 1  # its minute is not over
    serving.cache.upsert(Resource.STAGE, issuing.stage(attempt=2, version=2))
    serving.cache.upsert(Resource.POD, issuing.pod("next-pod", "next-uid", attempt=2))
    refused(post(serving), 403, "Forbidden")  # the old attempt's pod
    assert len(serving.api.progress) == 1


def test_a_write_that_fails_does_no_harm(serving: Serving) -> None:
    serving.api.failing.add("/status")
    assert post(serving)[0] == 200
    serving.wait_for(lambda: serving.counts.writes == {"failed": 1})
    serving.api.failing.clear()
    assert post(serving, {"trainerStatus": {**REPORT["trainerStatus"], "progressPercentage": 100}})[0] == 200
    serving.wait_for(lambda: serving.counts.writes == {"failed": 1, "written": 1})


def test_who_does_not_trust_the_bundle_is_not_served(serving: Serving) -> None:
    with pytest.raises(urllib.error.URLError, match="CERTIFICATE_VERIFY_FAILED"):
        urllib.request.urlopen(serving.url, timeout=20, context=ssl.create_default_context())  # noqa: S310 - https


def test_every_namespace_with_an_experiment_gets_the_bundle(serving: Serving) -> None:
    own = serving.ca.read_text()
    assert list(serving.api.config_maps) == [f"/api/v1/namespaces/{NAMESPACE}/configmaps/xstilts-ca"]
    path = "/api/v1/namespaces/second/configmaps/xstilts-ca"
    serving.cache.upsert(Resource.EXPERIMENT, issuing.experiment("second"))
    serving.wait_for(lambda: path in serving.api.config_maps)
    assert serving.api.config_maps[path]["data"][CA_KEY] == own
    assert serving.api.config_maps[path]["metadata"]["labels"] == {
        "app.kubernetes.io/managed-by": "xstilts-progress"
    }
