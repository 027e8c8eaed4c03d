"""The bounded table in an experiment's status: a row a model, intermediate and target that has scores."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Final

from pydantic import ValidationError

from xstilts.plan import Plan
from xstilts.results import Combination, Estimate, Numbers, best, combinations, results_of
from xstilts.scoring import whole_scores
from xstilts.stage import EvaluateSpec, Kind
from xstilts_operator.plans import PlanDocument
from xstilts_operator.views import StageView
from xstilts_operator.views.stage import Scores

ROWS_LIMIT: Final = 256


@dataclass(frozen=True)
class _Scored:
    """A plan with the scores of its evaluations; equal ones have equal rows."""

    plan: str
    versions: tuple[tuple[str, str], ...]
    document: PlanDocument = field(compare=False)
    scores: Mapping[str, Scores] = field(compare=False)


def summary(plan: PlanDocument, stages: Mapping[str, StageView]) -> dict[str, Any]:
    """The fields `results`, `resultsTruncated` and `best` of an experiment's status; none where nothing is scored.

    `stages` are those that are there, by key.
    """
    scored = {
        key: stages[key].scores
        for key, one in plan.stages.items()
        if one.kind is Kind.EVALUATE and key in stages and stages[key].succeeded and stages[key].scores
    }
    if not scored:
        return {}
    versions = tuple((key, f"{stages[key].uid}/{stages[key].version}") for key in scored)
    rows, highest = _rows(_Scored(plan.content, versions, plan, scored))
    if not rows:
        return {}
    left_out = len(rows) - ROWS_LIMIT
    return {
        "results": [dict(row) for row in rows[:ROWS_LIMIT]],
        **({"resultsTruncated": left_out} if left_out > 0 else {}),
        "best": highest,
    }


@lru_cache(maxsize=128)
def _rows(scored: _Scored) -> tuple[tuple[Mapping[str, Any], ...], str]:
    """The rows, and the best of them in words."""
    try:
        experiment, plan = scored.document.experiment(), scored.document.plan()
    except (
        ValidationError
    ):  # accepted by another version: the report, which that version can write, has the table
        return (), ""
    found = combinations(results_of(experiment, plan, dict(_numbers(plan, scored.scores))))
    return tuple(map(_row, found)), best(found)


def _numbers(plan: Plan, scores: Mapping[str, Scores]) -> Iterator[tuple[str, Numbers]]:
    """The scores that were planned and are whole."""
    for planned in plan.of_kind(Kind.EVALUATE):
        said = scores.get(planned.key)
        if said is not None:
            data = EvaluateSpec.model_validate(planned.stage.spec).data
            yield planned.key, Numbers(scores=whole_scores(said, data))


def _row(one: Combination) -> dict[str, Any]:
    row: dict[str, Any] = {
        "model": one.model,
        "intermediate": one.intermediate,
        "target": one.target,
        "score": _decimal(one.score),
        "seeds": len(one.seeds),
    }
    for name, estimate in (("delta", one.delta), ("gap", one.gap)):
        if estimate is not None:
            row[name] = _decimal(estimate)
    if one.worst is not None:
        row["worst"] = f"{one.worst} {_decimal(one.languages[one.worst])}"
    return row


def _decimal(estimate: Estimate) -> str:
    return f"{estimate.mean:z.1f}"
