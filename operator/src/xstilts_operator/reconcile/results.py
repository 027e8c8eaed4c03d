"""The bounded table in an experiment's status: a row a model, intermediate and target that has scores."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from pydantic import ValidationError

from xstilts.plan import Plan
from xstilts.results import Combination, Estimate, Numbers, best, combinations, results_of
from xstilts.scoring import whole_scores
from xstilts.stage import EvaluateSpec, Kind
from xstilts_operator.memory import Memory
from xstilts_operator.plans import PlanDocument
from xstilts_operator.views import StageView
from xstilts_operator.views.stage import Scores

ROWS_LIMIT: Final = 256

# By a plan's content: of which versions of stages they are, the rows, and the best of them. No plan stays for their sake.
_ROWS: Final[Memory[tuple[tuple[tuple[str, str], ...], tuple[Mapping[str, Any], ...], str]]] = Memory(128)


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
    known = _ROWS.get(plan.content)
    if known is None or known[0] != versions:
        known = _ROWS.put(plan.content, (versions, *_rows(plan, scored)))
    _, rows, highest = known
    if not rows:
        return {}
    left_out = len(rows) - ROWS_LIMIT
    return {
        "results": [dict(row) for row in rows[:ROWS_LIMIT]],
        **({"resultsTruncated": left_out} if left_out > 0 else {}),
        "best": highest,
    }


def _rows(document: PlanDocument, scores: Mapping[str, Scores]) -> tuple[tuple[Mapping[str, Any], ...], str]:
    """The rows, and the best of them in words."""
    try:
        experiment, plan = document.experiment(), document.plan()
    except (
        ValidationError
    ):  # accepted by another version: the report, which that version can write, has the table
        return (), ""
    found = combinations(results_of(experiment, plan, dict(_numbers(plan, scores))))
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
