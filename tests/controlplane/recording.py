"""What a namespace has ever held of Jobs and stages' pods, from watches that begin anew as often as they must."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

import aiohttp
from kubernetes.aio.client import ApiException

from controlplane.api import Api, Object

STAGE = "xstilts.dev/stage"
ATTEMPT = "xstilts.dev/attempt"
_FINAL = {"Succeeded", "Failed"}


@dataclass
class Recording:
    """Jobs: of each owner's UID and name, the UIDs ever seen. Overlaps: where pods of two attempts of a stage were there
    at once and had not ended.
    """

    jobs: dict[tuple[str, str], set[str]] = field(default_factory=lambda: defaultdict(set))
    overlaps: list[str] = field(default_factory=list)
    _live: dict[str, dict[str, str]] = field(default_factory=lambda: defaultdict(dict))

    @property
    def twice(self) -> list[str]:
        """The names of Jobs that were made more than once for the same stage or experiment."""
        return [name for (_, name), uids in self.jobs.items() if len(uids) > 1]

    def job(self, _kind: str, job: Object) -> None:
        """Take in what a watch tells of a Job."""
        metadata = job["metadata"]
        self.jobs[metadata["ownerReferences"][0]["uid"], metadata["name"]].add(metadata["uid"])

    def pod(self, kind: str, pod: Object) -> None:
        """Take in what a watch tells of a pod."""
        metadata = pod["metadata"]
        stage = metadata["labels"].get(STAGE)
        if stage is None:
            return
        live = self._live[stage]
        if kind == "DELETED" or pod.get("status", {}).get("phase") in _FINAL:
            live.pop(metadata["uid"], None)
            return
        live[metadata["uid"]] = metadata["labels"][ATTEMPT]
        if len(set(live.values())) > 1:
            self.overlaps.append(f"{stage}: attempts {sorted(set(live.values()))}")


@asynccontextmanager
async def recording(api: Api, namespace: str) -> AsyncIterator[Recording]:
    """Record while the block runs."""
    seen = Recording()
    paths = {
        f"/apis/batch/v1/namespaces/{namespace}/jobs": seen.job,
        f"/api/v1/namespaces/{namespace}/pods": seen.pod,
    }
    tasks = [asyncio.create_task(_follow(api, path, told)) for path, told in paths.items()]
    try:
        yield seen
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _follow(api: Api, path: str, told: Callable[[str, Object], None]) -> None:
    known: dict[str, Object] = {}
    while True:
        with suppress(aiohttp.ClientError, TimeoutError, ApiException):
            listed = await api.get(path)
            items = {obj["metadata"]["uid"]: obj for obj in listed["items"]}
            for obj in [one for uid, one in known.items() if uid not in items]:
                told("DELETED", obj)
            for obj in items.values():
                told("ADDED", obj)
            known = items
            async for kind, obj in api.watch(path, resourceVersion=listed["metadata"]["resourceVersion"]):
                if kind == "ERROR":
                    break
                told(kind, obj)
                if kind == "DELETED":
                    known.pop(obj["metadata"]["uid"], None)
                else:
                    known[obj["metadata"]["uid"]] = obj
        await asyncio.sleep(0.1)
