"""Recipe and overrides -> the hyperparameters of one training.

Weakest first: the catalogue's recipe for the family, phase and tasks; `training.defaults` (with a bare
`training.learningRate` among them); `training.overrides` in the order of the file, each where it matches. A sweep
takes the place of the learning rate; of overrides the last that says one or the other is heard.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from xstilts.catalogue.recipes import Phase, recipe
from xstilts.spec.training import Match, Override, Training
from xstilts.stage import Family, Hyperparameters
from xstilts.task import Task


@dataclass(frozen=True)
class Trained:
    """A training, as overrides see it.

    `names` are those that `match.task` can mean: of a target, its own and that of the task it trains on; of an
    intermediate, its task if it has one only (a mix is not the training of any of its tasks).
    """

    model: str
    family: Family
    phase: Phase
    tasks: Sequence[Task]
    names: Collection[str]
    continued_mlm: bool = False


def candidates(training: Training, trained: Trained) -> tuple[Hyperparameters, ...]:
    """The hyperparameters of a training: one set, or with a sweep one a learning rate, smallest first."""
    matching = [override for override in training.overrides if _matches(override.match, trained)]
    base = recipe(trained.family, trained.phase, trained.tasks, continued_mlm=trained.continued_mlm)
    for override in (training.base, *matching):
        base = base.model_copy(update=_set_fields(override))
    sweep = training.sweep
    for override in matching:
        if override.sweep is not None or override.learning_rate is not None:
            sweep = override.sweep
    if sweep is None:
        return (base,)
    rates = sorted(sweep.learning_rate, key=float)
    return tuple(base.model_copy(update={"learning_rate": rate}) for rate in rates)


def _matches(match: Match, trained: Trained) -> bool:
    return (
        match.phase in {None, trained.phase}
        and match.model in {None, trained.model}
        and match.family in {None, trained.family}
        and (match.task is None or match.task in trained.names)
    )


def _set_fields(override: Override) -> dict[str, object]:
    return {name: value for name, value in override if name in Override.model_fields and value is not None}
