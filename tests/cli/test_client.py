"""The client of the API server, where the server is not well: against an HTTP server that answers as it does."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from controlplane.cluster import write_kubeconfig
from xstilts.cluster.client import Client
from xstilts.errors import UnavailableError

PATH = "/apis/xstilts.dev/v1alpha1/namespaces/team/transferexperiments"
BODY = {"metadata": {"name": "mine"}}
READY = {"kind": "Status", "message": "storage is (re)initializing", "code": 429}


@dataclass
class Busy:
    """A server that answers so many requests with 429 before it takes one."""

    client: Client
    refusals: int = 0
    answers: bool = True
    seen: list[tuple[str, str]] = field(default_factory=list)  # method, body


@pytest.fixture
def busy(tmp_path: Path) -> Iterator[Busy]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
            found.seen.append((self.command, body))
            if not found.answers:
                return
            refused = len(found.seen) <= found.refusals
            content = json.dumps(READY).encode() if refused else body.encode() or b"{}"
            self.send_response(429 if refused else 200)
            self.send_header("Content-Length", str(len(content)))
            if refused:
                self.send_header("Retry-After", "0")
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_PATCH = do_POST  # noqa: N815 - theirs

        def log_message(self, *_arguments: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_port}"
        file = write_kubeconfig(tmp_path / "kubeconfig", server=address, authority=b"", user={})
        found = Busy(Client.connect(str(file)))
        yield found
        server.shutdown()


@pytest.mark.parametrize("method", ["GET", "POST", "PATCH"])
def test_a_request_that_a_busy_server_has_refused_is_sent_again(busy: Busy, method: str) -> None:
    busy.refusals = 3
    body = None if method == "GET" else BODY
    assert busy.client.call(method, PATH, body) == (body or {})
    assert busy.seen == [(method, json.dumps(body) if body else "")] * 4


def test_a_server_that_stays_busy_is_told_of(busy: Busy) -> None:
    busy.refusals = 100
    with pytest.raises(UnavailableError, match=r"must be well, answered 429: storage is \(re\)initializing"):
        busy.client.call("POST", PATH, BODY)
    assert len(busy.seen) == 6


def test_what_was_not_answered_is_not_sent_again(busy: Busy) -> None:
    """It may have been done."""
    busy.answers = False
    with pytest.raises(UnavailableError, match="closed connection without response"):
        busy.client.call("POST", PATH, BODY)
    assert len(busy.seen) == 1
