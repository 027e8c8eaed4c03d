"""An evaluation's scores in a few words: what `kubectl get txs` shows of it."""

from __future__ import annotations

from pydantic import ValidationError

from xstilts import scoring
from xstilts.stage import EvaluateSpec, Kind, Stage
from xstilts_operator.views.stage import Scores

LONGEST = 256  # characters


def headline(text: str, scores: Scores) -> str:
    """The headline of a stage, which `text` is as JSON; "" where it is no evaluation or has no scores."""
    if not scores:
        return ""
    try:
        stage = Stage.model_validate_json(text)
        data = EvaluateSpec.model_validate(stage.spec).data if stage.kind is Kind.EVALUATE else ()
    except ValidationError:
        return ""
    return scoring.headline(scores, data)[:LONGEST]
