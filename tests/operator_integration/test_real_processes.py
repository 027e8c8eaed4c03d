"""The real trainer, lookup and report behind their Jobs: the numbers of a local run, once, and continued where stopped.

The API server, the controllers and the operator are real too; the node alone is a test's: it runs a pod's container as a
process of this machine (`controlplane.processes`).
"""

from __future__ import annotations

import asyncio
import csv
import io
import os
import re
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from controlplane.api import Api, Object, eventually
from controlplane.cluster import Cluster
from controlplane.operating import CLAIM, operating
from controlplane.player import playing
from controlplane.processes import ProcessNode, Run
from xstilts.stage import Kind
from xstilts.store import Store

pytestmark = [pytest.mark.slow, pytest.mark.anyio, pytest.mark.timeout(900)]

WITHIN_S = 400
LANGUAGES = ["ar", "de", "en"]
LABELS = ["city", "currency", "language", "territory", "unit"]
GROUP = "/apis/xstilts.dev/v1alpha1"


def experiment(name: str, inputs: Mapping[str, str], *, nodes: int = 1) -> Object:
    """A quiz about places, then what a name is the name of: two trainings of seconds, and an evaluation."""
    return {
        "apiVersion": "xstilts.dev/v1alpha1",
        "kind": "TransferExperiment",
        "metadata": {"name": name},
        "spec": {
            "models": [{"name": "e5", "family": "E5", "pretrained": inputs["encoder"]}],
            "tasks": [
                {
                    "name": "place-quiz",
                    "type": "MultipleChoice",
                    "languages": ["en"],
                    "data": inputs["place-quiz"],
                },
                {
                    "name": "name-kind",
                    "type": "Classification",
                    "labels": LABELS,
                    "languages": LANGUAGES,
                    "data": inputs["name-kind"],
                },
            ],
            "intermediates": [{"name": "place-quiz", "tasks": ["place-quiz"]}],
            "baseline": False,
            "targets": [{"task": "name-kind"}],
            "seeds": [1],
            "training": {
                "defaults": {"learningRate": "0.0002", "epochs": 1, "batchSize": 16, "maxLength": 32},
                "overrides": [
                    {
                        "match": {"phase": "intermediate"},
                        "epochs": 2 if nodes == 1 else 1,
                        "batchSize": 8,
                        "maxExamples": 160,
                    }
                ],
            },
            "resources": {"cpu": 1, "nodes": nodes},
        },
    }


@dataclass(frozen=True)
class Inputs:
    """What experiments name: a folder as it lies in a store's namespace, and name -> reference."""

    folder: Path
    named: Mapping[str, str]

    def put(self, root: Path, namespace: str) -> None:
        """Put them into a store; no byte is copied."""
        shutil.copytree(self.folder, root / namespace / self.folder.name, copy_function=os.link)


@pytest.fixture(scope="module")
def inputs(encoder_dir: Path, repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Inputs]:
    folder = tmp_path_factory.mktemp("inputs")
    make = repository / "examples" / "own-task" / "make.py"
    subprocess.run([sys.executable, make, folder / "tasks"], check=True)
    store = Store.open(str(folder))
    folders = {"encoder": encoder_dir} | {
        name: folder / "tasks" / name for name in ("place-quiz", "name-kind")
    }
    named = {name: str(store.put(name, each)) for name, each in folders.items()}
    yield Inputs(folder / "default" / "inputs", named)
    shutil.rmtree(folder)


class LocalRun:
    """`xstilts run` of the experiment, beside the tests until its numbers are asked for."""

    def __init__(self, folder: Path, inputs: Inputs) -> None:
        inputs.put(folder / "store", "default")
        self._folder = folder
        (folder / "alone.yaml").write_text(yaml.safe_dump(experiment("alone", inputs.named)))
        self._log = folder / "log"
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(
                self._command("run"), cwd=folder, env=_WITHOUT_GPU, stdout=log, stderr=log
            )

    async def digests(self) -> dict[str, str]:
        """Stage key -> outputs digest; the report is no stage of a cluster."""
        assert await asyncio.to_thread(self.process.wait) == 0, self._log.read_text()
        store = Store.open(str(self._folder / "store"))
        manifests = map(store.lookup, store.keys())
        return {
            one.key: one.outputs_digest
            for one in manifests
            if one is not None and one.kind is not Kind.REPORT
        }

    async def accuracy(self) -> dict[str, str]:
        """Language -> accuracy of the one evaluation, as `xstilts results` prints it."""
        await self.digests()
        told = await asyncio.to_thread(
            subprocess.run,
            self._command("results", "-o", "csv"),
            cwd=self._folder,
            capture_output=True,
            check=True,
        )
        rows = csv.DictReader(io.StringIO(told.stdout.decode()))
        return {row["language"]: row["value"] for row in rows if row["metric"] == "accuracy"}

    def _command(self, name: str, *options: str) -> list[str]:
        return [sys.executable, "-m", "xstilts", name, "alone.yaml", "--store", "store", *options]


_WITHOUT_GPU = {**os.environ, "CUDA_VISIBLE_DEVICES": ""}  # as pods that ask for none


@pytest.fixture(scope="module")
def alone(inputs: Inputs, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalRun]:
    folder = tmp_path_factory.mktemp("alone")
    run = LocalRun(folder, inputs)
    yield run
    run.process.terminate()
    run.process.wait()
    shutil.rmtree(folder)


class Place:
    """A namespace with its operator and its node, and a store that holds the inputs."""

    def __init__(self, api: Api, namespace: str, node: ProcessNode, root: Path) -> None:
        self._api = api
        self._namespace = namespace
        self.node = node
        self.root = root / namespace
        self.store = Store.open(str(root), namespace)

    async def submit(self, body: Object) -> None:
        await self._api.create(self._path("transferexperiments"), body)

    async def change(self, name: str, **spec: Any) -> None:
        await self._api.patch(self._path("transferexperiments", name), {"spec": spec})

    async def delete(self, name: str) -> None:
        """Delete an experiment; returns when nothing of it is left but the store."""
        await self._api.delete(self._path("transferexperiments", name))

        async def gone() -> bool:
            pods = await self._api.get(f"/api/v1/namespaces/{self._namespace}/pods")
            return not pods["items"] and not await self.stages()

        await eventually(gone, within_s=WITHIN_S, every_s=0.2)

    async def stages(self) -> list[Object]:
        listed: list[Object] = (await self._api.get(self._path("transferstages")))["items"]
        return listed

    async def stage_of(self, run: Run) -> Object:
        """The stage that a trainer's pod ran."""
        return await self._api.get(self._path("transferstages", run.labels["xstilts.dev/stage"]))

    async def ended(self, name: str) -> Object:
        """The experiment's status, once it has ended."""

        async def check() -> Object | None:
            status: Object = (await self._api.get(self._path("transferexperiments", name))).get("status", {})
            summary = [one for one in status.get("conditions", ()) if one["type"] == "Succeeded"]
            return status if summary and summary[0]["status"] != "Unknown" else None

        return await eventually(check, within_s=WITHIN_S, every_s=0.2)

    async def watch(self, seen: list[Object]) -> None:
        """Append every version of every stage, until cancelled."""
        async for _, stage in self._api.watch(self._path("transferstages")):
            seen.append(stage)

    def _path(self, plural: str, name: str = "") -> str:
        return f"{GROUP}/namespaces/{self._namespace}/{plural}/{name}".rstrip("/")


Open = Callable[[], AbstractAsyncContextManager[Place]]


@pytest.fixture
def opening(cluster: Cluster, api: Api, namespace: str, inputs: Inputs, tmp_path: Path) -> Iterator[Open]:
    root = tmp_path / "store"
    inputs.put(root, namespace)

    @asynccontextmanager
    async def open_() -> AsyncIterator[Place]:
        claims = {CLAIM: root}
        node = ProcessNode(api, namespace, tmp_path / "pods", claims, message_variable="XSTILTS_RESULT")
        async with playing(node.player()), operating(cluster, namespace, tmp_path, progress=True):
            yield Place(api, namespace, node, root)

    yield open_
    shutil.rmtree(root)  # a model's weights in each artifact


def scores(stages: list[Object]) -> Object:
    """Of the one evaluation."""
    (found,) = [one["status"]["scores"] for one in stages if one["spec"]["kind"] == "evaluate"]
    return dict(found)


async def test_an_experiment_has_the_numbers_of_a_local_run_and_is_found_in_the_store_afterwards(
    opening: Open, inputs: Inputs, alone: LocalRun
) -> None:
    async with opening() as place:
        seen: list[Object] = []
        watching = asyncio.create_task(place.watch(seen))
        await place.submit(experiment("first", inputs.named))
        first = await place.ended("first")
        watching.cancel()
        assert first["conditions"][0]["reason"] == "Completed", first
        assert [(run.labels["xstilts.dev/kind"], run.exit_code) for run in place.node.runs] == [
            ("lookup", 0),
            ("train", 0),
            ("train", 0),
            ("evaluate", 0),
            ("report", 0),
        ]

        made = await place.stages()
        assert {one["spec"]["key"]: one["status"]["outputsDigest"] for one in made} == await alone.digests()
        assert scores(made) == {"name-kind": {"accuracy": await alone.accuracy()}}
        page = place.root / first["report"]["path"]
        assert "first" in page.read_text(encoding="utf-8")

        told = [
            one["status"]["progress"]
            for one in seen
            if one["spec"]["kind"] == "train" and one.get("status", {}).get("state") == "Active"
            if "progress" in one["status"]
        ]
        assert any(0 < one["percent"] <= 100 for one in told), told
        assert {metric["name"] for one in told for metric in one["metrics"]} >= {"loss"}

        await place.delete("first")
        await place.submit(experiment("second", inputs.named))
        second = await place.ended("second")
        assert second["conditions"][0]["reason"] == "Completed", second
        assert [run.labels["xstilts.dev/kind"] for run in place.node.runs[5:]] == ["lookup", "report"]
        found = await place.stages()
        assert {one["spec"]["key"] for one in found} == {one["spec"]["key"] for one in made}
        assert all(one["status"]["cached"] for one in found)
        assert second["results"] == first["results"]
        assert (place.root / second["report"]["path"]).is_file()


async def test_a_stage_that_is_suspended_saves_and_continues_to_the_same_bytes(
    opening: Open, inputs: Inputs, alone: LocalRun
) -> None:
    async with opening() as place:
        await place.submit(experiment("held", inputs.named))

        async def trains() -> Run | None:
            runs = place.node.runs_of(kind="train")
            return runs[-1] if runs and "loss" in runs[-1].said() else None

        run = await eventually(trains, within_s=WITHIN_S)
        await place.change("held", suspend=True)

        async def stopped() -> bool:
            return run.exit_code is not None

        await eventually(stopped, within_s=WITHIN_S)
        assert run.exit_code == 42, run.said()
        stage = await place.stage_of(run)
        assert (stage["status"]["state"], stage["status"]["reason"]) == ("Pending", "Suspended")

        await place.change("held", suspend=False)

        async def succeeded() -> Object | None:
            now = await place.stage_of(run)
            return now if now["status"]["state"] == "Succeeded" else None

        stage = await eventually(succeeded, within_s=WITHIN_S)
        again = place.node.runs_of(kind="train")[1]
        assert again.labels["xstilts.dev/stage"] == run.labels["xstilts.dev/stage"]
        continued = re.search(r"continuing after step (\d+) of (\d+)", again.said())
        assert continued, again.said()
        assert 0 < int(continued[1]) < int(continued[2])
        assert stage["status"]["attempt"]["number"] == 2
        assert "failures" not in stage["status"]
        assert stage["status"]["outputsDigest"] == (await alone.digests())[stage["spec"]["key"]]


async def test_the_pods_of_two_nodes_find_each_other_and_train_together(
    opening: Open, inputs: Inputs
) -> None:
    async with opening() as place:
        await place.submit(experiment("pair", inputs.named, nodes=2))

        async def trained() -> Object | None:
            runs = place.node.runs_of(kind="train")
            stage = await place.stage_of(runs[0]) if runs else None
            return stage if stage and stage["status"]["state"] not in {"Active", "Pending"} else None

        stage = await eventually(trained, within_s=WITHIN_S)
        assert stage["status"]["state"] == "Succeeded", stage["status"]
        pair = place.node.runs_of(stage=stage["metadata"]["name"])
        assert [run.exit_code for run in pair] == [0, 0]
        manifest = place.store.lookup(stage["spec"]["key"])
        assert manifest is not None
        assert manifest.outputs_digest == stage["status"]["outputsDigest"]
        assert manifest.environment["hardware"]["processes"] == 2


async def test_weights_that_are_needed_no_more_go_with_the_report_and_the_lookup_tells_of_them(
    opening: Open, inputs: Inputs
) -> None:
    async with opening() as place:
        for name in ("first", "second"):
            body = experiment(name, inputs.named)
            body["spec"]["store"] = {"name": "default", "keep": "Scores"}
            await place.submit(body)
            status = await place.ended(name)
            assert status["conditions"][0]["reason"] == "Completed", status
            stages = await place.stages()
            trainings = [one for one in stages if one["spec"]["kind"] == "train"]
            assert len(trainings) == 2
            for one in trainings:
                record = place.store.record(one["spec"]["key"])
                assert record is not None
                assert record.dropped
                assert not record.left
                assert one["status"]["weightsDropped"] is True
                assert (
                    one["status"].get("outputsDigest", record.manifest.outputs_digest)
                    == record.manifest.outputs_digest
                )
            assert not [
                path for one in trainings for path in (place.root / one["spec"]["key"]).rglob("*.safetensors")
            ]
            await place.delete(name)
        ran = [run.labels["xstilts.dev/kind"] for run in place.node.runs]
        assert ran == ["lookup", "train", "train", "evaluate", "report", "lookup", "report"]
