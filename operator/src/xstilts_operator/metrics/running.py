"""The stages that run, as gauges: how many of a kind of work, how far they are, and how long they take yet.

The stages of several seeds are one series, by their title without the seed: so an experiment's series stay as few as the
cells of its grid, however often it is repeated.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from statistics import fmean
from typing import Final

from xstilts_operator.actions import Object
from xstilts_operator.cache import name_of
from xstilts_operator.metrics.family import Family, Labels, kind_of
from xstilts_operator.tolerant import mapping, text
from xstilts_operator.views import StageState, view_stage

_SEED: Final = re.compile(r", seed [^,]*$")
_TITLE_LENGTH: Final = 253
_LABELS: Final = ("namespace", "experiment", "kind", "stage")


@dataclass
class _Told:
    """What the pods of some stages have told: percents, and seconds that are left."""

    stages: int = 0
    percents: list[int] = field(default_factory=list)
    remaining: list[int] = field(default_factory=list)


def running(stages: Iterable[Object]) -> Iterator[Family]:
    """Their number, progress (the mean) and remaining time (the longest); the latter two where a pod has told."""
    found: dict[Labels, _Told] = {}
    for stage in stages:
        if text(mapping(stage, "status").get("state")) == StageState.ACTIVE:
            _add(found.setdefault(_labels(stage), _Told()), stage)
    yield (
        "xstilts_running_stages",
        "Stages that run, by the experiment that pays for them; those of several seeds together.",
        _LABELS,
        ((labels, told.stages) for labels, told in found.items()),
    )
    yield (
        "xstilts_running_stage_progress_ratio",
        "How far stages that run are, as their pods have told: from 0 to 1, the mean over seeds.",
        _LABELS,
        ((labels, fmean(told.percents) / 100) for labels, told in found.items() if told.percents),
    )
    yield (
        "xstilts_running_stage_remaining_seconds",
        "How long stages that run take yet, as their pods have told: the longest of all seeds.",
        _LABELS,
        ((labels, max(told.remaining)) for labels, told in found.items() if told.remaining),
    )


def _labels(stage: Object) -> Labels:
    namespace, name = name_of(stage)
    title = text(mapping(stage, "spec").get("title"))[:_TITLE_LENGTH]
    payer = text(mapping(stage, "status", "attempt").get("experiment"), _TITLE_LENGTH)
    return namespace, payer, kind_of(stage), _SEED.sub("", title) or name


def _add(told: _Told, stage: Object) -> None:
    told.stages += 1
    percent, remaining = view_stage(stage).progress
    if percent is not None:
        told.percents.append(percent)
    if remaining is not None:
        told.remaining.append(remaining)
