"""`put` and `fetch` of a store that is a volume of the node: a real kubelet's exec, by a user who has the role `edit`."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from chart.rendering import of_kind, render
from controlplane.cluster import Cluster
from node.installation import CLAIM, store, volume
from xstilts.store import Store

pytestmark = [pytest.mark.slow, pytest.mark.cluster, pytest.mark.timeout(900)]

LARGE = 64_000_000


@dataclass(frozen=True)
class Person:
    """Somebody who works in a namespace, and no more."""

    node: Cluster
    namespace: str
    kubeconfig: Path

    def run(self, *arguments: str | Path, code: int = 0) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            self.command(*arguments), env=self.environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == code, done.stderr
        return done

    def command(self, *arguments: str | Path) -> list[str | Path]:
        return [sys.executable, "-m", "xstilts", *arguments, "--cluster"]

    @property
    def environment(self) -> dict[str, str]:
        return os.environ | {"KUBECONFIG": str(self.kubeconfig)}

    @property
    def store(self) -> Store:
        return Store.open(str(store(self.namespace)), self.namespace)

    def pods(self) -> list[str]:
        """Those that are not on their way out."""
        pods = json.loads(self.node.kubectl("get", "pods", "-n", self.namespace, "-o", "json"))["items"]
        return [one["metadata"]["name"] for one in pods if "deletionTimestamp" not in one["metadata"]]


@pytest.fixture(scope="module")
def person(node: Cluster) -> Iterator[Person]:
    """In a namespace that enforces the restricted standard, with what the chart makes for its store."""
    name = f"stores-{secrets.token_hex(4)}"
    labels = {"pod-security.kubernetes.io/enforce": "restricted"}
    node.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}})
    store(name).mkdir(parents=True, exist_ok=True)
    made = render({"scope": {"namespaces": [name]}, "stores": {"default": {"claim": CLAIM}}})
    of_team = [one for one in of_kind(made, "ConfigMap", "ServiceAccount") if _is_in(one, name)]
    account = {"kind": "ServiceAccount", "name": "person", "namespace": name}
    group = "rbac.authorization.k8s.io"
    node.apply(
        *volume(name),
        *of_team,
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "person", "namespace": name}},
        {
            "apiVersion": f"{group}/v1",
            "kind": "RoleBinding",
            "metadata": {"name": "person", "namespace": name},
            "roleRef": {"apiGroup": group, "kind": "ClusterRole", "name": "edit"},
            "subjects": [account],
        },
    )
    yield Person(node, name, node.service_account_kubeconfig(name, "person"))
    node.kubectl("delete", "namespace", name, "--timeout=120s")
    node.kubectl("delete", "persistentvolume", f"{name}-{CLAIM}")
    shutil.rmtree(store(name))


def _is_in(manifest: dict[str, Any], namespace: str) -> bool:
    return bool(manifest["metadata"]["namespace"] == namespace)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    (folder / "deep").mkdir()
    (folder / "train.en.jsonl").write_text('{"a": 1}\n' * 1000, encoding="utf-8")
    (folder / "deep" / "large.bin").write_bytes(os.urandom(LARGE))
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    return {
        one.relative_to(folder).as_posix(): one.read_bytes() for one in folder.rglob("*") if one.is_file()
    }


def test_a_folder_goes_onto_the_nodes_volume_and_comes_back(
    person: Person, data: Path, tmp_path: Path
) -> None:
    said = json.loads(person.run("put", "task", data, "-o", "json").stdout)
    assert said["reference"] == str(person.store.latest("task")) == str(person.store.reference("task", data))
    person.run("fetch", "store://task", tmp_path / "out")
    assert contents(tmp_path / "out") == contents(data)
    assert person.pods() == []


def test_what_is_not_there_is_said_by_the_store_in_the_pod(person: Person, tmp_path: Path) -> None:
    said = person.run("fetch", "reports/nothing", tmp_path / "out", code=64).stderr
    assert "error: reports/nothing: must be in the store, is not" in said
    assert not (tmp_path / "out").exists()
    assert person.pods() == []


def test_ctrl_c_in_the_middle_deletes_the_pod_and_puts_nothing(person: Person, data: Path) -> None:
    begun = subprocess.Popen(
        ["env", "--default-signal=INT", *person.command("put", "interrupted", data)],  # as from a terminal
        env=person.environment,
        stderr=subprocess.PIPE,
        text=True,
    )
    with begun:
        try:
            assert begun.stderr is not None
            while "sends 2 files" not in begun.stderr.readline():
                assert begun.poll() is None
            begun.send_signal(signal.SIGINT)
            assert begun.wait(60) == 130
        finally:
            begun.kill()
    assert person.pods() == []
    assert person.store.latest("interrupted") is None
