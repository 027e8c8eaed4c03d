"""Every task type: trained on English, evaluated in two languages; what can be learnt is learnt."""

from __future__ import annotations

import json

import pytest
import torch
from safetensors import safe_open

from xstilts.errors import DataError, SpecError, UserError
from xstilts.stage import EvaluateSpec, Family, Kind, Mixing, RetrievalUse, Stage, TrainSpec
from xstilts.task import TaskType
from xstilts_trainer.models.backbone import load_backbone

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


def test_sentences_are_retrieved_with_the_encoder_alone(bench, tiny_encoder):
    stage = bench.evaluate_stage(
        TaskType.RETRIEVAL, languages=("de",), retrieval=RetrievalUse(layer=0, pooling="Mean")
    )
    folder = bench.run(stage)
    scores = json.loads((folder / "scores.json").read_text())["pairs"]["accuracy"]
    assert float(scores["de"]) == 100
    assert json.loads((folder / "chance.json").read_text())["pairs"]["de"] == repr(100 / 24)
    assert sorted(map(int, (folder / "predictions/pairs/test-de.tsv").read_text().split())) == list(range(24))


def test_several_tasks_share_a_checkpoint_and_a_mix_trains_them(bench):
    types = (TaskType.CLASSIFICATION, TaskType.TAGGING, TaskType.SPAN_QA)
    train = bench.train_stage(*types, mixing=Mixing(strategy="Proportional", examples_cap=64))
    artifact = bench.run(train)
    training = json.loads((artifact / "training.json").read_text())
    assert training["steps"] == training["stepsPerEpoch"] * 3
    assert set(training["tasks"]) == {"colours", "entities", "find"}
    folder = bench.run(bench.evaluate_stage(*types, parent=train.key))
    scores = json.loads((folder / "scores.json").read_text())
    assert set(scores) == {"colours", "entities", "find"}
    assert float(scores["colours"]["accuracy"]["de"]) > 60
    assert (folder / "predictions/find/test-de.json").is_file()


def test_only_the_encoder_is_carried_over(bench):
    intermediate = bench.train_stage(TaskType.TAGGING, epochs=1)
    before = bench.run(intermediate)
    target = bench.train_stage(TaskType.CLASSIFICATION, parent=intermediate.key, epochs=1, learning_rate="0")
    after = bench.run(target)
    assert (after / "encoder/model.safetensors").read_bytes() == (
        before / "encoder/model.safetensors"
    ).read_bytes()
    assert [path.name for path in (after / "heads").iterdir()] == ["colours.safetensors"]


def test_one_task_answers_with_the_head_of_another(bench):
    train = bench.train_stage(TaskType.CLASSIFICATION)
    bench.run(train)
    stage = bench.evaluate_stage(TaskType.CLASSIFICATION, parent=train.key)
    spec = EvaluateSpec.model_validate(stage.spec)
    data = spec.data[0]
    # the same labels in another order: they are matched by name
    task = data.task.model_copy(update={"name": "shades", "labels": ("red", "green", "blue")})
    renamed = data.model_copy(update={"task": task, "head": "colours"})
    folder = bench.run(Stage.of(Kind.EVALUATE, spec.model_copy(update={"data": (renamed,)}), stage.parents))
    assert float(json.loads((folder / "scores.json").read_text())["shades"]["accuracy"]["en"]) > 80


def test_the_same_seed_gives_the_same_bytes_and_another_one_others(bench, tiny_encoder):
    other = type(bench)(bench.root / "other", tiny_encoder)
    digests = []
    for where, seed in ((bench, 1), (other, 1), (bench, 2)):
        train = where.train_stage(TaskType.SPAN_QA, epochs=1, seed=seed)
        where.run(train)
        evaluate = where.evaluate_stage(TaskType.SPAN_QA, parent=train.key)
        where.run(evaluate)
        digests.append([where.store.lookup(stage.key).outputs_digest for stage in (train, evaluate)])
    assert digests[0] == digests[1]
    assert digests[0][0] != digests[2][0]


def test_the_best_epoch_is_kept(bench):
    """A rate that explodes after the first epoch's warm-up: later epochs are worse."""
    stage = bench.train_stage(TaskType.CLASSIFICATION, epochs=4, learning_rate="0.1", schedule="Constant")
    dev = json.loads((bench.run(stage) / "dev.json").read_text())
    scores = [float(epoch["colours"]) for epoch in dev["epochs"]]
    assert dev["best"] == scores.index(max(scores)) + 1 < 4
    evaluate = bench.evaluate_stage(
        TaskType.CLASSIFICATION, parent=stage.key, languages=("en",), split="validation"
    )
    kept = json.loads((bench.run(evaluate) / "scores.json").read_text())["colours"]["accuracy"]["en"]
    assert kept == dev["epochs"][dev["best"] - 1]["colours"]


def test_the_environment_is_recorded(bench):
    stage = bench.train_stage(TaskType.CLASSIFICATION, epochs=1)
    bench.run(stage)
    environment = bench.store.lookup(stage.key).environment
    assert environment["seed"] == 1
    assert environment["sources"] == {
        "data.colours": bench.data(TaskType.CLASSIFICATION).digest,
        "model": bench.model.digest,
    }
    assert {"python", "torch", "transformers", "tokenizers", "numpy", "xstilts"} <= environment[
        "versions"
    ].keys()
    assert environment["hardware"]["threads"] >= 1
    evaluate = bench.evaluate_stage(TaskType.CLASSIFICATION, parent=stage.key)
    bench.run(evaluate)
    for key in (stage.key, evaluate.key):  # what a GPU was used for is what another need not pay
        manifest = bench.store.lookup(key)
        assert manifest.environment["hardware"].get("gpus") == (1 if torch.cuda.is_available() else None)
        assert (manifest.gpu_seconds > 0) == torch.cuda.is_available()


def test_a_loss_that_is_not_finite_ends_the_stage_at_once(bench):
    stage = bench.train_stage(TaskType.CLASSIFICATION, learning_rate="1e30")
    with pytest.raises(
        DataError, match=r"step \d+, task colours: the loss must be finite, was nan.*train.en row \d+"
    ):
        bench.run(stage)


def test_the_batch_whose_loss_is_not_finite_is_saved(bench, tiny_encoder):
    """With the tokenizer's own ids, which the cut embedding table does not know, and where its rows stand."""
    stage = bench.train_stage(TaskType.CLASSIFICATION, learning_rate="1e30")
    with pytest.raises(DataError) as caught:
        bench.run(stage)
    file = bench.store.checkpoint_dir(stage.key) / "not-finite.safetensors"
    assert f"look at the batch, saved in {file}: train.en row" in str(caught.value)
    with safe_open(file, framework="pt") as saved:
        told, batch = saved.metadata(), {name: saved.get_tensor(name) for name in saved.keys()}  # noqa: SIM118
    assert (told["what"], told["value"], told["task"]) == ("loss", "nan", "colours")
    assert caught.value.problems[0].field == f"step {told['step']}, task colours"
    rows = json.loads(told["rows"])
    folder = bench.store.fetch_input(bench.data(TaskType.CLASSIFICATION))
    lines = [json.loads(line) for line in (folder / "train.en.jsonl").read_text().splitlines()]
    texts = [lines[int(row.removeprefix("train.en row ")) - 1]["text"] for row in rows]
    tokenizer = load_backbone(tiny_encoder, Family.XLMR).tokenizer
    assert tokenizer.batch_decode(batch["input_ids"], skip_special_tokens=True) == texts
    assert len(batch["labels"]) == len(rows) == bench.recipe.batch_size


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"max_length": 70}, "maxLength: must be at most 64, the model's longest input, was 70"),
        ({"languages": ("fr",)}, r"colours/test.fr.*must be there: split test is there in de, en"),
        ({"head": "shades"}, r"colours: head: must be a head of the model \(colours\), was shades"),
        ({"labels": ("red", "green", "blue", "grey")}, "colours: labels: must be those of the head"),
    ],
)
def test_a_wrong_evaluation_says_what_is_wrong(bench, changes, sentence):
    train = bench.train_stage(TaskType.CLASSIFICATION, epochs=1)
    bench.run(train)
    if "max_length" in changes:
        changes = {"hyperparameters": bench.recipe.model_copy(update=changes)}
    with pytest.raises(UserError, match=sentence):
        bench.run(bench.evaluate_stage(TaskType.CLASSIFICATION, parent=train.key, **changes))


def test_a_role_without_source_is_named(bench):
    stage = bench.train_stage(TaskType.CLASSIFICATION)
    spec = {**stage.spec, "inputs": {"model": stage.spec["inputs"]["model"]}}
    with pytest.raises(SpecError, match=r"spec.data\[0\].role: must be a parent or an input"):
        bench.run(Stage.of(Kind.TRAIN, TrainSpec.model_validate(spec)))


def test_every_item_is_told_right_or_wrong_with_its_cluster(bench):
    """Accuracy is the share of ones; equal texts are of one cluster."""
    train = bench.train_stage(TaskType.CLASSIFICATION, epochs=1)
    bench.run(train)
    folder = bench.run(bench.evaluate_stage(TaskType.CLASSIFICATION, parent=train.key))
    answers = json.loads((folder / "answers.json").read_text())["colours"]
    scores = json.loads((folder / "scores.json").read_text())["colours"]["accuracy"]
    for language, one in answers.items():
        assert 100 * one["right"].count("1") / len(one["right"]) == pytest.approx(float(scores[language]))
        rows = (
            bench.store.fetch_input(bench.data(TaskType.CLASSIFICATION)) / f"test.{language}.jsonl"
        ).read_text()
        texts = [json.loads(row)["text"] for row in rows.splitlines()]
        assert (
            len(set(zip(texts, one["clusters"], strict=True))) == len(set(texts)) == len(set(one["clusters"]))
        )
