"""Tokens in a cluster: the hub's, from its Secret, and the pods' own for progress. Both are used, and stand nowhere else.

The operator, the trainer and the API server are real; a hub of the test's own serves a model of two layers to who has the token.
"""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from controlplane.api import Api
from controlplane.experiments import Experiments, summary
from controlplane.operating import CLAIM, Operator, operating
from controlplane.plane import ControlPlane
from controlplane.player import playing
from controlplane.processes import ProcessNode
from hub import hub_server
from security.test_tokens import CANARY, holding
from xstilts.store import Store
from xstilts_operator.actions import Object

pytestmark = [pytest.mark.slow, pytest.mark.anyio, pytest.mark.timeout(900)]

ROWS = [{"text": f"w{number} w{number + 1}", "label": ("low", "high")[number > 9]} for number in range(20)]
KINDS = ["prepare", "lookup", "train", "evaluate", "report"]
READ = (
    "/apis/xstilts.dev/v1alpha1/namespaces/{}/transferexperiments",
    "/apis/xstilts.dev/v1alpha1/namespaces/{}/transferstages",
    "/apis/batch/v1/namespaces/{}/jobs",
    "/api/v1/namespaces/{}/pods",
    "/api/v1/namespaces/{}/configmaps",
    "/api/v1/namespaces/{}/services",
    "/api/v1/namespaces/{}/events",
    "/apis/coordination.k8s.io/v1/namespaces/{}/leases",
)


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[Any]:
    """A model that is to be had with the token, and one that is not."""
    from transformers import BertModel  # seconds

    from trainer_models.conftest import tiny_config, tiny_tokenizer

    folder = tmp_path / "model"
    BertModel(tiny_config("bert")).save_pretrained(folder)
    tiny_tokenizer().save_pretrained(folder)
    files = {file.name: file.read_bytes() for file in folder.iterdir()}
    shutil.rmtree(folder)
    with hub_server.Hub() as server:
        server.models["group/gated"] = hub_server.Repository.of(files, gated_token=CANARY)
        server.models["group/other"] = hub_server.Repository.of(files, gated_token="another")
        yield server


def experiment(name: str, repository: str, revision: str, rows: str) -> Object:
    own = {
        "name": "own",
        "type": "Classification",
        "labels": ["low", "high"],
        "languages": ["de", "en"],
        "data": rows,
    }
    return {
        "apiVersion": "xstilts.dev/v1alpha1",
        "kind": "TransferExperiment",
        "metadata": {"name": name},
        "spec": {
            "models": [{"name": "tiny", "family": "BERT", "pretrained": repository, "revision": revision}],
            "tasks": [own],
            "targets": [{"task": "own"}],
            "seeds": [1],
            "training": {"defaults": {"learningRate": "1e-3", "epochs": 1, "batchSize": 8, "maxLength": 16}},
            "resources": {"cpu": 1},
        },
    }


@pytest.fixture
async def operator(
    restricted_plane: ControlPlane, api: Api, restricted: str, hub: Any, tmp_path: Path
) -> AsyncIterator[Operator]:
    secret = {"metadata": {"name": "hub"}, "stringData": {"token": CANARY}}
    await api.create(f"/api/v1/namespaces/{restricted}/secrets", secret)
    (tmp_path / "operator").mkdir()
    said = {"hub": {"endpoint": hub.url, "tokenSecret": "hub"}}
    async with operating(
        restricted_plane, restricted, tmp_path / "operator", progress=True, settings=said
    ) as running:
        yield running


def put_rows(root: Path, namespace: str) -> str:
    folder = root.parent / "rows"
    folder.mkdir()
    for file in ("train.en", "validation.en", "test.en", "test.de"):
        (folder / f"{file}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    return str(Store.open(str(root), namespace).put("rows", folder))


async def test_tokens_are_used_and_stand_nowhere_else(
    operator: Operator, api: Api, restricted: str, hub: Any, tmp_path: Path
) -> None:
    root, pods = tmp_path / "store", tmp_path / "pods"
    rows = await asyncio.to_thread(put_rows, root, restricted)
    node = ProcessNode(api, restricted, pods, {CLAIM: root}, message_variable="XSTILTS_RESULT")
    experiments = Experiments(api, restricted)
    given: set[str] = set()
    collecting = asyncio.create_task(collect(pods, given))
    commits = {name: one.branches["main"] for name, one in hub.models.items()}
    async with playing(node.player()):
        await experiments.submit(
            experiment("allowed", "group/gated", commits["group/gated"], rows),
            experiment("refused", "group/other", commits["group/other"], rows),
        )
        allowed, refused = await experiments.ended("allowed", "refused", within_s=600)
    collecting.cancel()
    assert summary(allowed)["reason"] == "Completed", allowed["status"]
    assert summary(refused)["status"] == "False"
    assert "gated" in json.dumps(refused["status"])
    assert {run.labels["xstilts.dev/kind"] for run in node.runs} == set(KINDS)
    stages = await experiments.stages("allowed")
    assert any("percent" in one["status"].get("progress", {}) for one in stages), "no pod's token was taken"
    assert given, "no token for progress was seen on the node"

    there = [json.dumps(await api.get(path.format(restricted))) for path in READ]
    told = [operator.log, *(run.said() for run in node.runs), *there]
    for secret in (CANARY, *given):
        assert not [text for text in told if secret in text]
        assert not holding(root, secret)
        assert not holding(tmp_path / "operator", secret)
        assert not left_by_pods(pods, secret)


def left_by_pods(pods: Path, secret: str) -> Sequence[str]:
    """Files that hold it, but the volume that the kubelet takes away with the pod."""
    return [file for file in holding(pods, secret) if "/volumes/progress/" not in file]


async def collect(pods: Path, given: set[str]) -> None:
    """The tokens that lie in pods' volumes, while they do."""
    while True:
        given |= await asyncio.to_thread(tokens_now, pods)
        await asyncio.sleep(0.1)


def tokens_now(pods: Path) -> set[str]:
    """Those that lie there now."""
    found = set()
    for file in pods.glob("*/volumes/progress/token"):
        with suppress(FileNotFoundError):  # the pod has just gone
            found.add(file.read_text())
    return found
