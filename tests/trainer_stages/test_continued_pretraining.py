"""Masked text in several languages among a task's batches."""

from __future__ import annotations

import json
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xstilts.errors import DataError, SpecError
from xstilts.stage import ContinuedPretraining, Corpus, Kind, Stage, TrainSpec
from xstilts.task import TaskType
from xstilts_trainer.training.feed import StepBatch
from xstilts_trainer.training.text_feed import OBJECTIVE, InterleavedFeed, text_steps


@given(st.integers(1, 500), st.sampled_from(["0.05", "0.2", "0.5", "0.9"]))
def test_the_ratio_is_kept(steps, ratio):
    text = text_steps(steps, Decimal(ratio))
    assert text / (steps + text) >= float(ratio) - 1e-9
    assert (text - 1) / (steps + text - 1) < float(ratio)


class Numbers:
    """A feed whose batches are their numbers."""

    def __init__(self, name, steps_per_epoch):
        self.name, self.steps_per_epoch = name, steps_per_epoch

    def batch(self, number):
        return StepBatch(self.name, {}, (str(number),), {})


def test_every_epoch_holds_all_batches_of_the_tasks_and_text_in_its_own_order():
    feed = InterleavedFeed(Numbers("task", 7), Numbers(OBJECTIVE, 3), 3, seed=1)
    steps = [feed.batch(step) for step in range(2 * feed.steps_per_epoch)]
    for name, per_epoch in (("task", 7), (OBJECTIVE, 3)):
        mine = [step for step in steps if step.task == name]
        assert [step.rows for step in mine] == [(str(number),) for number in range(2 * per_epoch)]
    layouts = [[step.task for step in steps[start : start + 10]] for start in (0, 10)]
    assert layouts[0] != layouts[1]
    assert feed.batch(13) == steps[13]


@pytest.fixture
def pretraining_stage(bench, tmp_path):
    def make(text="w1 w2 red w3", **changes):
        folder = tmp_path / "corpus"
        folder.mkdir()
        for language in ("de", "en"):
            rows = [json.dumps({"text": f"{text} w{number} ."}) for number in range(20)]
            (folder / f"train.{language}.jsonl").write_text("\n".join(rows) + "\n")
        stage = bench.train_stage(TaskType.CLASSIFICATION, epochs=1)
        pretraining = ContinuedPretraining(
            **{
                "objective": "MLM",
                "ratio": "0.25",
                "corpora": tuple(Corpus(role="corpus", language=language) for language in ("de", "en")),
                "sentences_cap": 10,
                "temperature": "2",
                **changes,
            }
        )
        inputs = {**stage.spec["inputs"], "corpus": bench.store.put("corpus", folder)}
        spec = TrainSpec.model_validate({**stage.spec, "inputs": inputs})
        return Stage.of(Kind.TRAIN, spec.model_copy(update={"continued_pretraining": pretraining}))

    return make


def test_a_stage_with_text_trains_and_repeats(bench, pretraining_stage, tiny_encoder):
    stage = pretraining_stage()
    artifact = bench.run(stage)
    training = json.loads((artifact / "training.json").read_text())
    assert training["stepsPerEpoch"] == 16  # 12 of the task, 4 of text
    assert training["textStepsPerEpoch"] == 4
    assert [path.name for path in (artifact / "heads").iterdir()] == ["colours.safetensors"]
    digest = bench.store.lookup(stage.key).outputs_digest
    bench.store.remove(stage.key)
    bench.run(stage)
    assert bench.store.lookup(stage.key).outputs_digest == digest


def test_a_corpus_without_text_is_named(bench, pretraining_stage):
    stage = pretraining_stage(corpora=(Corpus(role="corpus", language="fr"),))
    with pytest.raises(DataError, match=r"corpus/train.fr.*must be there"):
        bench.run(stage)


def test_span_corruption_is_refused(bench, pretraining_stage):
    with pytest.raises(SpecError, match="objective: must be MLM"):
        bench.run(pretraining_stage(objective="SpanCorruption"))
