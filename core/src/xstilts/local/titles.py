"""What a stage is called on a terminal and in a log's name: from the cells that need it."""

from __future__ import annotations

from collections.abc import Iterable

from xstilts.plan import PlannedStage
from xstilts.stage import Kind

NAMES_SHOWN = 3  # of stages that many cells share, the first few are named


def title(planned: PlannedStage) -> str:
    """A line such as `train xnli after mnli on e5-small, seed 1`; of a sweep, `…, lr 1e-5` too."""
    stage = planned.stage
    models = _names(cell.model for cell in planned.labels)
    intermediates = _names(cell.intermediate for cell in planned.labels)
    targets = _names(cell.target for cell in planned.labels)
    seeds = _names(str(cell.seed) for cell in planned.labels)
    if stage.kind is Kind.PREPARE:
        what = stage.spec["what"]
        return f"prepare {what} {models if what == 'model' else stage.spec['task']}"
    if stage.kind is Kind.REPORT:
        return "report"
    rate = f", lr {stage.spec['hyperparameters']['learningRate']}" if planned.swept else ""
    if stage.kind is Kind.TRAIN and stage.spec["phase"] == "intermediate":
        return f"train {intermediates} on {models}, seed {seeds}{rate}"
    return f"{stage.kind} {targets} after {intermediates} on {models}, seed {seeds}{rate}"


def _names(names: Iterable[str]) -> str:
    distinct = sorted(set(names))
    shown = "+".join(distinct[:NAMES_SHOWN])
    return shown if len(distinct) <= NAMES_SHOWN else f"{shown}+{len(distinct) - NAMES_SHOWN} more"
