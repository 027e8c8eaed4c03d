"""Status writes: only of what has changed, and only where nobody has written since it was read."""

from __future__ import annotations

from dataclasses import replace

from xstilts_operator.actions import ApplyStatus
from xstilts_operator.views import StageView


def write(stage: StageView) -> ApplyStatus:
    """Write a stage's status as the view has it."""
    return ApplyStatus(stage.reference, stage.status(), stage.version)


def say(stage: StageView, reason: str = "", message: str = "") -> tuple[ApplyStatus, ...]:
    """Write why a stage goes no further, or nothing where that is no news."""
    if (stage.reason, stage.message) == (reason, message):
        return ()
    return (write(replace(stage, reason=reason, message=message)),)
