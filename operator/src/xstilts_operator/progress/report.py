"""What a pod reports: read strictly, kept within bounds, told as the stage's status has it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any, Final

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError
from pydantic.alias_generators import to_camel

from xstilts_operator.progress.refusal import RefusedError

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
METRICS: Final = 32  # the first so many are kept; a trainer sends about ten


class _Part(BaseModel):
    """As the protocol's own server reads it: JSON types strictly, fields that it does not know are passed over."""

    model_config = ConfigDict(frozen=True, extra="ignore", strict=True, alias_generator=to_camel)


class Metric(_Part):
    """A number's name and its text."""

    name: Annotated[str, Field(min_length=1, max_length=128)]
    value: Annotated[str, Field(max_length=64)]


class Report(_Part):
    """How far a stage is: percent, seconds left, and what its trainer measures."""

    progress_percentage: Annotated[int, Field(ge=0, le=100)] | None = None
    estimated_remaining_seconds: Annotated[int, Field(ge=0, lt=2**31)] | None = None
    metrics: Annotated[tuple[Metric, ...], Field(max_length=256, strict=False)] = ()
    last_updated_time: Annotated[AwareDatetime, Field(ge=_EPOCH)]

    @property
    def percent(self) -> int | None:
        """The percentage, where the trainer knows it."""
        return self.progress_percentage

    def status(self, now: datetime) -> dict[str, Any]:
        """`status.progress` of a TransferStage. A clock that is ahead does not make it newer than `now`."""
        progress: dict[str, Any] = {"lastUpdatedTime": _time(min(self.last_updated_time, now))}
        if self.progress_percentage is not None:
            progress["percent"] = self.progress_percentage
        if self.estimated_remaining_seconds is not None:
            progress["estimatedRemainingSeconds"] = self.estimated_remaining_seconds
        named = {metric.name: metric.value for metric in self.metrics}
        if named:
            progress["metrics"] = [{"name": name, "value": named[name]} for name in list(named)[:METRICS]]
        return progress


class _Body(_Part):
    trainer_status: Report | None = None


def parse_report(body: bytes) -> Report | None:
    """The report in a request's body; None where it says nothing of the trainer.

    Raises:
        RefusedError: 422, naming every field that is wrong.
    """
    try:
        return _Body.model_validate_json(body).trainer_status
    except ValidationError as error:
        faults = (
            f"{'.'.join(map(str, fault['loc'])) or 'body'}: {fault['msg']}" for fault in error.errors()[:10]
        )
        raise RefusedError(422, f"the report is invalid: {'; '.join(faults)}") from None


def _time(moment: datetime) -> str:
    return moment.astimezone(UTC).replace(microsecond=0, tzinfo=None).isoformat() + "Z"
