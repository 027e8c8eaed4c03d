"""What the operator remembers of what it has seen."""

from __future__ import annotations

import gc
import weakref

from operator_reconcile.server import NAMESPACE
from operator_reconcile.world import World, under_way
from xstilts_operator.actions import Resource


def test_what_is_gone_is_forgotten():
    world = World()
    under_way(world)
    observatory = world.decide.observatory
    experiment = observatory.experiment(NAMESPACE, "grid", world.now)
    read = [weakref.ref(experiment.experiment), *map(weakref.ref, experiment.stages.values())]
    spec = weakref.ref(experiment.experiment.experiment)
    del experiment
    keys = [(kind, name) for kind in (Resource.EXPERIMENT, Resource.STAGE) for name in world.names(kind)]
    world.remove()
    assert all(one() is not None for one in read)  # the deletions have not been looked at
    for key in keys:
        world.reconcile(*key)
    gc.collect()
    assert [one() for one in (spec, *read)] == [None] * (1 + len(read))


def test_no_plan_stays_for_the_sake_of_its_table():
    world = World()
    world.submit()
    world.play()
    assert world.status()["results"]
    plan = weakref.ref(world.cache.plan_of(NAMESPACE, world.status()["plan"]["name"]))
    assert plan() is not None
    world.remove()
    gc.collect()
    assert plan() is None
