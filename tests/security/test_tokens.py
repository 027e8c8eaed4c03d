"""A token for the hub is used and told to nobody: not by a log, a result or an artifact, whatever the hub answers."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest

from hub import hub_server
from xstilts.stage import Family, HubSource, Kind, PrepareModelSpec, Result, Stage

pytestmark = pytest.mark.slow

CANARY = "hf_canary0000000000000000000000000000"
FILES = {
    "config.json": b'{"model_type": "bert"}',
    "model.safetensors": b"weights" * 1000,
    "tokenizer.json": b"{}",
}


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A hub that repeats in every error what it was sent, as a mirror may that is looked into for faults."""
    plain = hub_server._Handler._error

    def echoing(
        self: BaseHTTPRequestHandler,
        status: int,
        code: str,
        message: str,
        headers: dict[str, str] | None = None,
    ) -> None:
        said = self.headers.get("Authorization", "nothing")
        plain(self, status, code, f"{message} You have sent {said}.", headers)  # type: ignore[arg-type]

    found = hub_server._Handler._repository

    def failing(self: Any, kind: str, name: str) -> Any:
        if name == "group/broken":
            return self._error(400, "Broken", "The request is broken.")
        return found(self, kind, name)

    monkeypatch.setattr(hub_server._Handler, "_error", echoing)
    monkeypatch.setattr(hub_server._Handler, "_repository", failing)
    with hub_server.Hub() as server:
        yield server


def prepared(folder: Path, endpoint: str, repository: str) -> tuple[int, str, Result]:
    """Prepare a model as a pod does: the exit code, all that was written, and the result."""
    source = HubSource(repository=repository, revision=None)
    stage = Stage.of(
        Kind.PREPARE, PrepareModelSpec(source=source, family=Family.BERT, unpinned="unpinned:default/x")
    )
    (folder / "STAGE.json").write_bytes(stage.to_json())
    done = subprocess.run(
        [sys.executable, "-m", "xstilts_trainer", folder / "STAGE.json"],
        env={
            **os.environ,
            "HF_ENDPOINT": endpoint,
            "HF_TOKEN": CANARY,
            "HF_HOME": str(folder / "hf"),
            "HF_HUB_ETAG_TIMEOUT": "2",
            "HOME": str(folder),
            "XSTILTS_STORE": str(folder / "store"),
            "XSTILTS_RESULT": str(folder / "result.json"),
            "OMP_NUM_THREADS": "1",
        },
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    result = Result.model_validate_json((folder / "result.json").read_bytes())
    return done.returncode, done.stdout + done.stderr, result


def holding(folder: Path, secret: str) -> list[str]:
    """The files that hold the secret, in their bytes or their names."""
    return [
        str(file)
        for file in folder.rglob("*")
        if secret in str(file) or (file.is_file() and secret.encode() in file.read_bytes())
    ]


def test_a_file_that_holds_a_secret_is_found(tmp_path: Path) -> None:
    (tmp_path / "plain").write_text("nothing")
    assert not holding(tmp_path, CANARY)
    (tmp_path / "log").write_text(f"Bearer {CANARY}.")
    assert holding(tmp_path, CANARY) == [str(tmp_path / "log")]


@pytest.mark.parametrize(
    ("repository", "code"),
    [("group/gated", 0), ("group/other", 64), ("group/none", 64), ("group/pickle", 64), ("group/broken", 1)],
)
def test_the_token_is_used_and_not_told(hub: Any, tmp_path: Path, repository: str, code: int) -> None:
    hub.models["group/gated"] = hub_server.Repository.of(FILES, gated_token=CANARY)
    hub.models["group/other"] = hub_server.Repository.of(FILES, gated_token="another")
    hub.models["group/pickle"] = hub_server.Repository.of({"pytorch_model.bin": b"x"}, gated_token=CANARY)
    ended, said, result = prepared(tmp_path, hub.url, repository)
    assert ended == code, said
    assert CANARY not in said
    assert CANARY not in result.model_dump_json()
    assert not holding(tmp_path, CANARY)
    if code:
        assert result.error is not None
        assert re.search(repository, json.dumps(result.model_dump(mode="json")))
