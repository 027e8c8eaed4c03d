"""Both images as containers: what is in them, as whom they run, and that exit codes and signals go through."""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Iterator
from typing import Any

import pytest

from controlplane.cluster import Cluster
from node.conftest import node as node  # noqa: PLC0414 - the fixture
from node.images import IMAGES, reference

pytestmark = [pytest.mark.slow, pytest.mark.cluster, pytest.mark.timeout(600)]

Object = dict[str, Any]
HEAVY = ("torch", "triton", "transformers", "tokenizers", "datasets", "pyarrow", "safetensors")
BUILDERS = ("gcc", "cc", "make", "git", "pip", "pip3", "uv", "go")
RESTRICTED = {
    "allowPrivilegeEscalation": False,
    "readOnlyRootFilesystem": True,
    "capabilities": {"drop": ["ALL"]},
}


@pytest.fixture(scope="module")
def namespace(node: Cluster) -> Iterator[str]:
    """One in which no pod is admitted that the restricted standard forbids."""
    name = f"test-{secrets.token_hex(4)}"
    labels = {"pod-security.kubernetes.io/enforce": "restricted"}
    node.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}})
    node.apply(
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": "bad-stage", "namespace": name},
            "data": {"STAGE.json": json.dumps({"schema": "unheard-of"})},
        }
    )
    yield name
    node.kubectl("delete", "namespace", name, "--wait=false")


def start(node: Cluster, namespace: str, image: str, *command: str, user: int | None = None) -> str:
    """A pod of the image, as the image's own user where `user` is None; its name."""
    name = f"{image}-{secrets.token_hex(4)}"
    security = {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}
    if user is not None:
        security["runAsUser"] = user
    container = {
        "name": "tried",
        "image": reference(image),
        "imagePullPolicy": "Never",
        "command": list(command),
        "securityContext": RESTRICTED,
        "volumeMounts": [
            {"name": "scratch", "mountPath": "/tmp"},
            {"name": "stage", "mountPath": "/etc/xstilts"},
        ],
    }
    if not command:
        del container["command"]
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {
            "restartPolicy": "Never",
            "automountServiceAccountToken": False,
            "terminationGracePeriodSeconds": 60,
            "securityContext": security,
            "containers": [container],
            "volumes": [
                {"name": "scratch", "emptyDir": {}},
                {"name": "stage", "configMap": {"name": "bad-stage"}},
            ],
        },
    }
    node.apply(pod)
    return name


def state(node: Cluster, namespace: str, pod: str) -> Object:
    """Of the container: running, terminated or waiting."""
    found = json.loads(node.kubectl("get", "pod", pod, "-n", namespace, "-o", "json"))
    statuses = found["status"].get("containerStatuses")
    return dict(statuses[0]["state"]) if statuses else {}


def terminated(node: Cluster, namespace: str, pod: str, within_s: float = 300) -> Object:
    """How the container ended."""
    end = time.monotonic() + within_s
    while "terminated" not in (found := state(node, namespace, pod)):
        assert time.monotonic() < end, found
        time.sleep(0.5)
    return dict(found["terminated"])


def prints(node: Cluster, namespace: str, image: str, code: str, *, user: int | None = None) -> Any:
    """What a line of Python prints in the image, as JSON."""
    pod = start(node, namespace, image, "python", "-c", code, user=user)
    ended = terminated(node, namespace, pod)
    said = node.kubectl("logs", pod, "-n", namespace)
    assert ended["exitCode"] == 0, said
    return json.loads(said)


WHO = """
import json, os, sys
writable = [p for p in ("/", "/opt/venv", "/opt/xstilts", "/tmp", os.getcwd()) if os.access(p, os.W_OK)]
print(json.dumps({"uid": os.getuid(), "gid": os.getgid(), "pid": os.getpid(), "writable": writable}))
"""


@pytest.mark.parametrize("image", IMAGES)
@pytest.mark.parametrize("user", [None, 10001])
def test_it_runs_as_nobody_special_and_writes_to_tmp_alone(
    node: Cluster, namespace: str, image: str, user: int | None
) -> None:
    said = prints(node, namespace, image, WHO, user=user)
    assert said["uid"] == (user or 65532)
    assert said["pid"] == 1
    assert said["writable"] == ["/tmp"]


FOUND = """
import importlib.util as u, json, shutil, sys
print(json.dumps([[m for m in %r if u.find_spec(m)], [p for p in %r if shutil.which(p)]]))
"""


def test_the_operators_image_holds_no_torch_and_no_tools_of_builds(node: Cluster, namespace: str) -> None:
    modules, programs = prints(
        node, namespace, "operator", FOUND % ((*HEAVY, "pip", "xstilts_trainer"), BUILDERS)
    )
    assert (modules, programs) == ([], [])


def test_the_trainers_image_holds_what_it_needs_and_no_tools_of_builds(node: Cluster, namespace: str) -> None:
    modules, programs = prints(node, namespace, "trainer", FOUND % ((*HEAVY, "pip", "kopf"), BUILDERS))
    assert (set(modules), programs) == (set(HEAVY), [])


@pytest.mark.parametrize("image", IMAGES)
def test_its_first_process_is_python_without_a_shell(node: Cluster, namespace: str, image: str) -> None:
    """As the image starts by itself: without what it needs it ends, and the code is its own."""
    ended = terminated(node, namespace, start(node, namespace, image))
    assert ended["exitCode"] not in {0, 126, 127, 128, 137}


def test_the_exit_code_of_a_bad_stage_arrives(node: Cluster, namespace: str) -> None:
    pod = start(node, namespace, "trainer", "python", "-m", "xstilts_trainer", "/etc/xstilts/STAGE.json")
    ended = terminated(node, namespace, pod)
    assert ended["exitCode"] == 64
    assert json.loads(ended["message"])["error"]["field"]


def test_a_signal_arrives(node: Cluster, namespace: str) -> None:
    """Its handler's exit code, and not 137 after the grace period."""
    code = (
        "import signal, sys, time; signal.signal(signal.SIGTERM, lambda *_: sys.exit(42)); "
        "print('waits', flush=True); time.sleep(300)"
    )
    pod = start(node, namespace, "trainer", "python", "-c", code)
    end = time.monotonic() + 120
    while "running" not in state(node, namespace, pod) or not node.kubectl("logs", pod, "-n", namespace):
        assert time.monotonic() < end
        time.sleep(0.5)
    held = '{"metadata": {"finalizers": ["xstilts.dev/test"]}}'  # until the code has been read
    node.kubectl("patch", "pod", pod, "-n", namespace, "--type=merge", f"--patch={held}")
    begun = time.monotonic()
    node.kubectl("delete", "pod", pod, "-n", namespace, "--wait=false")
    ended = terminated(node, namespace, pod)
    node.kubectl(
        "patch", "pod", pod, "-n", namespace, "--type=merge", '--patch={"metadata": {"finalizers": null}}'
    )
    assert ended["exitCode"] == 42
    assert time.monotonic() - begun < 50
