"""A store in each kind of place: a folder, fsspec's memory, and S3 (moto's server, a process of its own)."""

from __future__ import annotations

import secrets
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import fsspec
import pytest
from s3fs import S3FileSystem

from xstilts.stage import Family, HubSource, Kind, PrepareModelSpec, Stage
from xstilts.store.artifacts import Store
from xstilts.store.location import backend_for
from xstilts.store.locks import LeaseTimes

HERE = Path(__file__).parent
QUICK = LeaseTimes(heartbeat=0.2, expiry=1.5, poll=0.05)


@dataclass(frozen=True)
class Place:
    """A root and ways to look at it, and to do damage, behind the store's back."""

    root: str

    def store(self, namespace: str = "default", times: LeaseTimes = QUICK) -> Store:
        return Store(backend_for(self.root, namespace, times))

    def files(self, folder: str = "") -> dict[str, bytes]:
        system, base = fsspec.url_to_fs(self.root, use_listings_cache=False)
        top = f"{base}/{folder}".rstrip("/") + "/"
        return {
            path.removeprefix(top): system.cat_file(path) for path in system.find(top) if path.startswith(top)
        }

    def write(self, path: str, content: bytes) -> None:
        system, base = fsspec.url_to_fs(self.root, **({} if "://" in self.root else {"auto_mkdir": True}))
        system.pipe_file(f"{base}/{path}", content)

    def delete(self, path: str) -> None:
        system, base = fsspec.url_to_fs(self.root)
        system.rm_file(f"{base}/{path}")

    def set_aside(self) -> dict[str, bytes]:
        return self.files("default/set-aside")


@pytest.fixture(scope="session")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a bucket; the environment says where its server is."""
    with s3_server(tmp_path_factory.mktemp("s3")):
        yield "s3://artifacts"


@contextmanager
def s3_server(folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A server with the bucket `artifacts`; the environment says where it is, to clients that are made inside."""
    port_file = folder / "port"
    server = subprocess.Popen(
        [sys.executable, HERE / "s3_server.py", port_file],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    with pytest.MonkeyPatch.context() as patch:
        try:
            while not port_file.exists():
                assert server.poll() is None, "the S3 server must start"
                time.sleep(0.05)
            patch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{port_file.read_text()}")
            patch.setenv("AWS_ACCESS_KEY_ID", "test")
            patch.setenv("AWS_SECRET_ACCESS_KEY", "test")
            patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
            patch.setenv("AWS_EC2_METADATA_DISABLED", "true")
            S3FileSystem.clear_instance_cache()  # of clients of another server, which may run beside this one
            fsspec.filesystem("s3").mkdir("artifacts")
            yield server
        finally:
            server.kill()
            server.wait()
            S3FileSystem.clear_instance_cache()


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture(params=["folder", "memory", pytest.param("s3", marks=pytest.mark.slow)])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    """Each kind of place in turn."""
    return make_place(request, request.param, tmp_path)


@pytest.fixture(params=["folder", pytest.param("s3", marks=pytest.mark.slow)])
def shared_place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    """The kinds of place that several processes can share."""
    return make_place(request, request.param, tmp_path)


def make_place(request: pytest.FixtureRequest, kind: str, tmp_path: Path) -> Place:
    token = secrets.token_hex(4)
    if kind == "folder":
        return Place(str(tmp_path / "store"))
    if kind == "memory":
        return Place(f"memory://{token}")
    return Place(f"{request.getfixturevalue('s3')}/{token}")


@pytest.fixture
def store(place: Place) -> Store:
    return place.store()


@pytest.fixture
def make_stage() -> Callable[[str], Stage]:
    return stage_of


@pytest.fixture
def stage() -> Stage:
    return stage_of("org/model")


def stage_of(repository: str) -> Stage:
    source = HubSource(repository=repository, revision="0" * 40)
    return Stage.of(Kind.PREPARE, PrepareModelSpec(source=source, family=Family.XLMR))
