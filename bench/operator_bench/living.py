"""Large experiments that are under way: how fast they are made, how soon an event is seen, how soon a restart is over."""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from statistics import median, quantiles
from typing import Any, Final

from bench.operator_bench.bodies import Object, grid
from bench.operator_bench.figure import Figure, at_most
from bench.operator_bench.load import Tally, following, has_condition, jobs_path, own_path, pods_path, submit
from bench.operator_bench.operator_process import Operator, running
from bench.operator_bench.stand import Stand, memory_megabytes, processor_seconds

STAGES: Final = 500  # of an experiment: 10 models x 25 seeds, a training and an evaluation each
_MODELS, _SEEDS = 10, 25
_CREATIONS: Final = 3
_RELEASES_A_SECOND: Final = 10.0
_PATIENCE_SECONDS: Final = 3600.0
_STAGE_LABEL: Final = "xstilts.dev/stage"
_MERGE_LISTS: Final = "application/strategic-merge-patch+json"


@dataclass(frozen=True)
class Sizes:
    """How many stages are alive, and of how many the end is timed."""

    stages: int
    samples: int


async def living_figures(
    stand: Stand, sizes: Sizes, wanted: set[str], tell: Callable[[Figure], None], profile: Path | None
) -> None:
    """The figures of one operator and the experiments that it has under way, each told as it comes."""
    namespace = await stand.namespace("grids")
    async with running(stand, namespace, profile) as operator:
        if "create" in wanted:
            tell(await _creation(stand, namespace, operator))
        if wanted & {"latency", "restart"}:
            await _fill(stand, namespace, operator, sizes)
        if "latency" in wanted:
            for figure in await _latency(stand, namespace, operator, sizes):
                tell(figure)
        if "restart" in wanted:
            for figure in await _restart(stand, operator, sizes):
                tell(figure)


async def _creation(stand: Stand, namespace: str, operator: Operator) -> Figure:
    """From the POST of an experiment to the last of its stages, seen by a watch; of an operator that is idle."""
    times: list[float] = []
    stages = Tally(stand.api, own_path(namespace, "transferstages"), lambda _: True)
    async with following(stages):
        for number in range(_CREATIONS):
            await operator.idle(within_s=300)
            body = grid(namespace, number, models=_MODELS, seeds=_SEEDS, parallelism=1)
            begun = await submit(stand.api, own_path(namespace, "transferexperiments"), [body])
            times.append(await stages.reach(STAGES * (number + 1), within_s=300) - begun)
    note = f"the median of {', '.join(f'{one:.2f}' for one in times)} s; from the POST to the last stage in a watch"
    return at_most(f"an experiment of {STAGES} stages created", median(times), "s", 5, note)


async def _fill(stand: Stand, namespace: str, operator: Operator, sizes: Sizes) -> None:
    """Have so many stages under way: trainings whose pods run, and evaluations that wait for them."""
    path = own_path(namespace, "transferexperiments")
    there = {item["metadata"]["name"] for item in (await stand.api.get(path))["items"]}
    for name in sorted(there):
        await stand.api.patch(f"{path}/{name}", {"spec": {"parallelism": _MODELS * _SEEDS}})
    number = sizes.stages // STAGES
    bodies = [
        grid(namespace, index, models=_MODELS, seeds=_SEEDS, parallelism=_MODELS * _SEEDS)
        for index in range(number)
    ]
    bodies = [body for body in bodies if body["metadata"]["name"] not in there]
    running_jobs = Tally(stand.api, jobs_path(namespace), _runs)
    async with following(running_jobs):
        begun = await submit(stand.api, path, bodies)
        wanted = number * _MODELS * _SEEDS
        while len(running_jobs.seen) < wanted:
            stand.say(f"{len(running_jobs.seen)} of {wanted} pods run, {time.monotonic() - begun:.0f} s")
            if time.monotonic() > begun + _PATIENCE_SECONDS:
                raise TimeoutError(f"{len(running_jobs.seen)} of {wanted} pods run")
            await asyncio.sleep(5)
    await operator.idle(within_s=600)
    stand.say(f"{wanted} trainings run and as many evaluations wait, after {time.monotonic() - begun:.0f} s")


async def _latency(stand: Stand, namespace: str, operator: Operator, sizes: Sizes) -> list[Figure]:
    """From the end of a stage's Job to its status, both seen by watches."""
    pods = await _running_pods(stand, namespace)
    chosen = random.Random(0).sample(pods, min(sizes.samples, len(pods)))  # noqa: S311 - the same in every run
    ended = Tally(stand.api, jobs_path(namespace), lambda job: has_condition(job, "Complete"))
    told = Tally(stand.api, own_path(namespace, "transferstages"), _has_succeeded)
    before, begun = processor_seconds(operator.daemon.pid), time.monotonic()
    async with following(ended, told):
        for index, pod in enumerate(chosen):
            await asyncio.sleep(max(0.0, begun + index / _RELEASES_A_SECOND - time.monotonic()))
            body = {"metadata": {"uid": pod["metadata"]["uid"]}, "status": _ended(pod)}
            path = f"{pods_path(namespace)}/{pod['metadata']['name']}/status"
            await stand.api.patch(path, body, content_type=_MERGE_LISTS)
        await told.reach(len(chosen), within_s=300)
        busy = (processor_seconds(operator.daemon.pid) - before) / (time.monotonic() - begun)
    seconds = sorted(
        max(0.0, told.seen[stage] - ended.seen[f"{stage}-1"])
        for stage in (pod["metadata"]["labels"][_STAGE_LABEL] for pod in chosen)
    )
    percentiles = quantiles(seconds, n=100, method="inclusive")
    note = (
        f"{len(chosen)} stages of {sizes.stages} that are not over, {_RELEASES_A_SECOND:g} a second, each followed by its evaluation; "
        f"the longest {seconds[-1]:.2f} s; the operator took {busy:.2f} of a processor"
    )
    return [
        at_most("event to status, p50", percentiles[49], "s", 1, note),
        at_most("event to status, p99", percentiles[98], "s", 5),
    ]


async def _restart(stand: Stand, operator: Operator, sizes: Sizes) -> list[Figure]:
    """Killed and started again: until it is ready and has nothing to do."""
    before = memory_megabytes(operator.daemon.pid, "VmHWM")
    operator.daemon.stop(kill=True)
    served = stand.processor_seconds()
    begun = await operator.start()
    ready = time.monotonic() - begun
    listing = {"operator": processor_seconds(operator.daemon.pid)} | {
        name: seconds - served[name] for name, seconds in stand.processor_seconds().items()
    }
    idle = await operator.idle(within_s=300) - begun
    taken = processor_seconds(operator.daemon.pid)
    after, now = memory_megabytes(operator.daemon.pid, "VmHWM"), memory_megabytes(operator.daemon.pid)
    shares = ", ".join(f"{name} {seconds:.1f}" for name, seconds in sorted(listing.items()))
    note = (
        f"SIGKILL and start with {sizes.stages} stages; ready after {ready:.1f} s, in which the processors were taken for: {shares}; "
        f"the operator took {taken:.1f} s of a processor in all"
    )
    said = f"the most, with {sizes.stages} stages; {before:.0f} before the restart, {after:.0f} after it, {now:.0f} at rest"
    return [
        at_most("restart", idle, "s", 30, note),
        at_most("resident memory", max(before, after), "MB", 400, said),
    ]


async def _running_pods(stand: Stand, namespace: str) -> list[Object]:
    """The pods of stages, page by page: of each what a release needs."""
    found: list[Object] = []
    rest = ""
    while True:
        page = await stand.api.get(pods_path(namespace), limit="500", **({"continue": rest} if rest else {}))
        found += [
            {"metadata": pod["metadata"], "spec": pod["spec"]}
            for pod in page["items"]
            if pod["status"]["phase"] == "Running" and _STAGE_LABEL in pod["metadata"]["labels"]
        ]
        rest = page["metadata"].get("continue", "")
        if not rest:
            return found


def _ended(pod: Object) -> Object:
    """The status of a pod whose training has said its result."""
    key = _stage_key(pod)
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    message = f'{{"schema":"xstilts.dev/result/v1","key":"{key}","outputsDigest":"{key}"}}'
    state = {
        "terminated": {
            "exitCode": 0,
            "reason": "Completed",
            "startedAt": now,
            "finishedAt": now,
            "message": message,
        }
    }
    container: dict[str, Any] = pod["spec"]["containers"][0]
    said = {
        "name": container["name"],
        "image": container["image"],
        "imageID": "",
        "ready": False,
        "restartCount": 0,
    }
    return {"phase": "Succeeded", "containerStatuses": [{**said, "state": state}]}


def _stage_key(pod: Object) -> str:
    key: str = json.loads(pod["metadata"]["annotations"]["xstilts.dev/stage.json"])["key"]
    return key


def _runs(job: Object) -> bool:
    return bool(job["status"].get("ready")) and _STAGE_LABEL in job["metadata"]["labels"]


def _has_succeeded(stage: Object) -> bool:
    return bool(stage.get("status", {}).get("state") == "Succeeded")
