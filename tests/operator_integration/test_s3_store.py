"""An object store whose access keys come from the namespace's Secret: the real lookup, trainer and report behind their Jobs.

moto's server is the service. Only the pods have its address and keys, and only from the Secret: the operator and the test's
own processes have none. The model is tiny and random, since nothing here depends on what it learns.
"""

from __future__ import annotations

import base64
import os
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.store.conftest import s3_server
from tests.trainer_stages.conftest import make_data, make_encoder

from controlplane.api import Api, Object
from controlplane.cluster import Cluster
from controlplane.experiments import Experiments, summary
from controlplane.operating import operating
from controlplane.player import playing
from controlplane.processes import ProcessNode
from xstilts.store import Store
from xstilts.task import TaskType

pytestmark = [pytest.mark.slow, pytest.mark.anyio, pytest.mark.timeout(900)]

ROOT = "s3://artifacts/experiments"
SECRET = "bucket-keys"
KEYS = (
    "AWS_ENDPOINT_URL",
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_DEFAULT_REGION",
    "AWS_EC2_METADATA_DISABLED",
)
STORES = {"default": {"url": ROOT, "secret": SECRET}}
WITHIN_S = 600


class Service:
    """The object store: its variables, and the store of a namespace as the test sees it."""

    def __init__(self, variables: dict[str, str], cache: Path) -> None:
        self.variables = variables
        self._cache = cache

    def store(self, namespace: str) -> Store:
        """It keeps copies in a folder of the test's; the programs of the control plane stay where they are."""
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("XDG_CACHE_HOME", str(self._cache))
            return Store.open(ROOT, namespace)


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    folder = tmp_path_factory.mktemp("service")
    with s3_server(folder):
        yield Service({name: os.environ[name] for name in KEYS}, folder / "cache")


def experiment(name: str, inputs: dict[str, str]) -> Object:
    task = {
        "name": "colours",
        "type": "Classification",
        "labels": ["red", "green", "blue"],
        "languages": ["en", "de"],
        "data": inputs["colours"],
    }
    return {
        "apiVersion": "xstilts.dev/v1alpha1",
        "kind": "TransferExperiment",
        "metadata": {"name": name},
        "spec": {
            "models": [{"name": "tiny", "family": "XLMR", "pretrained": inputs["tiny"]}],
            "tasks": [task],
            "targets": [{"task": "colours"}],
            "seeds": [1],
            "training": {
                "defaults": {"learningRate": "0.001", "epochs": 1, "batchSize": 16, "maxLength": 32}
            },
            "resources": {"cpu": 1},
        },
    }


def secret(variables: dict[str, str]) -> Object:
    data = {name: base64.b64encode(value.encode()).decode() for name, value in variables.items()}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": SECRET}, "data": data}


@dataclass(frozen=True)
class Running:
    """An operator that runs with a Secret in its namespace, and two inputs in the bucket."""

    store: Store
    inputs: dict[str, str]
    node: ProcessNode
    experiments: Experiments


Run = Callable[[dict[str, str]], AbstractAsyncContextManager[Running]]


@pytest.fixture
def run(
    cluster: Cluster,
    api: Api,
    namespace: str,
    tmp_path: Path,
    service: Service,
    monkeypatch: pytest.MonkeyPatch,
) -> Run:
    """Starts an operator; what it is called with is in the Secret, and in no process's own environment."""

    @asynccontextmanager
    async def running(variables: dict[str, str]) -> AsyncIterator[Running]:
        store = service.store(namespace)
        folders = {
            "tiny": make_encoder(tmp_path / "tiny"),
            "colours": make_data(tmp_path / "colours", TaskType.CLASSIFICATION),
        }
        inputs = {name: str(store.put(name, folder)) for name, folder in folders.items()}
        await api.create(f"/api/v1/namespaces/{namespace}/secrets", secret(variables))
        for name in KEYS:  # the operator that is started below inherits none
            monkeypatch.delenv(name)
        node = ProcessNode(api, namespace, tmp_path / "pods", {}, message_variable="XSTILTS_RESULT")
        async with (
            operating(cluster, namespace, tmp_path, settings={"stores": STORES}),
            playing(node.player()),
        ):
            yield Running(store, inputs, node, Experiments(api, namespace))

    return running


async def test_an_experiment_runs_on_a_bucket_with_the_secrets_keys_and_is_found_there_afterwards(
    run: Run, service: Service
) -> None:
    async with run(service.variables) as running:
        node, experiments = running.node, running.experiments
        await experiments.submit(experiment("first", running.inputs))
        (first,) = await experiments.ended("first", within_s=WITHIN_S)
        assert summary(first)["reason"] == "Completed", first["status"]
        ran = [(one.labels["xstilts.dev/kind"], one.exit_code) for one in node.runs]
        assert ran == [("lookup", 0), ("train", 0), ("evaluate", 0), ("report", 0)]
        for one in node.runs:
            (container,) = one.pod["spec"]["containers"]
            assert container["envFrom"] == [{"secretRef": {"name": SECRET}}]
            assert not {variable["name"] for variable in container["env"]} & set(KEYS)

        stages = {one["spec"]["key"]: one for one in await experiments.stages("first")}
        for key, stage in stages.items():
            manifest = running.store.lookup(key)
            assert manifest is not None
            assert manifest.outputs_digest == stage["status"]["outputsDigest"]
        assert "report.html" in running.store.report("first")

        await experiments.submit(experiment("second", running.inputs))
        (second,) = await experiments.ended("second", within_s=WITHIN_S)
        assert second["status"]["results"] == first["status"]["results"]
        assert not [one for one in node.runs[4:] if one.labels["xstilts.dev/kind"] in {"train", "evaluate"}]


async def test_without_the_secrets_keys_the_lookup_says_so(run: Run, service: Service) -> None:
    without = {name: value for name, value in service.variables.items() if "KEY" not in name}
    async with run(without) as running:
        await running.experiments.submit(experiment("keyless", running.inputs))

        def told(one: Object) -> bool:
            return "credentials" in summary(one).get("message", "").lower()

        await running.experiments.until("keyless", told, within_s=WITHIN_S)
    assert {one.labels["xstilts.dev/kind"] for one in running.node.runs} == {"lookup"}
