"""Which weights nobody needs any more (`spec.store.keep`): a pure decision over what experiments use and what is there.

Of an artifact that several experiments use, the one that keeps most decides. What a stage that must still run needs stays: an evaluation
without scores, and what leads to it.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping
from functools import cached_property
from typing import Final, Literal

from pydantic import Field, ValidationError

from xstilts.errors import Problem, StoreError
from xstilts.model import Model
from xstilts.stage import Kind, Stage
from xstilts.store import layout

USE_SCHEMA: Final = "xstilts.dev/use/v1"
Keep = Literal["All", "Intermediate", "Scores"]
Phase = Literal["intermediate", "target"]
# The phases of the trainings whose weights may go.
GIVEN_UP: Final[Mapping[Keep, frozenset[Phase]]] = {
    "All": frozenset(),
    "Intermediate": frozenset({"target"}),
    "Scores": frozenset({"target", "intermediate"}),
}


class UsedStage(Model):
    """A stage of an experiment, as far as it decides what may go: `parents` are keys, `phase` is that of a training."""

    key: str
    kind: Kind
    parents: tuple[str, ...] = ()
    phase: Phase | None = None


class Use(Model):
    """The stages that an experiment has, and how much it keeps of them."""

    schema_: Literal["xstilts.dev/use/v1"] = Field(default=USE_SCHEMA, alias="schema")
    experiment: str
    keep: Keep
    stages: tuple[UsedStage, ...]

    @classmethod
    def of(cls, experiment: str, keep: Keep, stages: Iterable[Stage]) -> Use:
        """The use of an experiment with these stages."""
        used = (
            UsedStage(
                key=one.key,
                kind=one.kind,
                parents=tuple(one.parents.values()),
                phase=one.spec["phase"] if one.kind is Kind.TRAIN else None,
            )
            for one in stages
        )
        return cls(experiment=experiment, keep=keep, stages=tuple(used))

    def to_json(self) -> bytes:
        """As it lies in a store."""
        return self.model_dump_json(exclude_none=True).encode()

    @cached_property
    def by_key(self) -> Mapping[str, UsedStage]:
        """The stages by key."""
        return {one.key: one for one in self.stages}

    @cached_property
    def children(self) -> Mapping[str, tuple[UsedStage, ...]]:
        """The stages that need a stage, by its key."""
        found: dict[str, list[UsedStage]] = {}
        for one in self.stages:
            for parent in dict.fromkeys(one.parents):
                found.setdefault(parent, []).append(one)
        return {key: tuple(ones) for key, ones in found.items()}

    def lets_go(self, key: str, whole: Container[str]) -> bool:
        """Whether the experiment needs no weights of a stage any more; True of one that it does not have.

        `whole` are the keys of the stages whose files are all there.
        """
        stage = self.by_key.get(key)
        return stage is None or (stage.phase in GIVEN_UP[self.keep] and not self._needs(key, whole))

    def _needs(self, key: str, whole: Container[str]) -> bool:
        """Whether a way leads from a stage to an evaluation without scores, all over stages that are not there to be read."""
        waiting, seen = [key], {key}
        while waiting:
            for child in self.children.get(waiting.pop(), ()):
                if child.key in seen or child.key in whole:
                    continue
                if child.kind is Kind.EVALUATE:
                    return True
                seen.add(child.key)
                waiting.append(child.key)
        return False


def droppable(own: Use, others: Iterable[Use], whole: Container[str]) -> tuple[str, ...]:
    """The trainings of an experiment whose weights are there and may go, as far as all that use them are concerned."""
    mine = [one.key for one in own.stages if one.phase and one.key in whole and own.lets_go(one.key, whole)]
    for other in others if mine else ():
        mine = [key for key in mine if other.lets_go(key, whole)]
    return tuple(mine)


def read_use(experiment: str, text: bytes) -> Use:
    """What an experiment has said that it uses.

    Raises:
        StoreError: it cannot be read.
    """
    try:
        use = Use.model_validate_json(text)
    except ValidationError:
        use = None
    if use is None or use.experiment != experiment:
        place = layout.use_file(experiment)
        raise StoreError(
            Problem(
                place,
                "must say what the experiment uses, does not; run that experiment again, or remove the file",
            )
        )
    return use
