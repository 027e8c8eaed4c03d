"""What the programs of the CPU Jobs answer, in the last message of their pods: at most 4,096 bytes each."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Literal, TypeVar

from pydantic import Field, ValidationError

from xstilts.model import Model
from xstilts.scoring import MAIN
from xstilts.stage import RESULT_LIMIT, EvaluateSpec, Kind, StageFailure

LOOKUP_SCHEMA: Final = "xstilts.dev/lookup/v1"
REPORT_SCHEMA: Final = "xstilts.dev/report/v1"
MOST_SECONDS: Final = 999_999_999  # of GPUs, that are told of one stage
PREFIX: Final = 16  # digits of a key or digest: enough to tell those of one plan apart
_LONGEST_TEXT: Final = 300  # characters of a failure's place and sentence, each at most 6 bytes in JSON


class Found(Model):
    """A stage that the store holds, and what it has cost; of an evaluation its digest, and its main scores with two digits.

    `dropped`: its weights have been dropped since.
    """

    dropped: bool = False
    gpu_seconds: int | None = Field(default=None, ge=0, le=MOST_SECONDS)
    outputs_digest: str | None = None
    scores: dict[str, dict[str, dict[str, str]]] = Field(default_factory=dict)


class LookupAnswer(Model):
    """What one index of a lookup has found of its share of a plan's keys: key's first 16 digits -> what is there."""

    schema_: Literal["xstilts.dev/lookup/v1"] = Field(alias="schema")
    plan: str
    index: int
    found: dict[str, Found] = Field(default_factory=dict)
    error: StageFailure | None = None

    def by_key(self, keys: Mapping[str, Any]) -> dict[str, Found]:
        """What was found of these keys, which are those of the plan."""
        return {key: self.found[key[:PREFIX]] for key in keys if key[:PREFIX] in self.found}


class ReportAnswer(Model):
    """Where a report lies in the store, and whether evaluations are missing in it."""

    schema_: Literal["xstilts.dev/report/v1"] = Field(alias="schema")
    plan: str
    path: str | None = None
    partial: bool = False
    error: StageFailure | None = None


AnyAnswer = TypeVar("AnyAnswer", LookupAnswer, ReportAnswer)


def read_answer(form: type[AnyAnswer], text: str, plan: str) -> AnyAnswer | None:
    """The answer in a pod's message, or None where it is none, or about another plan."""
    try:
        answer = form.model_validate_json(text)
    except ValidationError:
        return None
    return answer if answer.plan == plan else None


def lookup_answer(plan: str, index: int, found: Mapping[str, Found]) -> bytes:
    """The message of a lookup. Where it would be too long, the longest scores are left out: their stages have run."""
    kept = {key[:PREFIX]: one for key, one in found.items()}
    longest_first = sorted(kept, key=lambda prefix: -len(_json(kept[prefix])))
    for prefix in (None, *longest_first):
        if prefix is not None:
            kept[prefix] = kept[prefix].model_copy(update={"scores": {}})
        message = _json(LookupAnswer(schema_=LOOKUP_SCHEMA, plan=plan, index=index, found=kept))
        if len(message) <= RESULT_LIMIT:
            return message
    raise ValueError(f"{len(found)} stages are too many for one answer")


def answer_size(kind: Kind, spec: Mapping[str, Any]) -> int:
    """How many bytes a stage takes at most in a lookup's answer."""
    found = Found(gpu_seconds=None) if kind is Kind.PREPARE else Found(dropped=True, gpu_seconds=MOST_SECONDS)
    if kind is Kind.EVALUATE:
        scores = {
            data.task.name: {
                metric: dict.fromkeys(data.languages, "100.00") for metric in MAIN[data.task.metric]
            }
            for data in EvaluateSpec.model_validate(spec).data
        }
        found = Found(gpu_seconds=MOST_SECONDS, outputs_digest="f" * 64, scores=scores)
    return len(_json(found)) + PREFIX + len('"":,')


def failure(field: str, message: str) -> StageFailure:
    """Why a program has failed, cut to fit."""
    return StageFailure(field=field[:_LONGEST_TEXT], message=message[:_LONGEST_TEXT])


def to_message(answer: LookupAnswer | ReportAnswer) -> bytes:
    """An answer as JSON."""
    return _json(answer)


def _json(model: Model) -> bytes:
    return model.model_dump_json(exclude_unset=True, exclude_none=True).encode()
