"""How many Jobs a second are done: by nobody but Kubernetes, by training-operator, and by us."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bench.operator_bench.bodies import Object, one_stage, plain_job, pytorch_job
from bench.operator_bench.figure import Figure, at_most, plain, times_peer
from bench.operator_bench.load import Tally, following, has_condition, jobs_path, own_path, submit
from bench.operator_bench.operator_process import running
from bench.operator_bench.stand import Stand, memory_megabytes, processor_seconds
from bench.operator_bench.training_operator import THREADS, training_operator

JOBS_OF_AN_EXPERIMENT: Final = 3  # its lookup, its stage, its report
_PATIENCE_SECONDS: Final = 3600.0


@dataclass(frozen=True)
class Drained:
    """How long a number of objects took, and what each program took of the processors meanwhile, in seconds."""

    number: int
    seconds: float
    processor: Mapping[str, float]

    @property
    def rate(self) -> float:
        """Objects a second."""
        return self.number / self.seconds

    def __str__(self) -> str:
        shares = (f"{name} {seconds / self.seconds:.2f}" for name, seconds in sorted(self.processor.items()))
        return f"{self.seconds:.0f} s; processors taken: {', '.join(shares)}"


async def drain_plain_jobs(stand: Stand, number: int) -> Drained:
    """Plain Jobs with no operator: the limit of API server, scheduler, Job controller and kwok."""
    namespace = await stand.namespace("plain")
    bodies = [plain_job(namespace, index) for index in range(number)]
    done = Tally(stand.api, jobs_path(namespace), _is_complete, {"fieldSelector": "status.successful=1"})
    return await _drain(stand, bodies, jobs_path(namespace), done)


async def drain_pytorch_jobs(stand: Stand, number: int) -> tuple[Drained, float]:
    """PyTorchJobs; also the resident memory of training-operator."""
    namespace = await stand.namespace("peer")
    path = f"/apis/kubeflow.org/v1/namespaces/{namespace}/pytorchjobs"
    bodies = [pytorch_job(namespace, index) for index in range(number)]
    async with training_operator(stand) as daemon:
        own = lambda: {"training-operator": processor_seconds(daemon.pid)}  # noqa: E731 - it is said once
        drained = await _drain(stand, bodies, path, Tally(stand.api, path, _has_succeeded), own)
        return drained, memory_megabytes(daemon.pid, "VmHWM")


async def drain_experiments(
    stand: Stand, number: int, profile: Path | None
) -> tuple[Drained, float, Counter[tuple[str, str]]]:
    """Experiments of one stage; also the operator's resident memory, and its requests by verb and resource."""
    namespace = await stand.namespace("experiments")
    path = own_path(namespace, "transferexperiments")
    bodies = [one_stage(namespace, index) for index in range(number)]
    async with running(stand, namespace, profile) as operator:
        pid = operator.daemon.pid
        drained = await _drain(
            stand,
            bodies,
            path,
            Tally(stand.api, path, _has_succeeded),
            lambda: {"operator": processor_seconds(pid)},
        )
        return drained, memory_megabytes(pid, "VmHWM"), await operator.requests()


async def _drain(
    stand: Stand,
    bodies: list[Object],
    path: str,
    done: Tally,
    own: Callable[[], dict[str, float]] = dict,
) -> Drained:
    """Submit all, and wait until all are done; the time is from the first POST."""
    before = stand.processor_seconds() | own() | {"bench": time.process_time()}
    async with following(done):
        telling = asyncio.create_task(_tell(stand, done, len(bodies)))
        begun = await submit(stand.api, path, bodies)
        end = await done.reach(len(bodies), within_s=_PATIENCE_SECONDS)
        telling.cancel()
    after = stand.processor_seconds() | own() | {"bench": time.process_time()}
    return Drained(len(bodies), end - begun, {name: after[name] - before[name] for name in before})


async def _tell(stand: Stand, done: Tally, number: int) -> None:
    while True:
        await asyncio.sleep(10)
        stand.say(f"{len(done.seen)} of {number} done")


def _is_complete(job: Object) -> bool:
    return has_condition(job, "Complete")


def _has_succeeded(item: Object) -> bool:
    return has_condition(item, "Succeeded")


# -- the figures ------------------------------------------------------------------------------------------------------


def plain_figure(drained: Drained) -> Figure:
    """The first peer's."""
    note = f"{drained.number} Jobs of a stage's pods, no operator; {drained}"
    return plain("plain Jobs", drained.rate, "Jobs/s", note)


def peer_figure(drained: Drained, memory: float) -> Figure:
    """The second peer's."""
    note = (
        f"{drained.number} PyTorchJobs of one pod, --controller-threads={THREADS}; its client is limited to 20 requests/s, "
        f"its default; at most {memory:.0f} MB resident; {drained}"
    )
    return plain("training-operator v1.8.1", drained.rate, "Jobs/s", note)


def drain_figures(
    drained: Drained,
    memory: float,
    requests: Counter[tuple[str, str]],
    jobs: Drained | None,
    peer: Drained | None,
) -> list[Figure]:
    """Ours: the rate beside both peers, and the writes a stage."""
    rate = drained.rate * JOBS_OF_AN_EXPERIMENT
    note = (
        f"{drained.number} experiments of one stage: {JOBS_OF_AN_EXPERIMENT} Jobs each (lookup, stage, report), {drained.rate:.1f} "
        f"experiments/s; the operator at most {memory:.0f} MB resident; {drained}"
    )
    return [
        times_peer(
            "experiments drained, beside plain Jobs", rate, "Jobs/s", jobs.rate if jobs else None, 0.6, note
        ),
        times_peer(
            "experiments drained, beside training-operator", rate, "Jobs/s", peer.rate if peer else None, 4.0
        ),
        _writes_figure(drained.number, requests),
    ]


def _writes_figure(number: int, requests: Counter[tuple[str, str]]) -> Figure:
    """Writes of stages and their Jobs; every experiment has one stage, and two Jobs that are its own."""
    reads = {"get", "list"}
    stages = sum(
        count for (verb, kind), count in requests.items() if kind == "transferstages" and verb not in reads
    )
    jobs = sum(count for (verb, kind), count in requests.items() if kind == "jobs" and verb not in reads)
    writes = (stages + jobs) / number - (JOBS_OF_AN_EXPERIMENT - 1)
    every = ", ".join(
        f"{verb} {kind} {count / number:.2f}" for (verb, kind), count in sorted(requests.items())
    )
    return at_most(
        "API writes a stage", writes, "writes", 4, f"all requests of the operator, an experiment: {every}"
    )
