"""`python -m xstilts_operator.lookup PLAN [ASKED]`: which stages of a plan does the store hold?

One index of an Indexed Job: it asks for every XSTILTS_INDEXES-th key, from XSTILTS_INDEX on; those that are in the plan ASKED
too are left out. Manifest, presence and sizes are checked; who reads the files verifies their hashes. Of a training whose weights were
dropped that is said: it is done, where nothing that must run needs them.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from xstilts.errors import StoreError
from xstilts.scoring import main_scores, rounded
from xstilts.stage import EvaluateSpec, Kind, StageFailure
from xstilts.store import Manifest, Store
from xstilts_operator.answers import (
    LOOKUP_SCHEMA,
    MOST_SECONDS,
    Found,
    LookupAnswer,
    lookup_answer,
    to_message,
)
from xstilts_operator.companion import Task, run
from xstilts_operator.plans import unpack

SCORES = "scores.json"


def look(task: Task) -> bytes:
    """The message of one index."""
    index = task.number("XSTILTS_INDEX")
    asked = unpack(Path(task.arguments[0]).read_bytes()) if task.arguments else None
    share = task.document.questions(asked)[index :: task.number("XSTILTS_INDEXES")]
    found = ((key, find(task.store, key)) for key in share)
    return lookup_answer(task.plan, index, {key: one for key, one in found if one is not None})


def find(store: Store, key: str) -> Found | None:
    """What the store holds of a stage. Scores that are damaged are set aside: then it holds nothing."""
    there = store.record(key)
    if there is None:
        return None
    manifest = there.manifest
    cost = min(manifest.gpu_seconds, MOST_SECONDS) or None
    if manifest.kind is not Kind.EVALUATE:
        return Found(gpu_seconds=cost) if there.whole else Found(dropped=True, gpu_seconds=cost)
    try:
        return _scored(store, manifest, cost)
    except StoreError:
        return None


def _scored(store: Store, manifest: Manifest, cost: int | None) -> Found:
    scores = json.loads(store.read_bytes(manifest.key, SCORES))
    spec = EvaluateSpec.model_validate(manifest.stage.spec)
    metrics = {data.task.name: data.task.metric for data in spec.data}
    main = rounded(main_scores(scores, metrics))
    return Found(gpu_seconds=cost, outputs_digest=manifest.outputs_digest, scores=main)


def _failed(plan: str, error: StageFailure) -> bytes:
    return to_message(LookupAnswer(schema_=LOOKUP_SCHEMA, plan=plan, index=0, error=error))


if __name__ == "__main__":
    sys.exit(run(look, _failed, sys.argv[1:]))
