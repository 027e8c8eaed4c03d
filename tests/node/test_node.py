"""The node itself: pods run, reach the API server, find each other by name, and are kept from what is not theirs."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator
from typing import Any

import pytest

from controlplane.cluster import Cluster
from node import place
from node.images import reference

pytestmark = [pytest.mark.slow, pytest.mark.cluster, pytest.mark.timeout(600)]

Object = dict[str, Any]
ASK = """
import json, pathlib, ssl, socket, sys, time, urllib.request
account = pathlib.Path("/var/run/secrets/kubernetes.io/serviceaccount")
context = ssl.create_default_context(cafile=account / "ca.crt")
said = {"version": json.load(urllib.request.urlopen("https://kubernetes.default.svc/version", context=context))["gitVersion"]}
said["api"] = socket.gethostbyname("kubernetes.default.svc.cluster.local")
end = time.monotonic() + 60
while "peer" not in said:
    try:
        said["peer"] = socket.create_connection(("peer.%s.svc" % sys.argv[1], 80), timeout=20).recv(5).decode()
    except OSError:  # a Service is there before its rules are in the kernel
        if time.monotonic() > end:
            raise
        time.sleep(0.5)
print(json.dumps(said))
"""
SERVE = """
import socket
with socket.create_server(("", 8080)) as server:
    while True:
        connection, _ = server.accept()
        with connection:
            connection.sendall(b"hello")
"""


@pytest.fixture
def namespace(node: Cluster) -> Iterator[str]:
    name = f"test-{secrets.token_hex(4)}"
    node.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    yield name
    node.kubectl("delete", "namespace", name, "--wait=false")


def python_pod(name: str, namespace: str, code: str, *arguments: str) -> Object:
    container = {
        "name": "python",
        "image": reference("operator"),
        "imagePullPolicy": "Never",
        "command": ["python", "-c", code, *arguments],
    }
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": namespace, "labels": {"app": name}},
        "spec": {
            "restartPolicy": "Never",
            "terminationGracePeriodSeconds": 1,
            "containers": [container],
        },
    }


def test_the_node_is_ready_and_says_its_version(node: Cluster) -> None:
    (found,) = json.loads(node.kubectl("get", "nodes", "-o", "json"))["items"]
    ready = {one["type"]: one["status"] for one in found["status"]["conditions"]}["Ready"]
    version = json.loads(node.kubectl("get", "--raw", "/version"))["gitVersion"]
    assert (found["metadata"]["name"], ready) == (place.NAME, "True")
    assert found["status"]["nodeInfo"]["kubeletVersion"] == version


def test_a_pod_reaches_the_api_server_and_another_pod_by_their_names(node: Cluster, namespace: str) -> None:
    ports = [{"port": 80, "targetPort": 8080}]
    node.apply(
        python_pod("peer", namespace, SERVE),
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": "peer", "namespace": namespace},
            "spec": {"selector": {"app": "peer"}, "ports": ports},
        },
    )
    node.kubectl("wait", "pod/peer", "-n", namespace, "--for=condition=Ready", "--timeout=120s")
    node.apply(python_pod("asks", namespace, ASK, namespace))
    node.kubectl(
        "wait", "pod/asks", "-n", namespace, "--for=jsonpath={.status.phase}=Succeeded", "--timeout=120s"
    )
    version = json.loads(node.kubectl("get", "--raw", "/version"))["gitVersion"]
    said = json.loads(node.kubectl("logs", "asks", "-n", namespace))
    assert said == {"version": version, "api": place.API, "peer": "hello"}
