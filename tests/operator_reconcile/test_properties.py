"""What holds whatever happens: people, pods and the operator's own restarts in any order."""

from __future__ import annotations

import random
from collections import Counter

from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from operator_reconcile.server import NAMESPACE
from operator_reconcile.world import End, World, attempt_of, usage
from xstilts_operator.actions import Resource
from xstilts_operator.names import STAGE_LABEL
from xstilts_operator.routing import Key
from xstilts_operator.tolerant import mapping

ENDS = [End(), End(), End(), End(1), End(42), End(64), End(143, disrupted=True), End(0, message="no result")]
NAMES = ["one", "two"]
STEPS = ["decide"] * 12 + ["finish"] * 5 + ["start"] * 3 + ["answer"] * 2 + ["toggle"] * 2 + [
    "tick", "remove", "submit", "restart", "end_deletions",
]  # fmt: skip


class Chaos:
    """A world in which a seed says what happens next; what must hold is held after every step."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)  # noqa: S311 - a schedule, which its seed must give again
        self.world = World()
        self.submitted = 0
        self.highest: Counter[str] = Counter()  # stage UID -> the highest attempt
        self.charged: dict[str, int] = {}  # stage UID -> GPU-seconds in all
        self.submit()

    def submit(self) -> None:
        free = [name for name in NAMES if name not in self.world.names(Resource.EXPERIMENT)]
        if free and self.submitted < 4:
            self.submitted += 1
            self.world.submit(
                self.rng.choice(free),
                parallelism=self.rng.choice([1, 2, 3]),
                targets=[{"task": "tatoeba"}] if self.rng.random() < 0.5 else [{"task": "xnli"}],
            )

    def step(self) -> None:
        getattr(self, self.rng.choice(STEPS))()

    def decide(self) -> None:
        world = self.world
        keys = [(kind, name) for kind in (Resource.EXPERIMENT, Resource.STAGE) for name in world.names(kind)]
        if keys:
            world.reconcile(*self.rng.choice(keys))
            self.hold()

    def finish(self) -> None:
        if running := self.world.running():
            self.world.tick(self.rng.choice([1, 70]))
            self.world.finish(self.rng.choice(running), self.rng.choice(ENDS))

    def start(self) -> None:
        self.world.start_pods()

    def answer(self) -> None:
        self.world.answer()

    def tick(self) -> None:
        self.world.tick(self.rng.choice([1, 40, 400]))

    def toggle(self) -> None:
        if experiments := self.world.names(Resource.EXPERIMENT):
            self.world.edit(self.rng.choice(experiments), suspend=self.rng.random() < 0.5)

    def remove(self) -> None:
        if len(experiments := self.world.names(Resource.EXPERIMENT)) > 1:
            self.world.remove(self.rng.choice(experiments))

    def restart(self) -> None:
        self.world.restart()

    def end_deletions(self) -> None:
        self.world.end_deletions()

    def hold(self) -> None:
        """Attempts only count up, parallelism is kept, and what is charged is never more than the pods' time."""
        world = self.world
        active: Counter[str] = Counter()
        for stage in world.cache.list(Resource.STAGE):
            status, uid = mapping(stage, "status"), stage["metadata"]["uid"]
            attempt = mapping(status, "attempt")
            assert attempt.get("number", 0) >= self.highest[uid]
            self.highest[uid] = attempt.get("number", 0)
            total = sum(usage(stage).values())
            assert total >= self.charged.get(uid, 0)
            self.charged[uid] = total
            if status.get("state") == "Active":
                active[attempt["experimentUID"]] += 1
            alive = [
                pod
                for pod in world.cache.pods_of_stage(NAMESPACE, stage["metadata"]["name"])
                if pod["status"]["phase"] == "Running"
            ]
            assert len({attempt_of(pod) for pod in alive}) <= 1, "two attempts at once"
        for experiment in world.cache.list(Resource.EXPERIMENT):
            assert active[experiment["metadata"]["uid"]] <= experiment["spec"]["parallelism"]
        made = [
            (name, owner)
            for name, owner in zip(world.jobs_made, world.made_for, strict=True)
            if "lookup" not in name and "report" not in name
        ]
        assert len(made) == len(set(made)), "a Job was made twice"

    def end(self) -> None:
        """Everything is resumed and goes well from here on: it comes to an end, and to rest."""
        for name in self.world.names(Resource.EXPERIMENT):
            self.world.edit(name, suspend=False)
        self.world.play()
        self.hold()
        assert self.world.names(Resource.EXPERIMENT) == [] or self.at_rest()

    def at_rest(self) -> bool:
        world = self.world
        for name in world.names(Resource.EXPERIMENT):
            counts = world.status(name)["counts"]
            apart = ("succeeded", "running", "queued", "pending", "failed", "blocked")
            assert sum(counts[one] for one in apart) == counts["total"]
            assert counts["cached"] <= counts["succeeded"]
            assert world.said(name)[0] in {"True", "False"}, world.said(name)
            assert (world.said(name)[0] == "True") == (counts["failed"] + counts["blocked"] == 0)
        self.owners()
        self.failures()
        keys = [(kind, name) for kind in (Resource.EXPERIMENT, Resource.STAGE) for name in world.names(kind)]
        assert all(not world.decide(Key(kind, NAMESPACE, name), world.now).actions for kind, name in keys)
        return True

    def owners(self) -> None:
        """Of every stage the owners are exactly the experiments that need it."""
        for stage in self.world.cache.list(Resource.STAGE):
            needing = self.world.cache.experiments_needing(NAMESPACE, stage["metadata"]["name"])
            owners = [owner["uid"] for owner in stage["metadata"]["ownerReferences"]]
            assert sorted(owners) == sorted(one["metadata"]["uid"] for one in needing)

    def failures(self) -> None:
        """What could not run has an ancestor that failed; and nothing is left running."""
        stages = {one["metadata"]["name"]: one for one in self.world.cache.list(Resource.STAGE)}

        def failed(name: str) -> bool:
            state = mapping(stages[name], "status").get("state")
            return state == "Failed" or any(failed(parent) for parent in stages[name]["spec"]["parentStages"])

        for stage in stages.values():
            status = mapping(stage, "status")
            assert status.get("state") not in {"Active", "Waiting"}
            if status.get("reason") == "ParentFailed":
                assert any(failed(parent) for parent in stage["spec"]["parentStages"])
        assert all(STAGE_LABEL not in job["metadata"]["labels"] or mapping(job, "status").get("conditions")
                   for job in self.world.cache.list(Resource.JOB))  # fmt: skip


@settings(max_examples=25, phases=[Phase.explicit, Phase.generate])  # seeds do not shrink
@given(st.integers(0, 2**32 - 1))
def test_whatever_happens_it_comes_to_an_end(seed):
    chaos = Chaos(seed)
    for _ in range(200):
        chaos.step()
    chaos.end()
