"""What the operator counts on in an API server: the fake one is held to it, and a real one too."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Final

import pytest

from xstilts_operator.actions import Object, Reference, Resource
from xstilts_operator.api import AlreadyExists, Api, Conflict, NotFound, Refused
from xstilts_operator.names import API_VERSION, MANAGED_BY, MANAGER

PATIENCE_SECONDS: Final = 60.0  # for what controllers do
KEY: Final = "0" * 64


def experiment(namespace: str, name: str) -> Object:
    source = f"store://model@sha256:{KEY}"
    spec = {
        "models": [{"name": "model", "pretrained": source, "family": "E5"}],
        "tasks": [{"name": "tatoeba", "data": source}],
        "targets": [{"task": "tatoeba"}],
        "seeds": [1],
    }
    return {"metadata": {"name": name, "namespace": namespace}, "spec": spec}


def stage(namespace: str, name: str, *owners: Object) -> Object:
    metadata = {
        "name": name,
        "namespace": namespace,
        "labels": {MANAGED_BY: MANAGER},
        "ownerReferences": [owned_by(owner) for owner in owners],
    }
    return {"metadata": metadata, "spec": {"key": KEY, "kind": "prepare", "store": "default", "stage": "{}"}}


def job(namespace: str, name: str) -> Object:
    labels = {MANAGED_BY: MANAGER, "xstilts.dev/kind": "report"}
    container = {"name": "report", "image": "registry.example/nothing:1"}
    template = {
        "metadata": {"labels": labels},
        "spec": {"containers": [container], "restartPolicy": "Never"},
    }
    metadata = {"name": name, "namespace": namespace, "labels": labels}
    return {"metadata": metadata, "spec": {"backoffLimit": 0, "template": template}}


def owned_by(owner: Object) -> Object:
    metadata = owner["metadata"]
    return {
        "apiVersion": API_VERSION,
        "kind": "TransferExperiment",
        "name": metadata["name"],
        "uid": metadata["uid"],
    }


def reference(resource: Resource, obj: Object, uid: str | None = None) -> Reference:
    metadata = obj["metadata"]
    return Reference(resource, metadata["namespace"], metadata["name"], uid or metadata["uid"])


def version(obj: Object) -> str:
    return str(obj["metadata"]["resourceVersion"])


async def a_second_post_is_refused_and_changes_nothing(api: Api, namespace: str) -> None:
    made = await api.create(Resource.STAGE, stage(namespace, "twice"))
    with pytest.raises(AlreadyExists):
        await api.create(Resource.STAGE, stage(namespace, "twice"))
    found = await api.get(Resource.STAGE, namespace, "twice")
    assert (found["metadata"]["uid"], version(found)) == (made["metadata"]["uid"], version(made))


async def a_post_brings_no_status(api: Api, namespace: str) -> None:
    body = {**stage(namespace, "bare"), "status": {"state": "Succeeded"}}
    made = await api.create(Resource.STAGE, body)
    assert not made.get("status")
    assert made["metadata"]["generation"] == 1


async def a_status_is_written_at_its_version_or_not_at_all(api: Api, namespace: str) -> None:
    made = await api.create(Resource.STAGE, stage(namespace, "versions"))
    target = reference(Resource.STAGE, made)
    written = await api.apply_status(target, {"state": "Active", "message": "one"}, version(made))
    assert int(version(written)) > int(version(made))
    assert (written["metadata"]["generation"], written["spec"]) == (1, made["spec"])
    with pytest.raises(Conflict):
        await api.apply_status(target, {"state": "Pending"}, version(made))
    with pytest.raises(Conflict):
        await api.set_owners(target, [], version(made))
    again = await api.apply_status(target, {"state": "Active", "message": "one"}, None)
    assert version(again) == version(written)
    less = await api.apply_status(target, {"state": "Active"}, None)
    assert less["status"] == {"state": "Active"}


async def a_deletion_is_of_this_object_and_no_namesake(api: Api, namespace: str) -> None:
    made = await api.create(Resource.STAGE, stage(namespace, "namesake"))
    other = reference(Resource.STAGE, made, uid="9e0a8c1e-7c1f-4d6b-9d3c-000000000000")
    with pytest.raises(Conflict):
        await api.delete(other, "Background")
    found = await api.get(Resource.STAGE, namespace, "namesake")
    assert version(found) == version(made)


async def what_is_not_there_is_not_found(api: Api, namespace: str) -> None:
    nobody = Reference(Resource.STAGE, namespace, "nobody")
    for request in (
        api.get(Resource.STAGE, namespace, "nobody"),
        api.apply_status(nobody, {"state": "Active"}, None),
        api.set_owners(nobody, [], "1"),
        api.delete(nobody, "Background"),
    ):
        with pytest.raises(NotFound):
            await request


async def a_status_holds_no_floats(api: Api, namespace: str) -> None:
    made = await api.create(Resource.STAGE, stage(namespace, "floats"))
    with pytest.raises(Refused):
        await api.apply_status(reference(Resource.STAGE, made), {"state": "Active", "failures": 1.5}, None)


async def a_job_goes_in_the_foreground_after_its_pods(api: Api, namespace: str) -> None:
    made = await api.create(Resource.JOB, job(namespace, "foreground"))
    await _until(lambda: _pods(api, namespace, "foreground"))
    left = await api.delete(reference(Resource.JOB, made), "Foreground")
    assert left["metadata"]["deletionTimestamp"]
    assert "foregroundDeletion" in left["metadata"]["finalizers"]
    await _until(lambda: _is_gone(api, Resource.JOB, namespace, "foreground"))
    assert not await _pods(api, namespace, "foreground")


async def a_stage_goes_with_the_last_of_its_owners(api: Api, namespace: str) -> None:
    one, two = [await api.create(Resource.EXPERIMENT, experiment(namespace, name)) for name in ("one", "two")]
    await api.create(Resource.STAGE, stage(namespace, "shared", one, two))
    await api.create(Resource.STAGE, stage(namespace, "own", one))
    gone = await api.delete(reference(Resource.EXPERIMENT, one), "Background")
    assert "deletionTimestamp" not in gone.get("metadata", {})
    await _until(lambda: _is_gone(api, Resource.STAGE, namespace, "own"))
    await _until(lambda: _is_owned_by(api, namespace, "shared", two))
    await api.delete(reference(Resource.EXPERIMENT, two), "Background")
    await _until(lambda: _is_gone(api, Resource.STAGE, namespace, "shared"))


async def what_comes_after_its_owner_has_gone_goes_too(api: Api, namespace: str) -> None:
    owner = await api.create(Resource.EXPERIMENT, experiment(namespace, "early"))
    await api.delete(reference(Resource.EXPERIMENT, owner), "Background")
    await api.create(Resource.STAGE, stage(namespace, "late", owner))
    await _until(lambda: _is_gone(api, Resource.STAGE, namespace, "late"))


async def a_list_is_of_one_version_and_of_what_is_managed(api: Api, namespace: str) -> None:
    made = await api.create(Resource.JOB, job(namespace, "listed"))
    foreign = job(namespace, "foreign")
    labels = {"app": "foreign"}  # a Job without any would be given those of its pods
    await api.create(Resource.JOB, {**foreign, "metadata": {**foreign["metadata"], "labels": labels}})
    page = await api.list(Resource.JOB, namespace)
    names = [obj["metadata"]["name"] for obj in page.items]
    assert "listed" in names
    assert "foreign" not in names
    assert int(page.version) >= int(version(made))


CONTRACT: Final[tuple[Callable[[Api, str], Awaitable[None]], ...]] = (
    a_second_post_is_refused_and_changes_nothing,
    a_post_brings_no_status,
    a_status_is_written_at_its_version_or_not_at_all,
    a_deletion_is_of_this_object_and_no_namesake,
    what_is_not_there_is_not_found,
    a_status_holds_no_floats,
    a_job_goes_in_the_foreground_after_its_pods,
    a_stage_goes_with_the_last_of_its_owners,
    what_comes_after_its_owner_has_gone_goes_too,
    a_list_is_of_one_version_and_of_what_is_managed,
)


async def _until(holds: Callable[[], Awaitable[Any]]) -> None:
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not await holds():  # noqa: ASYNC110 - a server is asked; it tells nobody
            await asyncio.sleep(0.2)


async def _pods(api: Api, namespace: str, name: str) -> list[Object]:
    return list(await api.pods_of_job(namespace, name))


async def _is_gone(api: Api, resource: Resource, namespace: str, name: str) -> bool:
    try:
        await api.get(resource, namespace, name)
    except NotFound:
        return True
    return False


async def _is_owned_by(api: Api, namespace: str, name: str, owner: Object) -> bool:
    found = await api.get(Resource.STAGE, namespace, name)
    return [one["uid"] for one in found["metadata"]["ownerReferences"]] == [owner["metadata"]["uid"]]
