"""Metrics that are what the resources say: a restart loses none, and a deleted experiment leaves none behind.

Series are bounded, whatever experiments there are and whatever their status has been made to say by hand: the newest
experiments come first, and what is left out is counted. That count is a gauge: how many are missing from this very scrape. A
counter would grow with every scrape and every scraper, and its rate would say nothing of the resources.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Final

from prometheus_client.metrics_core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from xstilts.catalogue.models import MODELS
from xstilts_operator.actions import Object, Resource
from xstilts_operator.cache import Cache, name_of
from xstilts_operator.metrics.family import Family, Labels, Sample, kind_of
from xstilts_operator.metrics.languages import LanguageScores
from xstilts_operator.metrics.running import running
from xstilts_operator.tolerant import decimal, integer, mapping, mappings, text
from xstilts_operator.views import StageState

SERIES: Final = 10_000  # of each metric
_NAME_LENGTH: Final = 253
_CELL: Final = ("model", "intermediate", "target")
_HOUR_SECONDS: Final = 3600
_STATES: Final = frozenset(StageState)


class StateCollector(Collector):
    """Reads the cache at each scrape. At most `series` of each metric."""

    def __init__(self, cache: Cache, series: int = SERIES) -> None:
        self._cache = cache
        self._series = series
        self._languages = LanguageScores(cache)

    def describe(self) -> Iterable[Metric]:
        """Nothing: the cache is read at a scrape, not at the registration."""
        return ()

    def collect(self) -> Iterator[Metric]:
        """All metrics, and of each how many series were left out."""
        newest = sorted(
            self._cache.list(Resource.EXPERIMENT),
            key=lambda experiment: text(experiment["metadata"].get("creationTimestamp")),
            reverse=True,
        )
        stages = self._cache.list(Resource.STAGE)
        dropped: dict[str, int] = {}
        for name, help_text, labels, samples in (
            *_results(newest),
            self._languages.family(newest),
            *_experiments(newest),
            _stages(stages),
            *running(stages),
        ):
            family = GaugeMetricFamily(name, help_text, labels=labels)
            rest = iter(samples)
            for values, value in islice(rest, self._series):
                family.add_metric(values, value)
            dropped[name] = sum(1 for _ in rest)
            yield family
        left_out = GaugeMetricFamily(
            "xstilts_dropped_series",
            "Series that are left out of a metric in this scrape, because it has many.",
            labels=["metric"],
        )
        for name, count in dropped.items():
            left_out.add_metric([name], count)
        yield left_out


def _results(experiments: Sequence[Object]) -> Iterator[Family]:
    labels = ("namespace", "experiment", *_CELL)
    for name, help_text, field in (
        (
            "xstilts_experiment_score",
            "Mean score over languages and seeds, in points of its metric.",
            "score",
        ),
        (
            "xstilts_experiment_delta",
            "Score minus that of the same model with no intermediate task.",
            "delta",
        ),
        ("xstilts_experiment_transfer_gap", "English score minus the mean of the other languages.", "gap"),
    ):
        yield name, help_text, labels, _cells(experiments, field)


def _parameters(experiments: Sequence[Object]) -> Iterator[Sample]:
    """Of models that are named by a hub id that the catalogue knows."""
    for experiment in experiments:
        seen: set[str] = set()
        for model in mappings(mapping(experiment, "spec").get("models")):
            name, known = text(model.get("name"), _NAME_LENGTH), MODELS.get(text(model.get("pretrained")))
            if name and name not in seen and known is not None and known.size is not None:
                seen.add(name)
                yield (*name_of(experiment), name), known.size.parameters


def _cells(experiments: Sequence[Object], field: str) -> Iterator[Sample]:
    for experiment in experiments:
        seen: set[Labels] = set()
        for result in mappings(mapping(experiment, "status").get("results")):
            cell = tuple(text(result.get(name), _NAME_LENGTH) for name in _CELL)
            value = decimal(result.get(field))
            if value is not None and all(cell) and cell not in seen:
                seen.add(cell)
                yield (*name_of(experiment), *cell), float(value)


def _experiments(experiments: Sequence[Object]) -> Iterator[Family]:
    labels = ("namespace", "experiment")
    yield (
        "xstilts_experiment_model_parameters",
        "Parameters of an experiment's pretrained models that the catalogue knows.",
        (*labels, "model"),
        _parameters(experiments),
    )
    yield (
        "xstilts_experiment_progress_ratio",
        "How far an experiment is, from 0 to 1.",
        labels,
        (
            (name_of(experiment), percent / 100)
            for experiment in experiments
            if (percent := integer(mapping(experiment, "status").get("progressPercent"))) is not None
        ),
    )
    yield (
        "xstilts_experiment_remaining_seconds",
        "How long an experiment that has not ended takes yet, as the operator estimates it.",
        labels,
        _remaining(experiments),
    )
    for use, help_text in (
        ("spent", "GPU time that an experiment has paid for, to a hundredth of an hour."),
        ("saved", "GPU time that an experiment has not needed, as another's stage or the store had it."),
    ):
        yield f"xstilts_experiment_gpu_{use}_seconds", help_text, labels, _gpu_seconds(experiments, use)
    reasons = Counter((name_of(experiment)[0], *_summary(experiment)) for experiment in experiments)
    yield (
        "xstilts_experiments",
        "Experiments by what their condition Succeeded says.",
        ("namespace", "succeeded", "reason"),
        sorted(reasons.items()),
    )


def _remaining(experiments: Sequence[Object]) -> Iterator[Sample]:
    for experiment in experiments:
        seconds = integer(mapping(experiment, "status").get("estimatedRemainingSeconds"))
        if seconds is not None and _summary(experiment)[0] == "Unknown":
            yield name_of(experiment), seconds


def _gpu_seconds(experiments: Sequence[Object], use: str) -> Iterator[Sample]:
    for experiment in experiments:
        hours = decimal(mapping(experiment, "status", "gpuHours").get(use))
        if hours is not None:
            yield name_of(experiment), float(hours) * _HOUR_SECONDS


def _summary(experiment: Object) -> tuple[str, str]:
    """Status and reason of the condition Succeeded."""
    for condition in mappings(mapping(experiment, "status").get("conditions")):
        if condition.get("type") == "Succeeded":
            status = text(condition.get("status"), _NAME_LENGTH)
            return status or "Unknown", text(condition.get("reason"), _NAME_LENGTH)
    return "Unknown", ""


def _stages(stages: Sequence[Object]) -> Family:
    states = Counter((name_of(stage)[0], kind_of(stage), _state(stage)) for stage in stages)
    labels = ("namespace", "kind", "state")
    return "xstilts_stages", "Stages by kind and state.", labels, sorted(states.items())


def _state(stage: Object) -> str:
    state = text(mapping(stage, "status").get("state"))
    return state if state in _STATES else StageState.PENDING.value
