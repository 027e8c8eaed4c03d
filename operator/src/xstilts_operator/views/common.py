"""What all objects have: a condition, and who they are."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from xstilts_operator.tolerant import integer, mappings, moment, stamp, text


@dataclass(frozen=True)
class Condition:
    """A condition as Kubernetes has it; `since` is its lastTransitionTime."""

    type: str
    status: str
    reason: str
    message: str
    since: datetime | None
    generation: int | None = None

    def to_json(self) -> dict[str, Any]:
        """As it stands in a status."""
        said: dict[str, Any] = {
            "type": self.type,
            "status": self.status,
            "reason": self.reason,
            "message": self.message,
        }
        if self.since is not None:
            said["lastTransitionTime"] = stamp(self.since)
        if self.generation is not None:
            said["observedGeneration"] = self.generation
        return said


def view_conditions(value: Any) -> tuple[Condition, ...]:
    """The well-formed conditions of a status, of each type the first."""
    found: dict[str, Condition] = {}
    for item in mappings(value):
        kind, status = text(item.get("type")), text(item.get("status"))
        if kind and status in {"True", "False", "Unknown"}:
            condition = Condition(
                type=kind,
                status=status,
                reason=text(item.get("reason")),
                message=text(item.get("message"), 32_768),
                since=moment(item.get("lastTransitionTime")),
                generation=integer(item.get("observedGeneration")),
            )
            found.setdefault(kind, condition)
    return tuple(found.values())


def find_condition(conditions: Iterable[Condition], kind: str) -> Condition | None:
    """The condition of a type."""
    return next((condition for condition in conditions if condition.type == kind), None)


def is_true(conditions: Iterable[Condition], kind: str) -> bool:
    """Whether there is a condition of this type and it is True."""
    condition = find_condition(conditions, kind)
    return condition is not None and condition.status == "True"
