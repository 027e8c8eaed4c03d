"""The command line against a real API server, with the operator running: what a person does from submit to export."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import Result
from typer.testing import CliRunner

from controlplane.api import Api, Object, eventually
from controlplane.cluster import Cluster, write_kubeconfig
from controlplane.experiments import GROUP, Experiments, Labels, answering, manifest
from controlplane.kubelet import serving_logs
from controlplane.operating import operating
from controlplane.player import RUNS_ON, Outcome, playing
from xstilts.cli import app
from xstilts.cluster.client import Client
from xstilts.cluster.place import ClusterPlace
from xstilts.loading import of_cluster
from xstilts.notebook import COLUMNS, results
from xstilts.plan import plan as plan_experiment
from xstilts.spec import parse_experiment
from xstilts.stage import Kind
from xstilts.store import Store

pytestmark = [pytest.mark.slow, pytest.mark.anyio]
Run = Callable[..., Awaitable[Result]]


@pytest.fixture
def run(cluster: Cluster, namespace: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """The command line in a thread, so that operator and pods go on; in the test's namespace and folder."""
    monkeypatch.setenv("KUBECONFIG", str(cluster.kubeconfig))
    monkeypatch.chdir(tmp_path)

    async def invoke(*arguments: str, code: int = 0) -> Result:
        done = await asyncio.to_thread(CliRunner().invoke, app, [*arguments, "-n", namespace])
        assert done.exit_code == code, done.output
        return done

    return invoke


def write(folder: Path, document: Object) -> str:
    name: str = f"{document['metadata']['name']}.yaml"
    (folder / name).write_text(yaml.safe_dump(document), encoding="utf-8")
    return name


async def test_from_submit_to_export(
    cluster: Cluster, api: Api, namespace: str, tmp_path: Path, run: Run
) -> None:
    file = write(tmp_path, manifest("good", intermediates=("qqp",), seeds=(1, 2)))
    nobody = await run("submit", file, code=2)
    assert "nobody can be asked here" in nobody.stderr
    assert "6 trainings, 4 evaluations; 0 of 10 stages are done already" in nobody.stderr
    assert "takes  ? / ? / ? hours on CPU (low / likely / high)" in nobody.stderr
    assert "not estimated, and in no sum: 10 stages: unknown size of store://good (10)" in nobody.stderr
    assert json.loads((await run("list", "-o", "json", "--cluster")).stdout) == []
    async with operating(cluster, namespace, tmp_path), playing(answering(api, namespace)):
        assert (
            json.loads((await run("submit", file, "--dry-run", "-o", "json")).stdout)["action"] == "checked"
        )
        submitted = json.loads((await run("submit", file, "--yes", "-o", "json")).stdout)
        assert (submitted["action"], submitted["runs"]) == ("created", {"train": 6, "evaluate": 4})
        assert sum(one["runs"] for one in submitted["estimate"]["stages"]) == 11  # and the report
        watched = (await run("watch", "good", "-o", "json", "--every", "0.5")).stdout.splitlines()
        last = json.loads(watched[-1])
        assert (last["state"], last["succeeded"], last["done"], last["percent"]) == (
            "Completed",
            True,
            10,
            100,
        )
        assert len(watched) > 1
    (listed,) = json.loads((await run("list", "--cluster", "-o", "json")).stdout)
    assert listed["best"] == last["best"] == (await Experiments(api, namespace).get("good"))["status"]["best"]
    assert "every stage is done" in (await run("explain", "good")).stdout
    assert json.loads((await run("submit", file, "-o", "json")).stdout)["action"] == "unchanged"
    plan = json.loads((await run("plan", file, "--cluster", "-o", "json")).stdout)
    assert {one["cached"] for one in plan["stages"] if one["kind"] != "report"} == {True}
    assert plan["estimate"]["total"]["toRun"] == {"low": 0, "likely": 0, "high": 0}
    await agrees_with_the_status(cluster, api, namespace, run)
    exported = json.loads((await run("export", "good", "out", "-o", "json")).stdout)
    assert {"experiment.yaml", "plan.json", "scores.csv", "tables.md"} <= set(exported["files"])


async def agrees_with_the_status(cluster: Cluster, api: Api, namespace: str, run: Run) -> None:
    """Table, pivot, comparison and data frame hold the numbers that the operator has summed up."""
    summary = (await Experiments(api, namespace).get("good"))["status"]["results"]
    found = json.loads((await run("results", "good", "-o", "json")).stdout)
    scores = {(one["model"], one["intermediate"]): one["score"]["mean"] for one in found["combinations"]}
    assert {names: f"{mean:.1f}" for names, mean in scores.items()} == {
        (row["model"], row["intermediate"]): row["score"] for row in summary
    }
    pivot = (await run("results", "good", "--pivot", "-o", "markdown")).stdout
    assert "| good | mean |" in pivot
    compared = json.loads((await run("compare", "good", "good", "-o", "json")).stdout)
    assert {row["difference"] for row in compared["rows"]} == {0}
    assert compared["fields"] == []
    frame = await asyncio.to_thread(
        results, "good", cluster=True, namespace=namespace, kubeconfig=str(cluster.kubeconfig)
    )
    assert tuple(frame.columns) == COLUMNS
    means = frame[frame.metric == "score"].groupby(["model", "intermediate"])["value"].mean()
    assert means.to_dict() == pytest.approx(scores)


async def test_submit_estimates_models_and_rows_that_a_store_holds(
    namespace: str, tmp_path: Path, run: Run
) -> None:
    store = Store.open(str(tmp_path / "store"), namespace)
    config = {
        "model_type": "bert",
        "hidden_size": 384,
        "intermediate_size": 1536,
        "num_attention_heads": 12,
        "num_hidden_layers": 12,
        "max_position_embeddings": 512,
        "type_vocab_size": 2,
        "vocab_size": 250_037,
    }
    model = tmp_path / "model"
    model.mkdir()
    (model / "config.json").write_text(json.dumps(config), encoding="utf-8")
    document = manifest("known")
    document["spec"]["models"][0]["pretrained"] = str(store.put("model", model))
    file = write(tmp_path, document)
    unknown = json.loads((await run("submit", file, "--dry-run", "-o", "json")).stdout)["estimate"]
    assert unknown["total"]["unknown"]
    options = ("--store", str(tmp_path / "store"), "--accelerator", "L4", "--price", "0.50 EUR")
    known = json.loads((await run("submit", file, "--dry-run", "-o", "json", *options)).stdout)["estimate"]
    assert known["total"]["unknown"] == {}
    assert known["assumed"] == ["mnli", "xnli"]
    assert 0 < known["total"]["cost"]["low"] < known["total"]["cost"]["high"]
    planned = json.loads((await run("plan", file, "--cluster", "-o", "json", *options)).stdout)["estimate"]
    assert planned == known


async def test_a_plan_holds_what_stages_were_paid_for_against_what_it_says(
    api: Api, namespace: str, tmp_path: Path, run: Run
) -> None:
    document = manifest("paid", resources={"gpus": 2})
    pinned = {"pretrained": "FacebookAI/xlm-roberta-base", "revision": "0" * 40}
    document["spec"]["models"][0] = {"name": "paid", **pinned}
    file = write(tmp_path, document)
    experiment = parse_experiment(yaml.safe_dump(document))
    (training,) = plan_experiment(experiment).of_kind(Kind.TRAIN)
    stages = f"{GROUP}/namespaces/{namespace}/transferstages"
    spec = {"key": training.key, "kind": "train", "store": experiment.spec.store.name, "stage": "{}"}
    stage = {
        "apiVersion": GROUP.removeprefix("/apis/"),
        "kind": "TransferStage",
        "metadata": {"name": "train-1"},
    }
    await api.create(stages, {**stage, "spec": spec})
    usage = [
        {"experiment": name, "experimentUID": name, "gpuSeconds": seconds}
        for name, seconds in (("paid", 5000), ("other", 2200))
    ]
    status = {"state": "Succeeded", "attempt": {"number": 3, "gpus": 2}, "usage": usage}
    await api.patch(f"{stages}/train-1/status", {"status": status}, fieldManager="xstilts")
    said = json.loads((await run("plan", file, "--cluster", "-o", "json")).stdout)["estimate"]
    (measured,) = said["measured"]
    assert (measured["key"], measured["seconds"]) == (training.key, 3600)  # of both GPUs
    assert measured["ratio"] == pytest.approx(3600 / measured["predicted"]["likely"], rel=0.01)
    assert said["total"]["notRun"]["likely"] > 0


async def test_gc_asks_the_cluster_for_what_it_has(
    cluster: Cluster, api: Api, namespace: str, tmp_path: Path, run: Run
) -> None:
    """Of experiments without a commit, whose keys no file leads to: one that was accepted, one that was not yet, one that is gone."""
    store, seen = Store.open(str(tmp_path / "store"), namespace), Experiments(api, namespace)
    place = ClusterPlace(Client.connect(str(cluster.kubeconfig), None), namespace)

    async def leave(name: str) -> set[str]:
        """What its stages would leave in the store."""
        planned = [
            one
            for one in (await asyncio.to_thread(place.plan, name)).stages
            if one.stage.kind is not Kind.REPORT
        ]
        for one in planned:
            with store.write(one.stage, {}) as draft:
                (draft.path / "output").write_bytes(bytes(1000))
        return {one.key for one in planned}

    def unpinned(name: str) -> Object:
        document = manifest(name)
        document["spec"]["models"][0] = {"name": name, "pretrained": "FacebookAI/xlm-roberta-base"}
        return document

    async with operating(cluster, namespace, tmp_path), playing(answering(api, namespace)):
        await seen.submit(unpinned("accepted"))
        await seen.until("accepted", succeeded, within_s=120)
    accepted = await leave("accepted")
    assert {one["spec"]["key"] for one in await seen.stages("accepted")} == accepted
    await seen.submit(unpinned("new"), unpinned("gone"))
    new, gone = await leave("new"), await leave("gone")
    await seen.delete("gone")
    found = json.loads((await run("gc", "--cluster", "--store", "store", "-o", "json")).stdout)
    assert len(found["items"]) == len(gone)
    removed = await run("gc", "--cluster", "--store", "store", "--yes")
    assert (removed.stderr, set(store.keys())) == ("", accepted | new)
    assert "everything in the store is needed" in (await run("gc", "--cluster", "--store", "store")).stdout


async def test_what_fails_is_explained_and_tried_again(
    cluster: Cluster, api: Api, namespace: str, tmp_path: Path, run: Run
) -> None:
    mended = asyncio.Event()

    async def special(labels: Labels) -> Outcome | None:
        if labels.get("xstilts.dev/kind") == "train" and not mended.is_set():
            return Outcome(exit_code=64, message="no rows")
        return None

    file = write(tmp_path, manifest("bad"))
    async with operating(cluster, namespace, tmp_path), playing(answering(api, namespace, special)):
        await run("submit", file, "--yes")
        watched = await run("watch", "bad", "--every", "0.5", code=1)
        assert "Failed      train xnli after none on bad, seed 1" in watched.stdout
        explained = json.loads((await run("explain", "bad", "-o", "json")).stdout)
        assert explained["stage"] == "train xnli after none on bad, seed 1"
        assert explained["reason"].startswith("InvalidStage: exit code 64")
        assert explained["event"].startswith("Failed: ")
        assert explained["remedy"].endswith("xstilts retry bad --failed")
        # the player is no kubelet: the log is what the status keeps
        assert (await run("logs", "bad")).stdout == "no rows\n"
        mended.set()
        retried = await run("retry", "bad", "--failed")
        assert "2 stages that failed or could not run: tried again" in retried.stdout
        await Experiments(api, namespace).until("bad", succeeded, within_s=120)
        assert "nothing has failed" in (await run("retry", "bad", "--failed")).stdout


async def test_the_log_of_a_pod_that_runs(
    cluster: Cluster, api: Api, namespace: str, tmp_path: Path, run: Run
) -> None:
    async def special(labels: Labels) -> Outcome | None:
        return RUNS_ON if labels.get("xstilts.dev/kind") == "train" else None

    said = ["reads", "step 1 loss 0.7", "step 2 loss 0.6"]
    player = answering(api, namespace, special)
    file = write(tmp_path, manifest("speaks"))
    async with operating(cluster, namespace, tmp_path), playing(player):
        await run("submit", file, "--yes")
        await Experiments(api, namespace).says("speaks", "Running", within_s=120)

        async def trains() -> bool:
            return any(play.pod["metadata"]["name"].startswith("train") for play in player.plays)

        await eventually(trains, within_s=120)
        async with serving_logs(api, player.node, tmp_path, lambda pod: said if "train" in pod else []):
            shown = await run("logs", "speaks", "--tail", "2")
            assert shown.stdout == "step 1 loss 0.7\nstep 2 loss 0.6\n"
            assert shown.stderr.startswith("train xnli after none on speaks, seed 1 (Running, train-")
            followed = await run("logs", "speaks", "-f", "--stage", "train xnli")
            assert followed.stdout.splitlines() == said
            assert ", it advances" in (await run("explain", "speaks")).stdout


def succeeded(experiment: Object) -> bool:
    conditions: list[Any] = experiment.get("status", {}).get("conditions", [])
    return any(one["status"] == "True" for one in conditions)


async def test_suspend_edit_and_what_is_refused(
    cluster: Cluster, api: Api, namespace: str, tmp_path: Path, run: Run
) -> None:
    async def special(_: Labels) -> Outcome | None:
        return RUNS_ON if forever else None

    forever = False
    experiments = Experiments(api, namespace)
    written = manifest("long", seeds=(1, 2))
    file = write(tmp_path, written)
    unseen = await run("submit", file, "--yes")
    assert "xstilts watch long --cluster" in unseen.stdout
    async with operating(cluster, namespace, tmp_path), playing(answering(api, namespace, special)):
        await experiments.until("long", lambda one: one.get("status", {}).get("startTime"), within_s=120)
        forever = True
        assert "is suspended" in (await run("suspend", "long")).stdout
        assert "is suspended already" in (await run("suspend", "long")).stdout
        await experiments.says("long", "Suspended", within_s=120)
        explained = (await run("explain", "long")).stdout
        assert "spec.suspend is true" in explained
        assert "xstilts resume long" in explained
        assert "goes on" in (await run("resume", "long")).stdout
        await experiments.until(
            "long", lambda one: "suspend" not in one["spec"] or not one["spec"]["suspend"]
        )
        doctor = json.loads((await run("doctor", "--cluster", "-o", "json")).stdout)
        verdicts = {one["name"]: one["verdict"] for one in doctor}
        assert verdicts["CRDs"] == verdicts["operator"] == verdicts["your rights"] == "ok"
    write(tmp_path, written | {"spec": written["spec"] | {"seeds": [1]}})
    other = await run("submit", file, "--yes", code=64)
    assert "or come with --edit" in other.stderr
    frozen = await run("submit", file, "--yes", "--edit", code=64)
    assert frozen.stderr.splitlines()[-1].startswith("error: spec.seeds: must keep every seed")
    write(tmp_path, written | {"spec": written["spec"] | {"parallelism": 3}})
    assert "changed" in (await run("submit", file, "--yes", "--edit")).stdout
    assert (await experiments.get("long"))["spec"]["parallelism"] == 3


async def test_errors_for_people(cluster: Cluster, namespace: str, tmp_path: Path, run: Run) -> None:
    file = write(tmp_path, manifest("lost"))
    unknown = await run("watch", "nobody", code=64)
    assert f"must be in cluster test, namespace {namespace}, is not (there: none)" in unknown.stderr
    context = await run("list", "--context", "other", code=64)
    assert "must be one of" in context.stderr
    await run("submit", file, "--yes")
    unplanned = await run("results", "lost", code=64)
    assert "must have been planned by the operator, is not" in unplanned.stderr
    dead = write_kubeconfig(
        tmp_path / "dead.kubeconfig",
        server="https://127.0.0.1:1",
        authority=b"",
        user={"token": "none"},
    )
    away = await run("list", "--kubeconfig", str(dead), code=1)
    assert "must answer at https://127.0.0.1:1, does not" in away.stderr
    stranger = cluster.service_account_kubeconfig(namespace, "default")
    denied = await run("list", "--kubeconfig", str(stranger), code=1)
    assert "must let you read" in denied.stderr
    checks = await run("doctor", "--cluster", "--kubeconfig", str(stranger), "-o", "json", code=1)
    assert {one["name"]: one["verdict"] for one in json.loads(checks.stdout)}["your rights"] == "FAILED"


async def test_an_accepted_plan_is_the_files_own(
    cluster: Cluster, api: Api, namespace: str, tmp_path: Path, run: Run
) -> None:
    """Keys on the cluster are those that `xstilts plan` shows: nothing in this file is unpinned."""
    file = write(tmp_path, manifest("planned", intermediates=("qqp",)))
    planned = json.loads((await run("plan", file, "--local", "-o", "json")).stdout)
    async with operating(cluster, namespace, tmp_path):
        await run("submit", file, "--yes")
        await Experiments(api, namespace).until(
            "planned", lambda one: one.get("status", {}).get("plan"), within_s=120
        )
    place = ClusterPlace(Client.connect(str(cluster.kubeconfig)), namespace)
    loaded = await asyncio.to_thread(of_cluster, place, "planned")
    assert [one.key for one in loaded.plan.stages] == [
        one["key"] for one in planned["stages"] if one["kind"] != "report"
    ]
    assert loaded.results.partial
