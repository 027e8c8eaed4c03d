"""Keys do not change by accident: whoever changes them throws away everybody's stored work.

If a change is meant (a recipe, the stage schema), raise RECIPE_VERSION or STAGE_SCHEMA, write golden_keys.json anew
with `XSTILTS_WRITE_KEYS=1 pytest tests/plan/test_golden_keys.py`, and say so in the changelog.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

from xstilts.plan import plan

GOLDEN = Path(__file__).with_name("golden_keys.json")
REVISION = "0123456789abcdef0123456789abcdef01234567"


def describe(planned):
    """A stage by its group and the names that need it."""
    names = (
        "+".join(sorted({str(getattr(cell, field)) for cell in planned.labels}))
        for field in ("model", "intermediate", "target", "seed")
    )
    rate = planned.stage.spec.get("hyperparameters", {}).get("learningRate", "")
    what = planned.stage.spec.get("task", "")
    return " | ".join(filter(None, [planned.group, *names, rate, what]))


def test_the_keys_of_a_fixed_experiment_are_those_of_the_file(make, base):
    spec = base()
    spec["models"] = [
        spec["models"][0],
        {"name": "xlmr", "pretrained": "FacebookAI/xlm-roberta-large", "revision": REVISION},
        {"name": "mt5", "pretrained": "google/mt5-base", "revision": REVISION, "form": "EncoderHead"},
    ]
    spec["targets"] += [{"task": name} for name in ("tydiqa", "udpos", "pawsx", "bucc2018")]
    spec["seeds"] = [1]
    wish = {"objective": "MLM", "ratio": "0.2", "corpus": "wikipedia", "languages": ["sw"]}
    spec["intermediates"] += [
        {"name": "mnli-sw", "tasks": ["mnli"], "translatedTo": ["sw"]},
        {"name": "mnli-mlm", "tasks": ["mnli"], "continuedPretraining": wish},
    ]
    found = {describe(planned): planned.key for planned in plan(make(**spec)).stages}
    if os.environ.get("XSTILTS_WRITE_KEYS"):
        GOLDEN.write_text(json.dumps(found, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    assert found == json.loads(GOLDEN.read_text(encoding="utf-8"))
