"""`put` and `fetch` of a cluster's store: the command, its pod and the websocket are real, API server and node are played.

The played one answers as a real one does where this asks it, and runs what is to run in the pod as a process of this
machine. tests/node has the same against a kubelet.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

import pytest
import yaml
from aiohttp import WSMsgType, web
from typer.testing import CliRunner

from xstilts.cli import app
from xstilts.store import Store

NAMESPACE = "team"
PODS = f"/api/v1/namespaces/{NAMESPACE}/pods"
PUBLISHED = {
    "image": "registry.example/operator:1",
    "pullPolicy": "Always",
    "pullSecrets": ["registry-key"],
    "user": 12345,
    "serviceAccount": "xstilts-stage",
    "scratch": "5Gi",
    "newer": "than this program",
    "stores": {"default": {"claim": "experiments"}, "bucket": {"url": "s3://bucket", "secret": "keys"}},
}
FILES = {"train.en.jsonl": b'{"a": 1}\n' * 50_000, "deep/größe": b"x"}
pytestmark = pytest.mark.timeout(180)


class PlayedCluster:
    """An API server with one node.

    Attributes:
        root: the folder that is every pod's claim.
        pods: by name, those that are there.
        made: all that were ever made.
        state: what a container is in; None: it runs.
        denied, keeps_pods: it refuses commands in pods, and their deletion.
        cuts: after so many messages of input the connection is lost.
        published: the ConfigMap; None: there is none.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.pods: dict[str, Any] = {}
        self.made: list[Any] = []
        self.state: dict[str, Any] | None = None
        self.cuts: int | None = None
        self.published: dict[str, Any] | None = PUBLISHED
        self.protocols: tuple[str, ...] = ("v5.channel.k8s.io", "v4.channel.k8s.io")
        self.denied = self.keeps_pods = False
        self.address = ""
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._serve, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._ready.wait(30)
        return self

    def __exit__(self, *_: object) -> None:
        asyncio.run_coroutine_threadsafe(self._runner.cleanup(), self._loop).result(30)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _serve(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_until_complete(self._start())
        self._ready.set()
        self._loop.run_forever()

    async def _start(self) -> None:
        application = web.Application()
        application.router.add_get(
            f"/api/v1/namespaces/{NAMESPACE}/configmaps/xstilts-stores", self._config_map
        )
        application.router.add_post(PODS, self._create)
        application.router.add_get(PODS + "/{name}", self._get)
        application.router.add_delete(PODS + "/{name}", self._delete)
        application.router.add_get(PODS + "/{name}/exec", self._exec)
        self._runner = web.AppRunner(application, shutdown_timeout=1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.address = f"http://127.0.0.1:{self._runner.addresses[0][1]}"

    async def _config_map(self, _: web.Request) -> web.Response:
        if self.published is None:
            return web.json_response({"message": "not found"}, status=404)
        return web.json_response({"data": {"stores.yaml": yaml.safe_dump(self.published)}})

    async def _create(self, request: web.Request) -> web.Response:
        pod = await request.json()
        self.made.append(pod)
        self.pods[pod["metadata"]["name"]] = pod
        return web.json_response(pod, status=201)

    async def _get(self, request: web.Request) -> web.Response:
        pod = self.pods.get(request.match_info["name"])
        if pod is None:
            return web.json_response({"message": "not found"}, status=404)
        status = {"phase": "Running"} if self.state is None else {"phase": "Pending", **self.state}
        return web.json_response({**pod, "status": status})

    async def _delete(self, request: web.Request) -> web.Response:
        if self.keeps_pods:
            return web.json_response({"message": "pods is forbidden"}, status=403)
        self.pods.pop(request.match_info["name"], None)
        return web.json_response({"kind": "Status"})

    async def _exec(self, request: web.Request) -> web.StreamResponse:
        if self.denied:
            return web.json_response({"message": "pods/exec is forbidden"}, status=403)
        socket = web.WebSocketResponse(protocols=self.protocols)
        await socket.prepare(request)
        (container,) = self.pods[request.match_info["name"]]["spec"]["containers"]
        said = {one["name"]: one["value"] for one in container["env"]}
        program, *arguments = request.query.getall("command")
        assert program == "python"
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *arguments,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env=os.environ | said | {"XSTILTS_STORE": str(self.root)},
        )
        feeding = asyncio.create_task(self._feed(socket, process))
        await asyncio.gather(*(self._tell(socket, process, channel) for channel in (1, 2)))
        code = await process.wait()
        status: dict[str, Any] = {"status": "Success"}
        if code:
            causes = [{"reason": "ExitCode", "message": str(code)}]
            status = {"status": "Failure", "details": {"causes": causes}}
        if not socket.closed:
            await socket.send_bytes(b"\x03" + json.dumps(status).encode())
        feeding.cancel()
        await socket.close()
        return socket

    async def _feed(self, socket: web.WebSocketResponse, process: asyncio.subprocess.Process) -> None:
        assert process.stdin is not None
        messages = 0
        async for message in socket:
            messages += 1
            if self.cuts is not None and messages > self.cuts:
                assert socket._req is not None
                assert socket._req.transport is not None
                socket._req.transport.abort()
                process.kill()
                return
            if message.type is WSMsgType.BINARY and message.data[0] == 0:
                process.stdin.write(message.data[1:])
                await process.stdin.drain()
            elif message.data == b"\xff\x00":
                process.stdin.close()

    @staticmethod
    async def _tell(socket: web.WebSocketResponse, process: asyncio.subprocess.Process, channel: int) -> None:
        stream = process.stdout if channel == 1 else process.stderr
        assert stream is not None
        while data := await stream.read(30_000):
            await socket.send_bytes(bytes([channel]) + data)


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[PlayedCluster]:
    with PlayedCluster(tmp_path / "claim") as played:
        file = tmp_path / "kubeconfig"
        context = {"name": "test", "context": {"cluster": "test", "user": "test", "namespace": NAMESPACE}}
        file.write_text(
            yaml.safe_dump(
                {
                    "current-context": "test",
                    "clusters": [{"name": "test", "cluster": {"server": played.address}}],
                    "users": [{"name": "test", "user": {}}],
                    "contexts": [context],
                }
            )
        )
        monkeypatch.setenv("KUBECONFIG", str(file))
        monkeypatch.chdir(tmp_path)
        yield played


@pytest.fixture
def data(tmp_path: Path) -> Path:
    for name, content in FILES.items():
        (tmp_path / "data" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "data" / name).write_bytes(content)
    return tmp_path / "data"


def run(*arguments: str | Path, code: int = 0) -> Any:
    done = CliRunner().invoke(app, [str(one) for one in arguments])
    assert done.exit_code == code, done.output
    return done


@pytest.mark.parametrize("protocols", [("v5.channel.k8s.io",), ("v4.channel.k8s.io",)])
def test_a_folder_goes_into_a_clusters_store_and_comes_back(
    cluster: PlayedCluster, data: Path, tmp_path: Path, protocols: tuple[str, ...]
) -> None:
    cluster.protocols = protocols
    done = run("put", "task", data, "--cluster", "-o", "json")
    store = Store.open(str(cluster.root), NAMESPACE)
    assert json.loads(done.stdout)["reference"] == str(store.latest("task"))
    assert "starts the pod xstilts-store-" in done.stderr
    fetched = run("fetch", "store://task", "out", "--cluster")
    assert fetched.stdout == f"out: 2 files, {sum(map(len, FILES.values()))} bytes, verified\n"
    assert {name: (tmp_path / "out" / name).read_bytes() for name in FILES} == FILES
    assert len(cluster.made) == 2
    assert not cluster.pods


def test_the_pod_is_as_the_cluster_says_and_passes_the_restricted_standard(
    cluster: PlayedCluster, data: Path
) -> None:
    run("put", "task", data, "--cluster")
    (spec,) = (one["spec"] for one in cluster.made)
    (container,) = spec["containers"]
    assert (container["image"], container["imagePullPolicy"]) == ("registry.example/operator:1", "Always")
    assert spec["volumes"][1]["persistentVolumeClaim"] == {"claimName": "experiments"}
    assert spec["activeDeadlineSeconds"] == 6 * 3600
    assert spec["securityContext"] == {
        "runAsNonRoot": True,
        "seccompProfile": {"type": "RuntimeDefault"},
        "runAsUser": 12345,
        "runAsGroup": 12345,
        "fsGroup": 12345,
        "fsGroupChangePolicy": "OnRootMismatch",
    }
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert (spec["automountServiceAccountToken"], spec["restartPolicy"]) == (False, "Never")
    run("put", "task", data, "--cluster", "--store", "bucket")
    (container,) = cluster.made[1]["spec"]["containers"]
    assert container["envFrom"] == [{"secretRef": {"name": "keys"}}]
    assert {"name": "XSTILTS_STORE", "value": "s3://bucket"} in container["env"]
    assert len(cluster.made[1]["spec"]["volumes"]) == 1


def test_claim_and_image_may_be_named_where_the_cluster_says_nothing(
    cluster: PlayedCluster, data: Path
) -> None:
    cluster.published = None
    said = run("put", "task", data, "--cluster", code=64).stderr
    assert "error: namespace team: must hold the ConfigMap xstilts-stores" in said
    assert not cluster.made
    run("put", "task", data, "--cluster", "--claim", "mine", "--image", "operator:2")
    (spec,) = (one["spec"] for one in cluster.made)
    assert spec["containers"][0]["image"] == "operator:2"
    assert spec["volumes"][1]["persistentVolumeClaim"] == {"claimName": "mine"}


def test_what_the_store_says_is_the_commands_own_error_and_nothing_is_left(
    cluster: PlayedCluster, data: Path, tmp_path: Path
) -> None:
    said = run("fetch", "store://other", "out", "--cluster", code=64).stderr
    assert "error: store://other: must be in the store, is not; `xstilts put` it" in said
    assert sorted(one.name for one in tmp_path.iterdir()) == ["data", "kubeconfig"]
    unknown = run("put", "task", data, "--cluster", "--store", "mine", code=64).stderr
    assert "error: --store: must be a store of team (bucket, default), was 'mine'" in unknown
    assert not cluster.pods


def test_a_connection_that_is_lost_is_said_and_the_pod_deleted(cluster: PlayedCluster, data: Path) -> None:
    (data / "large").write_bytes(os.urandom(5_000_000))
    cluster.cuts = 5
    said = run("put", "task", data, "--cluster", code=1).stderr
    assert "error: " in said
    assert not cluster.pods
    assert not list(Store.open(str(cluster.root), NAMESPACE).inputs())


def test_who_may_not_run_commands_in_pods_is_told_and_the_pod_deleted(
    cluster: PlayedCluster, data: Path
) -> None:
    cluster.denied = True
    said = run("put", "task", data, "--cluster", code=1).stderr
    assert "must let you" in said
    assert "pods/exec is forbidden" in said
    assert not cluster.pods


def test_a_pod_that_could_not_be_deleted_is_named_beside_what_was_done(
    cluster: PlayedCluster, data: Path
) -> None:
    cluster.keeps_pods = True
    done = run("put", "task", data, "--cluster")
    (name,) = cluster.pods
    assert done.stdout.startswith("store://task@sha256:")
    assert f"kubectl delete pod {name} -n team" in done.stderr
    wrong = run("fetch", "store://other", "out", "--cluster", code=64).stderr
    assert "must be in the store, is not" in wrong


def test_a_pod_that_cannot_start_is_said_with_its_reason_and_deleted(
    cluster: PlayedCluster, data: Path
) -> None:
    waiting = {"reason": "ImagePullBackOff", "message": "no such image"}
    cluster.state = {"containerStatuses": [{"state": {"waiting": waiting}}]}
    said = run("put", "task", data, "--cluster", code=1).stderr
    assert "must run, is Pending: ImagePullBackOff no such image" in said
    assert not cluster.pods


def test_ctrl_c_deletes_the_pod(cluster: PlayedCluster, data: Path) -> None:
    cluster.state = {
        "conditions": [
            {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/1 nodes"}
        ]
    }
    # what a shell starts in the background ignores Ctrl-C, and so would all that the tests start there
    command = [
        "env",
        "--default-signal=INT",
        sys.executable,
        "-m",
        "xstilts",
        "put",
        "task",
        str(data),
        "--cluster",
    ]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        while "it waits: Unschedulable: 0/1 nodes" not in process.stderr.readline():
            assert process.poll() is None
        assert cluster.pods
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 130
    end = time.monotonic() + 10
    while cluster.pods:
        assert time.monotonic() < end
