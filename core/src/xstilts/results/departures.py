"""In what a model is trained or used otherwise than the catalogue says, so that its scores are not taken for a published model's."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from xstilts.catalogue.models import FAMILY_RETRIEVAL, FORMS, MODELS, POOLINGS
from xstilts.catalogue.recipes import recipe
from xstilts.plan import Plan
from xstilts.spec.fields import BASELINE
from xstilts.spec.training import Override
from xstilts.stage import EvaluateSpec, Kind, TrainSpec

Departures = Mapping[tuple[str, str], tuple[str, ...]]  # (model, target) -> in what, in words
_OF_DEVICE: Final = "precision"  # left open by every recipe, so that no value of it departs from one


def departures(plan: Plan, pretrained: Mapping[str, str]) -> Departures:
    """Of the trainings without an intermediate, which published scores are of: those that depart.

    Args:
        plan: of an experiment.
        pretrained: as `Results` has them.
    """
    found: dict[tuple[str, str], tuple[str, ...]] = {}
    for cell, key in plan.evaluations.items():
        names = (cell.model, cell.target)
        if cell.intermediate != BASELINE or names in found:
            continue
        stage = plan.by_key[key].stage
        parents = [plan.by_key[parent].stage for parent in stage.parents.values()]
        trained = [TrainSpec.model_validate(one.spec) for one in parents if one.kind is Kind.TRAIN]
        if trained:
            found[names] = tuple(_of_training(trained))
        else:
            evaluated = EvaluateSpec.model_validate(stage.spec)
            found[names] = tuple(_of_retrieval(evaluated, pretrained.get(cell.model, "")))
    return {names: said for names, said in found.items() if said}


def _of_training(trained: Sequence[TrainSpec]) -> Iterator[str]:
    """Of one training: with a sweep it is several, which differ in their learning rates."""
    one = trained[0]
    family, own = one.model.family, one.hyperparameters
    usual = recipe(family, one.phase, [data.task for data in one.data])
    if len(trained) > 1:
        rates = " ".join(each.hyperparameters.learning_rate for each in trained)
        yield f"learning rate chosen of {rates} instead of {usual.learning_rate}"
        own = own.model_copy(update={"learning_rate": usual.learning_rate})
    for name in Override.model_fields:
        if name != _OF_DEVICE:
            yield from _differs(name.replace("_", " "), getattr(own, name), getattr(usual, name))
    yield from _differs("form", one.model.form, FORMS[family])
    yield from _differs("pooling", one.model.pooling, POOLINGS[family])
    if one.lora is not None:
        yield f"low-rank adapters of rank {one.lora.rank} instead of all weights"


def _of_retrieval(evaluated: EvaluateSpec, pretrained: str) -> Iterator[str]:
    use, known = evaluated.retrieval, MODELS.get(pretrained)
    if use is not None:
        usual = known or FAMILY_RETRIEVAL[evaluated.model.family]
        if usual.layer is not None:  # else there is no usual one
            yield from _differs("layer", use.layer, usual.layer)
        yield from _differs("prefix", use.prefix or "none", usual.prefix or "none")


def _differs(what: str, own: Any, usual: Any) -> Iterator[str]:
    if own != usual:
        yield f"{what} {own} instead of {'all' if usual is None else usual}"
