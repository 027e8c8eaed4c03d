"""The whole system on a real node: the chart, both images, the quickstart's very file, and what disturbs a run."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from chart.rendering import CHART, HelmError
from chart.test_dashboards import DASHBOARDS
from controlplane.api import Api, Object, connect, eventually
from controlplane.cluster import Cluster
from controlplane.experiments import Experiments, summary
from controlplane.recording import recording
from monitoring.frames import Board, Window
from monitoring.prometheus import SCRAPE_SECONDS, Prometheus
from node import place
from node.installation import RELEASE, SYSTEM, Installation, outputs, put_inputs, store
from xstilts.stage import Kind

pytestmark = [pytest.mark.slow, pytest.mark.cluster, pytest.mark.anyio, pytest.mark.timeout(3600)]

PLAIN, DISTURBED, SMALL = "plain", "disturbed", "small"
FINISHED_WITHIN_S = 3000
GPU = "nvidia.com/gpu"
# What the quickstart has nothing for at its end: a panel -> the metric that is missing for it.
SILENT = {
    "Alerts": "ALERTS",
    "Progress and cost": "xstilts_experiment_remaining_seconds",  # of what has ended
    "Transfer gap by model size": "xstilts_experiment_model_parameters",  # its models' sizes are in no list
}
# the first that a pod tells may have no time yet
RUNNING = "xstilts_running_stage_progress_ratio > 0 and xstilts_running_stage_remaining_seconds"
CLUSTERS_OWN = {("ConfigMap", "kube-root-ca.crt"), ("ServiceAccount", "default")}  # in every namespace


@pytest.fixture(scope="module")
def installed(node: Cluster) -> Iterator[Installation]:
    installation = Installation(node, (PLAIN, DISTURBED, SMALL))
    installation.install()
    yield installation
    installation.remove()


@pytest.fixture
async def api(node: Cluster) -> AsyncIterator[Api]:
    async with connect(node.kubeconfig) as client:
        yield client


@pytest.fixture(scope="module")
def quickstart(repository: Path) -> Path:
    return repository / "examples" / "quickstart.yaml"


@pytest.fixture(scope="module")
def local_outputs(repository: Path) -> dict[str, str]:
    """Of the quickstart as `make demo` runs it on this machine, in the store of the working tree."""
    subprocess.run([sys.executable, repository / "scripts" / "demo.py"], check=True, cwd=repository)
    return outputs(repository / ".xstilts" / "default" / "default")


@dataclass(frozen=True)
class Applied:
    """The quickstart, applied and succeeded: the experiment, and the times between which it went."""

    experiment: Object
    begin: float
    end: float


@pytest.fixture(scope="module")
def prometheus(installed: Installation, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    """A Prometheus that scrapes the operator from before the quickstart is applied."""
    folder = tmp_path_factory.mktemp("prometheus")
    server = Prometheus(folder, installed.metrics_address(), CHART / "files" / "alerts.yaml")
    server.start()
    yield server
    server.stop()


@pytest.fixture(scope="module")
def applied(installed: Installation, prometheus: Prometheus, quickstart: Path) -> Applied:
    put_inputs(quickstart, PLAIN)
    begin = time.time()
    installed.cluster.kubectl("apply", "-n", PLAIN, "-f", quickstart)

    async def ended() -> Object:
        async with connect(installed.cluster.kubeconfig) as api:
            return await succeeded(installed, api, PLAIN, "quickstart")

    experiment = asyncio.run(ended())
    print(f"quickstart on the cluster: {time.time() - begin:.0f} s")  # noqa: T201 - for -s
    time.sleep(3 * SCRAPE_SECONDS)
    return Applied(experiment, begin, time.time())


def stage_keys(installation: Installation, namespace: str) -> dict[str, str]:
    """Of every stage: its key -> its outputs digest, as the status says."""
    stages = installation.get("transferstages", "-n", namespace)["items"]
    return {one["spec"]["key"]: one.get("status", {}).get("outputsDigest", "") for one in stages}


async def succeeded(installation: Installation, api: Api, namespace: str, name: str) -> Object:
    (ended,) = await Experiments(api, namespace).ended(name, within_s=FINISHED_WITHIN_S)
    told = installation.cluster.kubectl("describe", "tx,pods", "-n", namespace)
    assert summary(ended)["status"] == "True", told
    return ended


def test_helm_test_passes(installed: Installation) -> None:
    try:
        told = installed.helm("test", RELEASE, "--timeout=5m")
    except HelmError as error:
        pytest.fail(f"{error}\n{installed.cluster.kubectl('logs', '-n', SYSTEM, f'{RELEASE}-test')}")
    assert "Succeeded" in told


def test_the_quickstart_makes_on_a_cluster_what_it_makes_here(
    installed: Installation, applied: Applied, local_outputs: dict[str, str]
) -> None:
    ended = applied.experiment
    made = outputs(store(PLAIN) / PLAIN)
    assert made
    assert {key: local_outputs.get(key) for key in made} == made
    told = stage_keys(installed, PLAIN)
    assert {key: digest for key, digest in told.items() if key in made} == made
    assert ended["status"]["counts"]["succeeded"] == ended["status"]["counts"]["total"]
    assert ended["status"]["report"]["state"] == "Written"
    assert (store(PLAIN) / PLAIN / "reports" / "quickstart" / "report.html").is_file()
    assert ended["status"]["results"]


@pytest.mark.parametrize("name", DASHBOARDS)
def test_every_panel_of_a_dashboard_shows_the_run(
    prometheus: Prometheus, applied: Applied, name: str
) -> None:
    running = prometheus.during(RUNNING, applied.begin, applied.end)
    assert running, prometheus.targets()
    last = max(at for _, points in running for at, _ in points)
    end = last if name == "xstilts-stages.json" else applied.end  # it shows what runs, and then nothing does
    board = Board(DASHBOARDS[name], prometheus, Window(applied.begin, end))
    silent = set()
    for panel in board.panels:
        for target in panel["targets"]:
            if not board.lines({**panel, "targets": [target]}):
                silent.add(panel["title"])
    assert silent == {title for title in SILENT if title in {panel["title"] for panel in board.panels}}
    for metric in (SILENT[title] for title in silent):
        assert not prometheus.at(metric, end), metric


def test_what_remains_was_told_until_nothing_did(prometheus: Prometheus, applied: Applied) -> None:
    ((_, told),) = prometheus.during("xstilts_experiment_remaining_seconds", applied.begin, applied.end)
    assert max(seconds for _, seconds in told) > 0
    assert min(seconds for _, seconds in told) >= 0  # while the report is written, nothing does
    assert told[-1][0] < applied.end


def test_the_scores_that_are_scraped_are_those_of_the_status(
    prometheus: Prometheus, applied: Applied
) -> None:
    scraped = {
        (series["model"], series["intermediate"], series["target"]): value
        for series, value in prometheus.at("xstilts_experiment_score", applied.end)
    }
    told = {
        (one["model"], one["intermediate"], one["target"]): pytest.approx(float(one["score"]))
        for one in applied.experiment["status"]["results"]
    }
    assert told
    assert scraped == told


def test_no_alert_fires_while_all_is_well(prometheus: Prometheus, applied: Applied) -> None:
    assert {rule["health"] for rule in prometheus.rules()} == {"ok"}
    assert prometheus.during('ALERTS{alertstate="firing"}', applied.begin, applied.end) == []


async def test_neither_a_killed_operator_nor_an_evicted_pod_changes_a_byte(
    installed: Installation, api: Api, quickstart: Path, local_outputs: dict[str, str]
) -> None:
    put_inputs(quickstart, DISTURBED)
    experiments = Experiments(api, DISTURBED)
    async with recording(api, DISTURBED) as seen:
        installed.cluster.kubectl("apply", "-n", DISTURBED, "-f", quickstart)
        evicted = await eventually(lambda: training(api), within_s=FINISHED_WITHIN_S, every_s=0.5)
        killed = installed.operator_pod()
        installed.cluster.kubectl("delete", "pod", killed, "-n", SYSTEM, "--grace-period=0", "--force")
        await evict(api, evicted)
        await succeeded(installed, api, DISTURBED, "quickstart")
    assert installed.operator_pod() != killed
    assert seen.twice == []
    assert seen.overlaps == []
    stage = evicted["metadata"]["labels"]["xstilts.dev/stage"]
    attempts = {
        one["metadata"]["name"]: (
            one["status"].get("attempt", {}).get("number"),
            one["status"].get("resumes", 0),
        )
        for one in await experiments.stages()
    }
    assert attempts.pop(stage) == (2, 1)
    assert set(attempts.values()) <= {(1, 0)}
    made = outputs(store(DISTURBED) / DISTURBED)
    assert {key: local_outputs.get(key) for key in made} == made


async def training(api: Api) -> Object | None:
    """A pod whose training has begun and is not near its end, so that there is something to lose."""
    begun = {
        stage["metadata"]["name"]
        for stage in await Experiments(api, DISTURBED).stages()
        if 0 < stage.get("status", {}).get("progress", {}).get("percent", 0) <= 60
    }
    pods = await api.get(
        f"/api/v1/namespaces/{DISTURBED}/pods", labelSelector=f"xstilts.dev/kind={Kind.TRAIN.value}"
    )
    for pod in pods["items"]:
        (container,) = pod["status"].get("containerStatuses") or ({"state": {}},)
        if "running" in container["state"] and pod["metadata"]["labels"]["xstilts.dev/stage"] in begun:
            return dict(pod)
    return None


async def evict(api: Api, pod: Object) -> None:
    """As `kubectl drain` does."""
    named = {"name": pod["metadata"]["name"], "namespace": DISTURBED}
    eviction = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": named}
    await api.create(f"/api/v1/namespaces/{DISTURBED}/pods/{named['name']}/eviction", eviction)


def small(quickstart: Path, name: str, **spec: Any) -> Object:
    """One task of the quickstart, on a few of its rows; experiments of the same seed would share their stages."""
    document: Object = yaml.safe_load(quickstart.read_text(encoding="utf-8"))
    document["metadata"]["name"] = name
    document["spec"] |= {
        "tasks": [
            one | {"languages": ["en"]} for one in document["spec"]["tasks"] if one["name"] == "name-kind"
        ],
        "intermediates": [],
        "targets": [{"task": "name-kind"}],
        "training": {
            "defaults": {
                "learningRate": "2e-4",
                "epochs": 1,
                "batchSize": 8,
                "maxLength": 32,
                "maxExamples": 32,
            }
        },
        **spec,
    }
    return document


async def test_a_node_with_one_gpu_trains_one_stage_at_a_time(
    installed: Installation, api: Api, quickstart: Path
) -> None:
    put_inputs(quickstart, SMALL)
    advertise(installed, "1")
    experiments = Experiments(api, SMALL)
    at_once, waited = 0, False
    try:
        await experiments.submit(
            small(quickstart, "one-gpu", seeds=[1, 2, 3], resources={"cpu": 1, "gpus": 1}, parallelism=3)
        )
        ended = asyncio.create_task(succeeded(installed, api, SMALL, "one-gpu"))
        while not ended.done():
            pods = [pod for pod in await experiments.pods() if GPU in limits(pod)]
            at_once = max(at_once, sum(pod["status"].get("phase") == "Running" for pod in pods))
            waited |= any(f"Insufficient {GPU}" in unscheduled(pod) for pod in pods)
            await asyncio.sleep(0.5)
        await ended
    finally:
        advertise(installed, None)
    assert at_once == 1
    assert waited


def advertise(installation: Installation, gpus: str | None) -> None:
    """Have the node say that it has GPUs (it has none, and the trainer then uses the processor)."""
    path = f"/status/capacity/{GPU.replace('/', '~1')}"
    patch = [{"op": "add", "path": path, "value": gpus} if gpus else {"op": "remove", "path": path}]
    installation.cluster.kubectl(
        "patch", "node", place.NAME, "--subresource=status", "--type=json", f"--patch={json.dumps(patch)}"
    )


def limits(pod: Object) -> Object:
    return dict(pod["spec"]["containers"][0]["resources"].get("limits", {}))


def unscheduled(pod: Object) -> str:
    """Why the scheduler has not found a node for it."""
    conditions = pod["status"].get("conditions", ())
    return " ".join(one.get("message", "") for one in conditions if one["type"] == "PodScheduled")


async def test_two_pods_train_one_model(installed: Installation, api: Api, quickstart: Path) -> None:
    """They find each other by the Service's name, through the cluster's DNS, and take every step together."""
    put_inputs(quickstart, SMALL)
    experiments = Experiments(api, SMALL)
    await experiments.submit(small(quickstart, "two-nodes", seeds=[4], resources={"cpu": 1, "nodes": 2}))
    await succeeded(installed, api, SMALL, "two-nodes")
    stage = await experiments.stage("two-nodes")
    assert stage["status"]["attempt"]["number"] == 1
    (manifest,) = store(SMALL).glob(f"{SMALL}/{stage['spec']['key']}/manifest.json")
    assert json.loads(manifest.read_text())["environment"]["hardware"]["processes"] == 2


async def test_an_upgrade_changes_no_key_of_what_was_accepted(
    installed: Installation, api: Api, quickstart: Path
) -> None:
    put_inputs(quickstart, SMALL)
    await Experiments(api, SMALL).submit(small(quickstart, "upgraded", seeds=[5], resources={"cpu": 1}))
    await succeeded(installed, api, SMALL, "upgraded")
    before, pod = stage_keys(installed, SMALL), installed.operator_pod()
    changed = installed.values(parallelism=3, pods={"defaultMemory": "3Gi", "scratch": "6Gi"})
    installed.helm("upgrade", RELEASE, CHART, "--wait", "--timeout=5m", values=changed)
    assert installed.operator_pod() != pod
    await Experiments(api, SMALL).edit("upgraded", seeds=[5, 6])  # has it planned anew, by the new operator
    await Experiments(api, SMALL).until(
        "upgraded",
        lambda one: one["status"]["observedGeneration"] == 2 and summary(one)["status"] == "True",
        within_s=FINISHED_WITHIN_S,
    )
    after = stage_keys(installed, SMALL)
    assert {key: after.get(key) for key in before} == before
    assert len(after) > len(before)


async def test_uninstalling_leaves_experiments_results_and_nothing_that_runs(installed: Installation) -> None:
    before = stage_keys(installed, PLAIN)
    installed.helm("uninstall", RELEASE, "--wait", "--timeout=5m")
    asked = "all,configmaps,secrets,serviceaccounts,roles,rolebindings,networkpolicies"

    async def left() -> set[tuple[str, str]]:
        found = installed.get(asked, "-n", SYSTEM)["items"]
        return {(one["kind"], one["metadata"]["name"]) for one in found} - CLUSTERS_OWN

    async def nothing() -> bool:
        return not await left()

    with suppress(TimeoutError):  # what ended badly is shown below
        await eventually(nothing, within_s=60)  # helm waits for the Deployment, and not for its pod's end
    assert await left() == set()
    assert stage_keys(installed, PLAIN) == before
    served = installed.get("roles,rolebindings,serviceaccounts", "-n", PLAIN)["items"]
    assert [one["metadata"]["name"] for one in served] == ["default"]
    assert outputs(store(PLAIN) / PLAIN)
    installed.install()  # over what was kept, for `remove`
