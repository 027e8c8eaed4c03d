"""The score of each cell in each language, as gauges: the plan says whose evaluation is whose, the stages have the scores."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from statistics import fmean
from typing import Final

from xstilts.stage import Kind
from xstilts_operator.actions import Object
from xstilts_operator.cache import Cache, name_of
from xstilts_operator.metrics.family import Family, Labels, Sample, kind_of
from xstilts_operator.plans import PlanDocument, PlanError
from xstilts_operator.tolerant import mapping, text
from xstilts_operator.views import StageState
from xstilts_operator.views.stage import view_scores

NAME: Final = "xstilts_experiment_language_score"
_LABELS: Final = ("namespace", "experiment", "model", "intermediate", "target", "language")
_LANGUAGE_LENGTH: Final = 63

_Versions = tuple[object, ...]


class LanguageScores:
    """Remembers the samples of an experiment until its plan or one of its scores is another: a scrape is cheap."""

    def __init__(self, cache: Cache) -> None:
        self._cache = cache
        self._known: dict[str, tuple[_Versions, tuple[Sample, ...]]] = {}

    def family(self, experiments: Iterable[Object]) -> Family:
        """The metric, in the order of the experiments."""
        help_text = "Mean score in a language over seeds, in points of the target's metric."
        return NAME, help_text, _LABELS, self._samples(experiments)

    def _samples(self, experiments: Iterable[Object]) -> Iterator[Sample]:
        before, self._known = self._known, {}
        for experiment in experiments:
            uid = experiment["metadata"]["uid"]
            scored = {
                name_of(one)[1]: one for one in self._cache.stages_of_experiment(uid) if _is_scored(one)
            }
            plan = text(mapping(experiment, "status", "plan").get("name"), 253)
            versions: _Versions = (plan, *(_version(one) for one in scored.values()))
            known = before.get(uid)
            if known is None or known[0] != versions:
                known = versions, tuple(self._of(experiment, plan, scored))
            self._known[uid] = known
            yield from known[1]

    def _of(self, experiment: Object, plan_name: str, scored: Mapping[str, Object]) -> Iterator[Sample]:
        namespace, name = name_of(experiment)
        try:
            plan = self._cache.plan_of(namespace, plan_name) if scored and plan_name else None
        except PlanError:
            return  # the experiment's condition says so
        if plan is not None:
            for cell, values in _by_cell(plan, scored).items():
                yield (namespace, name, *cell), fmean(values)


def _by_cell(plan: PlanDocument, scored: Mapping[str, Object]) -> Mapping[Labels, list[float]]:
    """(model, intermediate, target, language) -> a score a seed."""
    of_stage = {name: view_scores(mapping(one, "status").get("scores")) for name, one in scored.items()}
    found: dict[Labels, list[float]] = {}
    for cell, key in plan.evaluations.items():
        scores = of_stage.get(plan.stages[key].name, {}).get(str(cell.target), {})
        for language, value in _by_language(scores).items():
            labels = (str(cell.model), str(cell.intermediate), str(cell.target), language)
            found.setdefault(labels, []).append(value)
    return found


def _by_language(scores: Mapping[str, Mapping[str, str]]) -> Mapping[str, float]:
    """The main score of a language that has all of its numbers; a status has no others than those it is made of."""
    first, *others = scores.values() or ({},)
    return {
        language: fmean(float(numbers[language]) for numbers in (first, *others))
        for language in first
        if len(language) <= _LANGUAGE_LENGTH and all(language in numbers for numbers in others)
    }


def _version(stage: Object) -> tuple[object, object]:
    return stage["metadata"]["uid"], stage["metadata"].get("resourceVersion")


def _is_scored(stage: Object) -> bool:
    status = mapping(stage, "status")
    succeeded = text(status.get("state")) == StageState.SUCCEEDED
    return succeeded and kind_of(stage) == Kind.EVALUATE and bool(mapping(status, "scores"))
