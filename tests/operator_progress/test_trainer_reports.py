"""The trainer's own reports, taken by the server; and that no server, however bad, slows or fails a stage."""

from __future__ import annotations

import socket
import threading
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest

from operator_progress.issuing import Signer, claims
from operator_progress.serving import Serving
from xstilts_operator.progress.tls import make_authority
from xstilts_trainer.progress import Progress, Reporter

pytestmark = pytest.mark.slow


def percents(serving: Serving) -> list[int]:
    return [body["status"]["progress"]["percent"] for _, body, _ in serving.api.progress]


def test_a_stage_is_seen_to_begin_and_to_end(serving: Serving) -> None:
    progress = Progress.from_environment(serving.environment)
    progress.update(0.0)
    serving.wait_for(lambda: percents(serving) == [0])
    progress.update(0.5, {"loss": 0.25})  # its half minute is not over: told to people at most
    progress.update(1.0, {"loss": 0.125})
    serving.wait_for(lambda: percents(serving) == [0, 100])
    _, body, _ = serving.api.progress[-1]
    assert body["status"]["progress"]["metrics"] == [{"name": "loss", "value": "0.1250"}]
    assert body["status"]["progress"]["estimatedRemainingSeconds"] == 0
    assert set(serving.counts.answers) == {200}


def test_the_token_is_read_each_time(serving: Serving, signer: Signer) -> None:
    reporter = Reporter(serving.url, serving.ca, serving.token, pytest.fail, seconds_between=0.05)
    reporter.tell(1, None, {})
    serving.wait_for(lambda: serving.counts.answers[200] == 1)
    serving.token.write_text(signer.sign(claims(jti="rotated")))
    reporter.tell(2, 60, {"loss": "0.5"})
    serving.wait_for(lambda: serving.counts.answers[200] == 2)
    notes: list[str] = []
    serving.token.write_text(signer.sign(claims(exp=1_700_000_000)))
    again = Reporter(serving.url, serving.ca, serving.token, notes.append, seconds_between=0.05)
    for percent in (3, 4):
        again.tell(percent, None, {})
        serving.wait_for(lambda answered=percent - 2: serving.counts.answers[401] == answered)
    assert notes == ["progress is not reported: HTTP Error 401: Unauthorized"]  # once


def test_the_bundle_is_read_each_time(serving: Serving) -> None:
    """An operator that was started again has another authority, and the file in the pod follows."""
    notes: list[str] = []
    current = serving.ca.read_text()
    serving.ca.write_text(make_authority(datetime.now(UTC)).pem)
    reporter = Reporter(serving.url, serving.ca, serving.token, notes.append, seconds_between=0.05)
    reporter.tell(1, None, {})
    serving.wait_for(lambda: notes)
    assert "CERTIFICATE_VERIFY_FAILED" in notes[0]
    assert not serving.counts.answers
    serving.ca.write_text(current)
    reporter.tell(2, None, {})
    serving.wait_for(lambda: serving.counts.answers[200] == 1)


def test_reports_are_few_and_the_newest(serving: Serving) -> None:
    reporter = Reporter(serving.url, serving.ca, serving.token, pytest.fail, seconds_between=1.0)
    begun = time.monotonic()
    for percent in range(100):
        reporter.tell(percent, None, {})
        time.sleep(0.02)
    taken = time.monotonic() - begun
    assert 1 <= serving.counts.answers.total() <= 2 + taken
    reporter.tell(100, 0, {})  # the end does not wait
    serving.wait_for(lambda: percents(serving)[-1:] == [100])


@pytest.mark.parametrize("trouble", ["nobody listens", "nobody answers", "no token", "no bundle"])
def test_a_server_in_trouble_costs_nothing(trouble: str, tmp_path: Path) -> None:
    token, ca = tmp_path / "token", tmp_path / "ca.crt"
    if trouble != "no token":
        token.write_text("x.y.z")
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        if trouble == "nobody answers":
            listener.listen()
        notes: list[str] = []
        noted = threading.Event()

        def note(text: str) -> None:
            notes.append(text)
            noted.set()

        reporter = Reporter(f"https://127.0.0.1:{listener.getsockname()[1]}/", ca, token, note)
        if trouble in {"nobody listens", "nobody answers"}:
            ca.touch()
        begun = time.thread_time()
        for percent in range(1_000):
            reporter.tell(percent // 10, None, {"loss": "0.5"})
        assert time.thread_time() - begun < 1.0  # of this thread's own time
        assert noted.wait(30)
    (said,) = notes
    assert said.startswith("progress is not reported: ")


def test_an_environment_that_is_not_whole(capfd: pytest.CaptureFixture[str]) -> None:
    notes: list[str] = []
    assert Reporter.from_environment({}, notes.append) is None
    assert not notes
    name = "KUBEFLOW_TRAINER_SERVER_"
    for url in ("http://10.0.0.1/", "https://10.0.0.1/"):
        environment = {f"{name}URL": url, f"{name}TOKEN": "" if "s:" in url else "x", f"{name}CA_CERT": "x"}
        assert Reporter.from_environment(environment, notes.append) is None
    assert len(notes) == 2
    Progress.from_environment({f"{name}URL": "http://10.0.0.1/"}).update(1.0)
    assert "must be https" in capfd.readouterr().err
