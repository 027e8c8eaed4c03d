"""What is said of an experiment whose store is a volume claim that its pods could not all mount."""

from __future__ import annotations

import pytest

from operator_reconcile.world import World
from xstilts_operator.actions import Resource
from xstilts_operator.decide import Decider
from xstilts_operator.observe import Observatory
from xstilts_operator.reconcile.obstacles import LOOK_AGAIN_SECONDS
from xstilts_operator.settings import Settings
from xstilts_operator.views import ClaimView, view_claim


class Claimed(World):
    """The world with a claim that a test sets."""

    claim: ClaimView | None = None

    def restart(self) -> None:
        self.decide = Decider(Observatory(self.cache), self.settings, lambda *_: self.claim)


def settings(sharing: str | None = None) -> Settings:
    return Settings.parse(
        {
            "images": {"trainer": "trainer:1", "operator": "operator:1"},
            "stores": {"default": {"claim": "experiments", **({"sharing": sharing} if sharing else {})}},
        }
    )


def claim(*modes: str, phase: str = "Bound", **metadata: str) -> ClaimView:
    return view_claim(
        {"metadata": metadata, "spec": {"accessModes": list(modes)}, "status": {"phase": phase}}
    )


MISSING = ClaimView(there=False)
DELETED = claim("ReadWriteMany", deletionTimestamp="2026-01-01T00:00:00Z")


@pytest.mark.parametrize(
    ("found", "sharing", "reason"),
    [
        (None, None, None),
        (claim("ReadWriteMany"), None, None),
        (claim("ReadWriteOnce", "ReadWriteMany"), None, None),
        (claim("ReadWriteMany", phase="Pending"), None, None),
        (claim(), None, None),
        (claim("ReadWriteOnce"), None, "StoreNotShareable"),
        (claim("ReadWriteOnce", phase="Pending"), "Nodes", "StoreNotShareable"),
        (claim("ReadOnlyMany"), None, "StoreNotShareable"),
        (claim("ReadWriteOnce"), "Node", None),
        (claim("ReadWriteOncePod"), "Node", "StoreNotShareable"),
        (claim("ReadWriteOncePod"), None, "StoreNotShareable"),
        (MISSING, "Node", "StoreUnavailable"),
        (claim("ReadWriteMany", phase="Lost"), None, "StoreUnavailable"),
        (DELETED, None, "StoreUnavailable"),
    ],
)
def test_a_claim_is_told_that_some_pod_could_not_mount(
    found: ClaimView | None, sharing: str | None, reason: str | None
) -> None:
    world = Claimed(settings=settings(sharing))
    world.claim = found
    world.submit()
    world.settle()
    assert world.said()[1] == (reason or "LookingUp")


def test_the_message_names_the_claim_and_its_modes_and_says_what_to_do() -> None:
    world = Claimed(settings=settings())
    world.claim = claim("ReadWriteOnce")
    world.submit()
    world.settle()
    status, reason, message = world.said()
    assert (status, reason) == ("Unknown", "StoreNotShareable")
    assert message == (
        "spec.store.name: the store 'default' is the volume claim 'experiments' of this namespace, which must be "
        "ReadWriteMany, since stages run side by side on any node, was ReadWriteOnce; make it of a storage class that has it "
        "(NFS, CephFS), or use an object store; where all its pods land on one node (a cluster of one, a volume of a node's "
        "disk), the administrator says stores.default.sharing: Node"
    )
    assert not world.jobs_made
    assert [event.type for event in world.events] == ["Warning"]


def test_an_experiment_goes_on_once_the_claim_will_do() -> None:
    world = Claimed(settings=settings())
    world.claim = MISSING
    world.submit()
    world.settle()
    assert world.said()[:2] == ("Unknown", "StoreUnavailable")
    assert "must be one that pods can mount, is not there" in world.said()[2]
    assert world.reconcile(Resource.EXPERIMENT, "grid").again_in == LOOK_AGAIN_SECONDS
    world.claim = claim("ReadWriteMany")
    world.settle()
    assert world.said()[1] == "LookingUp"


@pytest.mark.parametrize("how", ["suspended", "expired"])
def test_an_experiment_with_something_in_its_way_stops_as_another(how: str) -> None:
    world = Claimed(settings=settings())
    world.submit(activeDeadlineSeconds=1000)
    world.settle()
    world.start_pods()
    world.tick(100)
    world.claim = MISSING
    world.settle()
    assert len(world.names(Resource.JOB)) == 1, "the lookup goes on"
    if how == "suspended":
        world.edit(suspend=True)
    else:
        world.tick(900)
    world.settle()
    assert world.said()[1] == "StoreUnavailable"
    assert world.names(Resource.JOB) == []
    if how == "expired":
        return
    assert (world.status()["activeSeconds"], "activeSince" in world.status()) == (100, False)
    world.tick(5000)
    world.settle()
    world.claim = claim("ReadWriteMany")
    world.settle()
    assert world.said()[1] == "Suspended"
    assert (world.status()["activeSeconds"], "activeSince" in world.status()) == (100, False)
    world.edit(suspend=False)
    world.settle()
    assert world.said()[1] == "LookingUp"


def test_the_modes_of_the_volume_count_and_not_those_that_were_asked_for() -> None:
    found = view_claim(
        {
            "spec": {"accessModes": ["ReadWriteOnce"]},
            "status": {"phase": "Bound", "accessModes": ["ReadWriteMany"]},
        }
    )
    assert found.mountable_by_many
