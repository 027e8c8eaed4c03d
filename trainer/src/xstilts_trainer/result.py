"""The result of a stage: what it tells whoever started it, in at most 4,096 bytes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from xstilts.errors import ParentError, UserError
from xstilts.scoring import main_scores, rounded
from xstilts.stage import RESULT_LIMIT, EvaluateSpec, Kind, Result, StageFailure
from xstilts.store import Manifest, Store
from xstilts.task import Metric

SCORES = "scores.json"
Scores = dict[str, dict[str, dict[str, str]]]  # task -> metric -> language -> decimal


def result_of(manifest: Manifest, store: Store) -> Result:
    """The result of a stage that is done, from what stands in the store.

    Scores that would break the limit lose detail in a fixed order: first all but the numbers that a task's main score is
    made of, then the digits after the second, then all of them. The artifact keeps everything.

    Raises:
        StoreError: the scores are damaged.
    """
    scores: Scores = {}
    metrics: dict[str, Metric] = {}
    if manifest.kind is Kind.EVALUATE:
        scores = json.loads(store.read_bytes(manifest.key, SCORES))
        spec = EvaluateSpec.model_validate(manifest.stage.spec)
        metrics = {data.task.name: data.task.metric for data in spec.data}
    return bounded(manifest.key, manifest.outputs_digest, scores, metrics)


def bounded(key: str, outputs_digest: str, scores: Scores, metrics: Mapping[str, Metric]) -> Result:
    """The result with the most detail that fits (see `result_of`)."""
    main = main_scores(scores, metrics)
    for candidate in (scores, main, rounded(main)):
        result = Result(key=key, outputs_digest=outputs_digest, scores=candidate)
        if len(to_bytes(result)) <= RESULT_LIMIT:
            return result
    return Result(key=key, outputs_digest=outputs_digest)


def failure(key: str, error: BaseException) -> Result:
    """The result of a stage that failed: the first problem's place and all of their sentences, cut to fit."""
    problems = error.problems if isinstance(error, UserError) else ()
    if not problems:
        return _fitting(key, "", f"{type(error).__name__}: {error}")
    first, *others = problems
    parent = error.parent if isinstance(error, ParentError) else None
    return _fitting(key, first.field, "; ".join([first.message, *map(str, others)]), parent)


def to_bytes(result: Result) -> bytes:
    """Compact JSON."""
    return result.model_dump_json(exclude_none=True).encode()


def write_result(path: Path, result: Result) -> None:
    """Write the result's file. In a pod it is /dev/termination-log, which can be written but not replaced."""
    path.write_bytes(to_bytes(result))


def _fitting(key: str, field: str, message: str, parent: str | None = None) -> Result:
    """A failure whose texts are cut step by step until it fits: escapes make bytes hard to foretell."""
    limit = max(len(field), len(message))
    while True:
        error = StageFailure(field=_cut(field, limit), message=_cut(message, limit), parent=parent)
        result = Result(key=key, error=error)
        if len(to_bytes(result)) <= RESULT_LIMIT:
            return result
        limit = limit * 3 // 4


def _cut(text: str, limit: int) -> str:
    return text if len(text) <= limit else f"{text[: max(0, limit - 1)]}…"
