"""What people submit, edit and delete, and how pods end: of a scenario all runs must come to the same.

Where people act in the middle, they wait for a state that every run comes to: some trainings go on until they are let go,
all else that can be done without them is done. So which Jobs there are by then is no matter of time.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from operator_sim.cluster import End
from operator_sim.people import People, Pod, Step, experiment, stages_of
from xstilts.canonical import sha256_hex
from xstilts.stage import Kind, Stage
from xstilts_operator.tolerant import stamp

SKEWED_SECONDS = 400.0  # what the clocks of two processes differ by, and more


@dataclass(frozen=True)
class Scenario:
    """What is submitted, how attempts end, what the store holds already, and what people do then.

    Attributes:
        name: for people.
        experiments: what is submitted at the beginning, by name.
        spec: what stands in their specs besides the reference's.
        way: how a pod ends; None: it goes on.
        held: whether the artifact store holds a stage's output already.
        failing: how many lookups and reports fail.
        steps: what people do, one after the other.
        exact: whether attempts and Jobs are the same in every run; not where people act at any moment.
        billed: whether GPU-seconds are the same, too: not where pods are stopped.
    """

    name: str
    experiments: tuple[str, ...] = ("reference",)
    spec: Mapping[str, Any] = field(default_factory=dict)
    way: Callable[[Pod], End | None] = lambda _: End()
    held: Callable[[Stage, int], bool] = lambda _stage, _salt: False
    failing: Mapping[str, int] = field(default_factory=dict)
    steps: tuple[Step, ...] = ()
    exact: bool = True
    billed: bool = True

    def failures(self) -> Counter[str]:
        """How many lookups and reports fail yet."""
        return Counter(self.failing)


def _part(stage: Stage, parts: int, salt: int) -> int:
    """Stages fall into so many parts, others for each salt."""
    return int(sha256_hex(f"{stage.key} {salt}".encode())[:6], 16) % parts


@cache
def _trainings(name: str) -> tuple[str, ...]:
    return tuple(sorted(one.key for one in stages_of(experiment(name)) if one.kind is Kind.TRAIN))


def _is_chosen(stage: Stage, salt: int, name: str = "reference") -> bool:
    """One training of an experiment."""
    trainings = _trainings(name)
    return stage.key == trainings[salt % len(trainings)]


def _until_mended(code: int) -> Callable[[Pod], End | None]:
    """One training ends with this until somebody has mended it."""
    return lambda pod: End(code) if _is_chosen(pod.stage, pod.salt) and not pod.mended else End()


def _hangs(*names: str) -> Callable[[Pod], End | None]:
    """One training of each of these experiments goes on until it is let go."""

    def way(pod: Pod) -> End | None:
        chosen = any(_is_chosen(pod.stage, pod.salt, name) for name in names)
        return None if chosen and not pod.mended else End()

    return way


def _first_attempts(parts: int, end: End, attempts: int = 1) -> Callable[[Pod], End | None]:
    """A part of the stages does not end well at its first attempts."""
    return lambda pod: end if _part(pod.stage, parts, pod.salt) == 0 and pod.attempt <= attempts else End()


def _one_node_of_two(pod: Pod) -> End | None:
    """The second node of half of the trainings is disrupted, once."""
    struck = pod.stage.kind is Kind.TRAIN and pod.index == 1 and pod.attempt == 1
    return End(143, disrupted=True) if struck and _part(pod.stage, 2, pod.salt) == 0 else End()


def _sets(**spec: Any) -> Callable[[People], None]:
    return lambda people: people.edit("reference", **spec)


def _resume_and_mend(people: People) -> None:
    people.mend()
    people.edit("reference", suspend=False)


def _grow(people: People) -> None:
    whole = experiment("reference")["spec"]
    people.edit("reference", targets=whole["targets"], seeds=whole["seeds"])


def _retry(people: People) -> None:
    people.mend()
    people.edit("reference", retryFailedAt=stamp(people.store.clock()))


def _mend_and_submit(people: People) -> None:
    people.mend()
    people.submit("second")


def _submits(*names: str) -> Callable[[People], None]:
    def do(people: People) -> None:
        for name in names:
            people.submit(name)

    return do


def _removes(*names: str) -> Callable[[People], None]:
    def do(people: People) -> None:
        for name in names:
            people.remove(name)

    return do


SMALL = {"targets": [{"task": "xnli"}], "seeds": [1]}

SCENARIOS = (
    Scenario("all succeed"),
    Scenario("some fail once", way=_first_attempts(2, End(1))),
    Scenario("some are interrupted", way=_first_attempts(3, End(42), attempts=2)),
    Scenario("some are disrupted", way=_first_attempts(3, End(143, disrupted=True))),
    Scenario("some pods vanish", way=_first_attempts(3, End(gone=True)), billed=False),
    Scenario("one is wrong", way=_until_mended(64)),
    Scenario("one fails for good", way=_until_mended(1)),
    Scenario("one gets no further", way=_until_mended(42)),
    Scenario("half is there", held=lambda stage, salt: _part(stage, 2, salt) == 0),
    Scenario("all is there", held=lambda *_: True),
    Scenario("lookup and report fail", failing={"lookup": 1, "report": 1}),
    Scenario("two at once", experiments=("reference", "second")),
    Scenario(
        "suspended and resumed",
        way=_hangs("reference"),
        steps=(Step(People.stalled, _sets(suspend=True)), Step(People.suspended, _resume_and_mend)),
        billed=False,
    ),
    Scenario(
        "who pays is deleted",
        experiments=("second",),
        way=_hangs("reference", "squad"),
        steps=(
            Step(People.stalled, _submits("reference")),
            Step(People.stalled, _removes("second")),
            Step(People.cleared, People.mend),
        ),
        billed=False,
    ),
    Scenario(
        "deleted in the middle",
        way=_hangs("reference"),
        steps=(Step(People.stalled, _removes("reference")),),
        billed=False,
    ),
    Scenario(
        "the grid grows",
        spec=SMALL,
        way=_hangs("small"),
        steps=(Step(People.stalled, _grow), Step(People.stalled, People.mend)),
        billed=False,
    ),
    Scenario(
        "the budget is spent, and raised",
        spec={"resources": {"gpus": 64}, "parallelism": 1, "budget": {"gpuHours": 1}},
        steps=(Step(People.poor, _sets(budget={"gpuHours": 1000})),),
    ),
    Scenario(
        "the deadline passes",
        spec={"activeDeadlineSeconds": 5400},
        way=_hangs("reference"),
        billed=False,
    ),
    Scenario(
        "mended and tried again",
        way=_until_mended(64),
        steps=(Step(People.ended, _retry, after=SKEWED_SECONDS),),
    ),
    Scenario(
        "a failure is inherited",
        way=_until_mended(64),
        steps=(Step(People.ended, _mend_and_submit, after=SKEWED_SECONDS),),
    ),
    Scenario(
        "a node of two is disrupted",
        spec={"resources": {"gpus": 1, "nodes": 2}},
        way=_one_node_of_two,
        billed=False,
    ),
    Scenario("gone after its end", spec={"ttlSecondsAfterFinished": 600}),
    Scenario(
        "suspended at any moment",
        steps=tuple(
            Step(People.always, _sets(suspend=on), within=240.0) for on in (True, False, True, False)
        ),
        exact=False,
        billed=False,
    ),
    Scenario(
        "deleted and made anew",
        steps=(
            Step(People.always, _removes("reference"), within=240.0),
            Step(People.always, _submits("reference"), within=20.0),
        ),
        exact=False,
        billed=False,
    ),
    Scenario(
        "they come and go",
        experiments=("reference", "small", "squad"),
        steps=(
            Step(People.always, _submits("second"), within=60.0),
            Step(People.always, _removes("small", "reference"), within=120.0),
            Step(People.always, _submits("reference", "tatoeba"), within=60.0),
            Step(People.always, _removes("second", "tatoeba"), within=120.0),
        ),
        exact=False,
        billed=False,
    ),
    Scenario(
        "weights go, and are needed again",
        spec=SMALL | {"store": {"name": "default", "keep": "Scores"}},
        steps=(Step(People.ended, _grow),),
        exact=False,
        billed=False,
    ),
)


def scenario_of(seed: int) -> tuple[Scenario, int]:
    """The scenario of a seed, and the salt that says which of its stages it strikes."""
    return SCENARIOS[seed % len(SCENARIOS)], seed // len(SCENARIOS)
