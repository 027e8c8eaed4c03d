"""What the operator asks of the API server, recorded over what can come its way, is what it is granted: no less and no more."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from chart.grants import GRANTS, LEASE, needed
from chart.rendering import NAMESPACE, Object
from chart.server import TEAM, Audited, grants_used, operating
from controlplane.api import Api, connect, eventually
from controlplane.experiments import Experiments, Labels, answering, manifest, owners, summary
from controlplane.player import RUNS_ON, Outcome, playing
from xstilts.spec import parse_experiment
from xstilts.stage import Kind
from xstilts_operator.names import MANAGED_BY, job_name
from xstilts_operator.plans import accept, config_map

pytestmark = [
    pytest.mark.slow,
    pytest.mark.anyio,
    pytest.mark.timeout(600),
    pytest.mark.usefixtures("rendered"),
]

CORE = f"/api/v1/namespaces/{TEAM}"
# A server-side apply that makes an object is a patch in the audit log, and needs this right too: see the test below. So is a
# change of owners, which this server, as OpenShift's, lets only those do who may delete.
NOT_IN_THE_LOG = {("/events", "create"), ("xstilts.dev/transferstages", "delete")}
# experiment -> how the first attempt of its training ends; the next one ends well
FIRST = {"interrupted": Outcome(42), "held": RUNS_ON, "orphaned": RUNS_ON, "shared": RUNS_ON}


async def special(labels: Labels) -> Outcome | None:
    first = labels["xstilts.dev/kind"] == "train" and labels["xstilts.dev/attempt"] == "1"
    return FIRST.get(labels["xstilts.dev/experiment"]) if first else None


def plan_of(body: Object, uid: str = "") -> Any:
    """The plan that the operator will make of a manifest."""
    body = {**body, "metadata": {**body["metadata"], "namespace": TEAM}}
    return accept(parse_experiment(json.dumps(body)), uid, "xstilts-trainer:0.1.0")


class Team:
    """What people and accidents do in the team's namespace, one a method; each ends as it must."""

    def __init__(self, api: Api, plane: Audited) -> None:
        self._api = api
        self._plane = plane
        self._experiments = Experiments(api, TEAM)

    async def wide(self) -> None:
        """An attempt of two nodes, whose Service's name another has taken for a while."""
        body = manifest("wide", resources={"gpus": 1, "nodes": 2})
        (stage,) = plan_of(body).of_kind(Kind.TRAIN)
        name = job_name(stage.name, 1)
        taken = {"metadata": {"name": name}, "spec": {"clusterIP": "None"}}
        await self._api.create(f"{CORE}/services", {"apiVersion": "v1", "kind": "Service", **taken})
        await self._experiments.submit(body)
        await self.asked("/services", "get")
        await self._api.delete(f"{CORE}/services/{name}")
        await self._well("wide")

    async def adopted(self) -> None:
        """A plan that is there under its name and that no watch tells of, as after an answer that was lost."""
        body = manifest("adopted", suspend=True)
        await self._experiments.submit(body)
        made = await self._experiments.get("adopted")
        plan = dict(config_map(plan_of(body, made["metadata"]["uid"]), made["metadata"]["uid"]))
        labels = {name: value for name, value in plan["metadata"]["labels"].items() if name != MANAGED_BY}
        plan["metadata"] = {**plan["metadata"], "labels": labels}
        await self._api.create(f"{CORE}/configmaps", plan)
        await self._experiments.edit("adopted", suspend=None)
        await self.asked("/configmaps", "get")
        await self._api.patch(
            f"{CORE}/configmaps/{plan['metadata']['name']}",
            {"metadata": {"labels": {MANAGED_BY: "xstilts"}}},
        )
        await self._well("adopted")

    async def interrupted(self) -> None:
        """An attempt that saves and is taken up again."""
        await self._experiments.submit(manifest("interrupted"))
        await self._well("interrupted")

    async def held(self) -> None:
        """An experiment that is suspended while it runs, and resumed."""
        await self._experiments.submit(manifest("held"))
        await self._running("held")
        await self._experiments.edit("held", suspend=True)
        await self._experiments.says("held", "Suspended", within_s=120)
        await self._experiments.edit("held", suspend=None)
        await self._well("held")

    async def orphaned(self) -> None:
        """A Job that somebody deletes without its pods."""
        await self._experiments.submit(manifest("orphaned"))
        await self._running("orphaned")
        name = (await self._experiments.stage("orphaned"))["metadata"]["name"]
        path = f"/apis/batch/v1/namespaces/{TEAM}/jobs/{job_name(name, 1)}"
        await self._api.delete(path, propagationPolicy="Orphan")
        await self._well("orphaned")

    async def shared(self) -> None:
        """Two experiments that need the same stages, of which the first goes while they run; the second has a last day."""
        await self._experiments.submit(manifest("shared", "same"))
        await self._running("shared")
        await self._experiments.submit(manifest("brief", "same", ttlSecondsAfterFinished=1))

        async def both() -> bool:
            stages = await self._experiments.stages("shared")
            return all(set(owners(one)) == {"shared", "brief"} for one in stages)

        await eventually(both, within_s=120)
        (pod,) = await self._experiments.running("shared")
        await self._api.delete(f"{CORE}/pods/{pod['metadata']['name']}")

        async def gone() -> bool:
            return "brief" not in {one["metadata"]["name"] for one in await self._experiments.all()}

        await eventually(gone, within_s=120)

    async def asked(self, resource: str, verb: str) -> None:
        """Return when the operator has asked for it."""

        async def found() -> bool:
            return (resource, verb) in grants_used(self._plane.requests(), {(resource, verb)})

        await eventually(found, within_s=120, every_s=0.5)

    async def _running(self, name: str) -> None:
        async def runs() -> bool:
            return any(
                pod["status"].get("phase") == "Running" for pod in await self._experiments.running(name)
            )

        await eventually(runs, within_s=120)

    async def _well(self, name: str) -> None:
        (ended,) = await self._experiments.ended(name, within_s=180)
        assert summary(ended)["reason"] == "Completed", ended["status"]


async def test_the_calls_are_within_the_grants_and_the_grants_within_the_calls(
    installed: Audited, tmp_path: Path
) -> None:
    installed.kubectl(
        "delete", "leases", "--all", "-n", NAMESPACE
    )  # which an operator of another test has made
    others = len(installed.requests())  # of tests that speak as the operator's account
    async with connect(installed.kubeconfig) as api:
        team = Team(api, installed)
        async with operating(installed, tmp_path), playing(answering(api, TEAM, special)):
            for happens in (
                team.wide,
                team.adopted,
                team.interrupted,
                team.held,
                team.orphaned,
                team.shared,
            ):
                await happens()
    requests, granted = installed.requests()[others:], needed(GRANTS, LEASE)
    assert not [one for one in requests if one["responseStatus"]["code"] in {401, 403}]
    used = grants_used(requests, granted)
    assert used <= granted
    assert granted - used == NOT_IN_THE_LOG


def test_an_apply_that_makes_an_event_needs_the_right_to_create_it(installed: Audited) -> None:
    def role(*verbs: str) -> Object:
        group = "rbac.authorization.k8s.io"
        events = {"apiGroups": [""], "resources": ["events"], "verbs": verbs}
        metadata = {"name": "teller", "namespace": "default"}
        return {"apiVersion": f"{group}/v1", "kind": "Role", "metadata": metadata, "rules": [events]}

    def tell() -> str:
        metadata = {"name": "tried", "namespace": "default"}
        about = {"kind": "Namespace", "name": "default", "namespace": "default"}
        event = {"apiVersion": "v1", "kind": "Event", "metadata": metadata, "involvedObject": about}
        return installed.kubectl(
            "apply", "--server-side", "-f", "-", stdin=json.dumps(event), kubeconfig=teller
        )

    teller = installed.user_kubeconfig("teller")
    group = "rbac.authorization.k8s.io"
    binding = {
        "apiVersion": f"{group}/v1",
        "kind": "RoleBinding",
        "metadata": {"name": "teller", "namespace": "default"},
        "roleRef": {"apiGroup": group, "kind": "Role", "name": "teller"},
        "subjects": [{"apiGroup": group, "kind": "User", "name": "teller"}],
    }
    installed.apply(role("get", "patch"), binding)
    with pytest.raises(RuntimeError, match="cannot create resource"):
        tell()
    installed.apply(role("get", "patch", "create"))
    assert "serverside-applied" in tell()
