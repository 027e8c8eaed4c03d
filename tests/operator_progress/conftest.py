"""The progress server on loopback, and an API server that signs its pods' tokens."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from operator_progress import issuing
from operator_progress.issuing import ApiServer, Signer
from operator_progress.serving import Serving


@pytest.fixture(scope="session")
def signer() -> Signer:
    return Signer("key-1")


@pytest.fixture
def api_server(signer: Signer) -> ApiServer:
    return ApiServer([signer])


@pytest.fixture
def serving(api_server: ApiServer, signer: Signer, tmp_path: Path) -> Iterator[Serving]:
    """The progress server, and the files of a pod of the stage."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    with Serving(api_server, issuing.cache(), tmp_path, port) as running:
        running.token.write_text(signer.sign(issuing.claims()) + "\n")
        yield running
