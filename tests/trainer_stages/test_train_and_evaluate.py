"""Every task type: trained on English, evaluated in two languages; what can be learnt is learnt."""

from __future__ import annotations

import json

import pytest

from xstilts.task import TaskType

MAIN = {
    TaskType.CLASSIFICATION: ("colours", "accuracy", 33.3),
    TaskType.MULTIPLE_CHOICE: ("which", "accuracy", 33.3),
    TaskType.TAGGING: ("entities", "f1", 0),
    TaskType.SPAN_QA: ("find", "exact_match", 10),
}


@pytest.mark.parametrize("type_", MAIN, ids=str)
def test_a_task_is_learnt_and_carried_over_to_the_other_language(bench, type_):
    train = bench.train_stage(type_)
    bench.run(train)
    folder = bench.run(bench.evaluate_stage(type_, parent=train.key))
    task, metric, chance = MAIN[type_]
    scores = json.loads((folder / "scores.json").read_text())[task][metric]
    assert set(scores) == {"de", "en"}
    assert float(scores["en"]) > chance + 40
    assert float(scores["de"]) > chance + 40
