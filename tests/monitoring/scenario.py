"""An operator's hour in a minute: experiments of every fate on a real API server, and a Prometheus that looks on.

What it has seen is asked for afterwards, at the times that the scenario has written down: Prometheus forgets nothing.
"""

from __future__ import annotations

import asyncio
import signal
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import aiohttp

from controlplane.api import Api, Object, connect, eventually
from controlplane.experiments import Experiments, Labels, answering, manifest, summary
from controlplane.operating import Operator
from controlplane.plane import ControlPlane
from controlplane.player import RUNS_ON, Outcome, playing
from monitoring.prometheus import SCRAPE_SECONDS, Client, Prometheus
from monitoring.scores import scoring
from xstilts_operator.progress.protocol import CA_CONFIG_MAP, CA_KEY, audience, url
from xstilts_trainer.progress import Reporter

NAMESPACE, CLOSED = "team", "closed"
INTERMEDIATES = ("mnli", "qqp", "squad")
TARGETS = ("xnli", "pawsx", "xquad", "tatoeba")
MODELS = {"mt5-small": "google/mt5-small", "mt5-large": "google/mt5-large"}  # not in the order of their names
_COMMIT = "0123456789abcdef0123456789abcdef01234567"  # nobody fetches it: the pods are played
_GPU = {"resources": {"gpus": 1}, "parallelism": 16}
_OUTAGE_SECONDS = 8
REPORTS = ((35, 5400), (60, 3100), (80, 1500))  # percent and seconds that are left, of the trainings that run


@dataclass(frozen=True)
class Watched:
    """What was seen.

    Attributes:
        prometheus: it has all of it.
        exposition: what the operator said at /metrics, when all was going.
        begin, going, down: times: when the operator began, when all was going, and when it had ended.
        reached: metrics' own times: an alert that was provoked -> when its expression was first true.
    """

    prometheus: Client
    exposition: str
    begin: float
    going: float
    down: float
    reached: dict[str, float]


@contextmanager
def watched(folder: Path, crds: list[Path], alerts: Path, expressions: dict[str, str]) -> Iterator[Watched]:
    """The scenario, played; Prometheus answers until the end of the block.

    `expressions` are the alerts', by name: those of `PROVOKED` are waited for.
    """
    with ControlPlane(_made(folder / "plane")) as plane:
        plane.apply_crds(*crds)
        for name in (NAMESPACE, CLOSED):
            plane.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
        settings = {"namespaces": [NAMESPACE, CLOSED], "resyncSeconds": 3}
        operator = Operator(plane, NAMESPACE, _made(folder / "operator"), progress=True, settings=settings)
        prometheus = Prometheus(folder / "prometheus", f"127.0.0.1:{operator.metrics}", alerts)
        prometheus.start()
        try:
            seen = asyncio.run(_Scenario(plane, operator, prometheus, expressions).play())
        except BaseException:
            prometheus.stop()
            raise
    try:
        yield seen
    finally:
        prometheus.stop()


class _Scenario:
    """See `watched`."""

    def __init__(
        self, plane: ControlPlane, operator: Operator, prometheus: Prometheus, expressions: dict[str, str]
    ) -> None:
        self._plane = plane
        self._operator = operator
        self._prometheus = prometheus
        self._expressions = expressions
        self._reached: dict[str, float] = {}
        self._ends: str | None = None  # of the trainings of `running`

    async def play(self) -> Watched:
        begin = time.time()
        try:
            await self._operator.start()
            # Early: a tenth of all requests must fail, and there are few yet, most of them its full lists.
            await asyncio.to_thread(self._plane.restart_apiserver, kill=True, down_s=_OUTAGE_SECONDS)
            await self._until_true("XstiltsRequestsFail")
            async with (
                connect(self._plane.kubeconfig) as api,
                playing(scoring(answering(api, NAMESPACE, self._fate, seconds=0.3), api, NAMESPACE)),
            ):
                await self._experiments(api)
                going = time.time()
                exposition = await asyncio.to_thread(self._scrape)
            assert await self._operator.stop(signal.SIGTERM) == 0, self._operator.log
            await self._until_true("XstiltsOperatorDown")
        finally:
            await self._operator.end()
        return Watched(self._prometheus, exposition, begin, going, time.time(), self._reached)

    async def _experiments(self, api: Api) -> None:
        experiments, closed = Experiments(api, NAMESPACE), Experiments(api, CLOSED)
        await api.create(
            f"/api/v1/namespaces/{CLOSED}/resourcequotas",
            {"metadata": {"name": "no-jobs"}, "spec": {"hard": {"count/jobs.batch": "0"}}},
        )
        await eventually(lambda: _is_enforced(api))
        await experiments.submit(
            _sizes("sizes"), _broken("broken"), manifest("astray", store={"name": "none"})
        )
        await closed.submit(manifest("refused"))
        await experiments.submit(
            manifest("running", seeds=tuple(range(1, len(REPORTS) + 2)), **_GPU),
            manifest("paused", suspend=True),
            manifest("waiting"),
        )
        await experiments.says("paused", "Suspended")
        await experiments.says("astray", "StoreUnknown")
        await self._reported(api, experiments)
        await self._refused_reports()
        (sizes, broken) = await experiments.ended("sizes", "broken", within_s=400)
        assert summary(sizes)["reason"] == "Completed", sizes["status"]
        assert summary(broken)["status"] == "False"
        await experiments.submit(_sizes("again", "mt5-small"))
        await experiments.ended("again", within_s=200)
        for alert in sorted(PROVOKED - self._reached.keys() - {"XstiltsOperatorDown"}):
            await self._until_true(alert)
        await asyncio.sleep(3 * SCRAPE_SECONDS)

    async def _reported(self, api: Api, experiments: Experiments) -> None:
        """The pods of `running` tell their progress, until their stages say so."""
        folder = self._plane.folder

        async def all_run() -> list[Object]:
            pods = await experiments.running("running")
            on = [pod for pod in pods if self._runs_on(pod["metadata"]["labels"])]
            return on if len(on) == len(REPORTS) else []

        pods = await eventually(all_run, within_s=120)
        bundle = f"/api/v1/namespaces/{NAMESPACE}/configmaps/{CA_CONFIG_MAP}"
        await eventually(lambda: api.exists(bundle))
        (folder / CA_KEY).write_text((await api.get(bundle))["data"][CA_KEY])
        for pod, (percent, left) in zip(pods, REPORTS, strict=True):
            name = pod["metadata"]["labels"]["xstilts.dev/stage"]
            bearer = folder / f"{name}.token"
            bearer.write_text(await _token(api, name, pod))
            notes: list[str] = []
            reporter = Reporter(self._address(name), folder / CA_KEY, bearer, notes.append)
            await asyncio.to_thread(reporter.tell, percent, left, {"loss": "0.69"})
            assert not notes

        async def told() -> bool:
            stages = await experiments.stages("running")
            return sum("progress" in one.get("status", {}) for one in stages) == len(REPORTS)

        await eventually(told)

    async def _refused_reports(self) -> None:
        """Reports without a token, as of somebody else's pod."""
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=False)) as session:
            for _ in range(12):
                async with session.post(self._address("train-0"), json={}) as answer:
                    assert answer.status == 401
                await asyncio.sleep(SCRAPE_SECONDS / 4)

    async def _until_true(self, alert: str) -> None:
        """Wait until an alert's expression is true."""

        async def is_true() -> bool:
            return bool(await asyncio.to_thread(self._prometheus.at, self._expressions[alert], time.time()))

        try:
            await eventually(is_true, within_s=120, every_s=SCRAPE_SECONDS / 2)
        except TimeoutError as error:
            raise AssertionError(f"{alert} was not provoked: {self._operator.log[-3000:]}") from error
        self._reached[alert] = time.time()

    async def _fate(self, labels: Labels) -> Outcome | None:
        """How a pod ends, by its experiment and what it does. Of the trainings of `running` only one ends."""
        experiment, kind = labels["xstilts.dev/experiment"], labels["xstilts.dev/kind"]
        if (experiment, kind) == ("waiting", "lookup"):
            return RUNS_ON
        if (experiment, kind) == ("broken", "train"):
            return Outcome(exit_code=64, after_seconds=0.3)
        if (experiment, kind) == ("running", "train"):
            self._ends = self._ends or labels["xstilts.dev/stage"]
            if self._runs_on(labels):
                return RUNS_ON
        return Outcome(after_seconds=0.3, claimed_seconds=1800) if kind == "train" else None

    def _runs_on(self, labels: Labels) -> bool:
        """Whether a pod of `running` is one of the trainings that go on until the end."""
        stage = labels["xstilts.dev/stage"]
        return labels["xstilts.dev/kind"] == "train" and self._ends not in {None, stage}

    def _address(self, stage: str) -> str:
        return url(f"https://127.0.0.1:{self._operator.reports}", NAMESPACE, stage)

    def _scrape(self) -> str:
        address = f"http://127.0.0.1:{self._operator.metrics}/metrics"
        with urllib.request.urlopen(address, timeout=10) as answer:
            return str(answer.read().decode())


PROVOKED = frozenset(
    {
        "XstiltsOperatorDown",
        "XstiltsRequestsRefused",
        "XstiltsRequestsFail",
        "XstiltsProgressRefused",
        "XstiltsExperimentHindered",
        "XstiltsExperimentWaits",
        "XstiltsStagesFailed",
    }
)


def _sizes(name: str, *models: str) -> Object:
    """The question of model size, or a part of it."""
    made = manifest(name, intermediates=INTERMEDIATES, targets=TARGETS, **_GPU)
    made["spec"]["models"] = [
        {"name": model, "pretrained": hub, "revision": _COMMIT}
        for model, hub in MODELS.items()
        if model in (models or MODELS)
    ]
    return made


def _broken(name: str) -> Object:
    return manifest(name, targets=("xnli", "pawsx"))


async def _token(api: Api, stage: str, pod: Object) -> str:
    """What the kubelet would project into the pod."""
    bound = {"kind": "Pod", "apiVersion": "v1"} | {key: pod["metadata"][key] for key in ("name", "uid")}
    spec = {
        "audiences": [audience(NAMESPACE, stage)],
        "expirationSeconds": 3600,
        "boundObjectRef": bound,
    }
    account = pod["spec"]["serviceAccountName"]
    answer = await api.create(
        f"/api/v1/namespaces/{NAMESPACE}/serviceaccounts/{account}/token",
        {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": spec},
    )
    return str(answer["status"]["token"])


async def _is_enforced(api: Api) -> bool:
    quota = await api.get(f"/api/v1/namespaces/{CLOSED}/resourcequotas/no-jobs")
    return "hard" in quota.get("status", {})


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True)
    return folder
