"""Stages that train low-rank adapters: what can be learnt is learnt, and what they leave is an ordinary checkpoint."""

from __future__ import annotations

import json

import pytest
import torch
from safetensors.torch import load_file

from xstilts.errors import SpecError
from xstilts.stage import ContinuedPretraining, Corpus, Kind, Lora, Stage, TrainSpec
from xstilts.task import TaskType
from xstilts_trainer.stages import run_stage
from xstilts_trainer.training.checkpoint import load_checkpoint

from .test_ranks import start
from .test_text_to_text import Interrupted, TextBench, tiny_mt5  # noqa: F401 - a fixture

ENCODER = Lora(rank=4, alpha=16, dropout="0.1", target_modules=("dense", "query", "value"))
TEXT = Lora(rank=4, alpha=16, dropout="0.1", target_modules=("q", "v"))


def weights(folder) -> dict[str, torch.Tensor]:
    return load_file(folder / "encoder/model.safetensors")


def test_adapters_learn_and_are_merged_into_the_checkpoint(bench, tiny_encoder):
    stage = bench.train_stage(TaskType.CLASSIFICATION, lora=ENCODER, learning_rate="2e-2", epochs=4)
    folder = bench.run(stage)
    before, after = load_file(tiny_encoder / "model.safetensors"), weights(folder)
    assert after.keys() == before.keys()
    changed = {name.rsplit(".", 2)[-2] for name in before if not torch.equal(before[name], after[name])}
    assert changed == {"dense", "query", "value"}
    scores = json.loads(
        (
            bench.run(bench.evaluate_stage(TaskType.CLASSIFICATION, parent=stage.key)) / "scores.json"
        ).read_text()
    )
    assert min(float(score) for score in scores["colours"]["accuracy"].values()) > 33.3 + 40


def test_each_change_is_of_the_rank_that_was_asked_for(bench, tiny_encoder):
    folder = bench.run(bench.train_stage(TaskType.TAGGING, lora=ENCODER, learning_rate="2e-2", epochs=1))
    before, after = load_file(tiny_encoder / "model.safetensors"), weights(folder)
    ranks = {
        int(torch.linalg.matrix_rank(after[name].double() - before[name].double(), atol=1e-5))
        for name in before
        if name.endswith("query.weight")
    }
    assert max(ranks) <= ENCODER.rank
    assert min(ranks) > 0


def test_a_next_stage_begins_with_new_adapters_on_the_merged_model(bench):
    first = bench.train_stage(TaskType.TAGGING, lora=ENCODER, epochs=1)
    before = bench.run(first)
    second = bench.train_stage(
        TaskType.CLASSIFICATION, parent=first.key, lora=ENCODER, epochs=1, learning_rate="0"
    )
    after = bench.run(second)
    assert all(torch.equal(weights(before)[name], value) for name, value in weights(after).items())


@pytest.mark.parametrize("form", ["encoder", "text"])
def test_an_interrupted_training_ends_with_the_same_bytes(form, bench, tiny_encoder, tmp_path, request):
    if form == "text":
        model, lora, kind = request.getfixturevalue("tiny_mt5"), TEXT, TextBench
    else:
        model, lora, kind = tiny_encoder, ENCODER, type(bench)
    broken, undisturbed = (kind(tmp_path / name, model) for name in ("broken", "undisturbed"))
    stages = [one.train_stage(TaskType.CLASSIFICATION, lora=lora, epochs=2) for one in (broken, undisturbed)]
    assert stages[0] == stages[1]
    for steps in (2, 5):
        with pytest.raises(KeyboardInterrupt):
            run_stage(stages[0], broken.store, Interrupted(steps))
    checkpoint = load_checkpoint(broken.store.checkpoint_dir(stages[0].key))
    assert not any("embeddings" in name for name in checkpoint.tensors), "what is frozen is in the parent"
    broken.run(stages[0])
    undisturbed.run(stages[1])
    digests = {one.store.lookup(stages[0].key).outputs_digest for one in (broken, undisturbed)}
    assert len(digests) == 1


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_two_processes_train_adapters_as_one(bench, tiny_encoder):
    changes = {"epochs": 1, "lora": ENCODER.model_copy(update={"dropout": "0"}), "dropout": "0"}
    stage = bench.train_stage(TaskType.CLASSIFICATION, **changes)
    alone = type(bench)(bench.root / "alone", tiny_encoder)
    assert alone.train_stage(TaskType.CLASSIFICATION, **changes).key == stage.key
    expected = weights(alone.run(stage))
    assert start(bench, stage, XSTILTS_RANKS_PER_NODE="2").wait() == 0
    found = weights(bench.store.fetch(stage.key))
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value, atol=2e-3, rtol=0, msg=name)


def test_pretraining_is_continued_by_adapters_too(bench, tiny_encoder, tmp_path):
    """The masked language model reads the embedding table, which stays as it is."""
    (tmp_path / "corpus").mkdir()
    rows = [json.dumps({"text": f"w1 w2 red w{number} ."}) for number in range(20)]
    (tmp_path / "corpus/train.en.jsonl").write_text("\n".join(rows) + "\n")
    plain = bench.train_stage(TaskType.CLASSIFICATION, lora=ENCODER, epochs=1)
    spec = TrainSpec.model_validate(plain.spec)
    pretraining = ContinuedPretraining(
        objective="MLM",
        ratio="0.25",
        corpora=(Corpus(role="corpus", language="en"),),
        sentences_cap=20,
        temperature="1",
    )
    corpus = bench.store.put("corpus", tmp_path / "corpus")
    changes = {"continued_pretraining": pretraining, "inputs": {**spec.inputs, "corpus": corpus}}
    folder = bench.run(Stage.of(Kind.TRAIN, spec.model_copy(update=changes)))
    before, after = load_file(tiny_encoder / "model.safetensors"), weights(folder)
    changed = {name.rsplit(".", 2)[-2] for name in before if not torch.equal(before[name], after[name])}
    assert changed == {"dense", "query", "value"}
    assert json.loads((folder / "training.json").read_text())["textStepsPerEpoch"] == 4
    alone = weights(bench.run(plain))
    assert not torch.equal(
        alone["encoder.layer.0.attention.self.query.weight"],
        after["encoder.layer.0.attention.self.query.weight"],
    )


def test_layers_that_are_not_there_are_named(bench):
    wrong = ENCODER.model_copy(update={"target_modules": ("q",)})
    with pytest.raises(SpecError, match=r"spec.lora.targetModules: must be names of linear layers"):
        bench.run(bench.train_stage(TaskType.CLASSIFICATION, lora=wrong))
