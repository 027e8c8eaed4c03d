"""Status writes: only of what has changed, and only where nobody has written since it was read; and what they rest on."""

from __future__ import annotations

from dataclasses import replace

from xstilts_operator.actions import ApplyStatus, Seen
from xstilts_operator.views import ExperimentView, StageView


def write(stage: StageView, *rests_on: Seen) -> ApplyStatus:
    """Write a stage's status as the view has it."""
    return ApplyStatus(stage.reference, stage.status(), stage.version, rests_on)


def wanted_so(experiment: ExperimentView) -> Seen:
    """An experiment of which only the spec matters: its status, which is written often, overtakes nothing."""
    return Seen(experiment.reference, experiment.version, experiment.generation)


def say(stage: StageView, reason: str = "", message: str = "") -> tuple[ApplyStatus, ...]:
    """Write why a stage goes no further, or nothing where that is no news."""
    if (stage.reason, stage.message) == (reason, message):
        return ()
    return (write(replace(stage, reason=reason, message=message)),)
