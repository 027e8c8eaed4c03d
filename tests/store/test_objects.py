"""What is made of a service whose answers break off, and how much is held of what goes there."""

from __future__ import annotations

import gc
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import fsspec
import pytest

from xstilts.cluster.stores import Published, Reach, Stores, pod
from xstilts.errors import UnavailableError
from xstilts.plan.placement import in_bytes
from xstilts.store import Store
from xstilts.store.objects import Objects

CONTENT = bytes(range(100))
PART = 40


@dataclass
class Service:
    """Gives one object, whole or in ranges; of an answer that begins at one of `cuts` only the first bytes come, once each."""

    cuts: list[int] = field(default_factory=list)


@pytest.fixture
def service(monkeypatch) -> Iterator[Service]:
    service = Service()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: object) -> None:
            pass

        def do_GET(self) -> None:
            asked = self.headers.get("Range", "bytes=0-")
            start, _, end = asked.removeprefix("bytes=").partition("-")
            content = CONTENT[int(start) : int(end or len(CONTENT)) + 1]
            self.send_response(206 if "Range" in self.headers else 200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            if "Range" in self.headers and int(start) in service.cuts:
                service.cuts.remove(int(start))
                content, self.close_connection = content[:5], True
            self.wfile.write(content)

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{server.server_port}")
        yield service
        server.shutdown()


@pytest.fixture
def objects(service) -> Iterator[Objects]:
    files = fsspec.filesystem("s3", skip_instance_cache=True, default_block_size=PART)
    yield Objects(files, "bucket/prefix", "s3://bucket/prefix")
    gc.collect()  # now: s3fs leaves connections of the other parts


pytestmark = pytest.mark.filterwarnings("ignore:Exception ignored in:pytest.PytestUnraisableExceptionWarning")


def test_an_answer_that_breaks_off_is_asked_for_again(service, objects, tmp_path):
    service.cuts = [PART, 2 * PART]
    objects.download("large", tmp_path / "folder" / "large")
    assert (tmp_path / "folder" / "large").read_bytes() == CONTENT
    assert service.cuts == []


def test_answers_that_all_break_off_are_an_error_for_people(service, objects, tmp_path):
    service.cuts = [PART] * 20
    with pytest.raises(UnavailableError, match=r"must be reachable, s3://bucket/prefix is not: \w+"):
        objects.download("large", tmp_path / "large")
    assert len(service.cuts) == 17


@pytest.mark.slow
def test_what_is_held_of_a_large_upload_fits_into_the_pod_that_puts_inputs(s3):
    reached = Reach(Published(url=s3), Stores(image="image"))
    (container,) = pod(reached, "team", "put", ["sleep"], 60)["spec"]["containers"]
    client = Store.open(s3)._backend._objects._files
    held = 2 * client.max_concurrency * client.default_block_size  # measured: each part twice
    assert held < in_bytes(container["resources"]["limits"]["memory"]) / 2
