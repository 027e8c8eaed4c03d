"""mT5 as text to text, through the stages: what can be learnt is learnt, and every weight is carried over."""

from __future__ import annotations

import json
import random

import pytest
import torch
from safetensors.torch import load_file
from torch import nn
from transformers import MT5Config, MT5ForConditionalGeneration

from xstilts.errors import SpecError
from xstilts.stage import (
    ContinuedPretraining,
    Corpus,
    EvaluateSpec,
    Family,
    Form,
    Mixing,
    ModelUse,
    Pooling,
    RetrievalUse,
    Stage,
    TrainSpec,
)
from xstilts.task import Metric, TaskType
from xstilts_trainer.progress import Progress
from xstilts_trainer.stages import run_stage

from .conftest import COLOURS, FILLERS, Bench, make_data, write_rows
from .test_ranks import start

USE = ModelUse(family=Family.MT5, form=Form.TEXT_TO_TEXT, pooling=Pooling.MEAN)
ADAMW = {"learning_rate": "1e-3", "schedule": "Constant", "batch_size": 16, "max_length": 40}
ADAFACTOR = {"optimizer": "Adafactor", "schedule": "Constant", "warmup_ratio": "0", "weight_decay": "0"}
# task, metric, epochs until it is learnt, what a guess gets at most
LEARNT = {
    TaskType.CLASSIFICATION: ("colours", "accuracy", 8, 33.3),
    TaskType.MULTIPLE_CHOICE: ("which", "accuracy", 12, 33.3),
    TaskType.TAGGING: ("entities", "f1", 24, 46.2),  # each word a colour
    TaskType.SPAN_QA: ("find", "exact_match", 8, 33.3),
}


def choice_row(draw, language):
    """Which choice is a colour?"""
    choices, label = draw.sample(FILLERS, 3), draw.randrange(3)
    choices[label] = draw.choice(COLOURS[language])
    return {"text": "w0", "choices": choices, "label": label}


def tagging_row(draw, language):
    """A short sentence; three words of ten are colours."""
    tokens = [
        draw.choice(COLOURS[language] if draw.random() < 0.3 else FILLERS) for _ in range(draw.randint(2, 5))
    ]
    return {"tokens": tokens, "tags": ["B-COL" if token in COLOURS[language] else "O" for token in tokens]}


ROWS = {TaskType.MULTIPLE_CHOICE: choice_row, TaskType.TAGGING: tagging_row}


class TextBench(Bench):
    """The bench of a tiny mT5: its stages are text to text."""

    def enough(self, type_: TaskType):
        """Data from which a random model learns to look at the right place."""
        folder = make_data(self.root / f"enough-{type_}", type_, train=640)
        for path in folder.iterdir() if type_ in ROWS else ():
            language, count = path.name.split(".")[1], len(path.read_text().splitlines())
            draw = random.Random(path.name)  # noqa: S311 - made data, no secret
            write_rows(path, [ROWS[type_](draw, language) for _ in range(count)])
        return self.store.put(f"enough-{type_}".lower(), folder)

    def train_stage(self, *types, **changes) -> Stage:
        return self._as_text(super().train_stage(*types, **{**ADAMW, **changes}), TrainSpec)

    def evaluate_stage(self, *types, **changes) -> Stage:
        recipe = self.recipe.model_copy(update={"max_length": 40})
        return self._as_text(
            super().evaluate_stage(*types, **{"hyperparameters": recipe, **changes}), EvaluateSpec
        )

    @staticmethod
    def _as_text(stage: Stage, kind) -> Stage:
        spec = kind.model_validate(stage.spec).model_copy(update={"model": USE})
        return Stage.of(stage.kind, spec, stage.parents)


@pytest.fixture(scope="session")
def tiny_mt5(tmp_path_factory, mt5_tokenizer):
    folder = tmp_path_factory.mktemp("tiny-mt5")
    torch.manual_seed(0)
    config = MT5Config(
        vocab_size=len(mt5_tokenizer) + 2, d_model=32, d_kv=16, d_ff=48, num_layers=2, num_heads=2, dropout_rate=0.0
    )  # fmt: skip
    model = MT5ForConditionalGeneration(config)
    model.lm_head.weight = nn.Parameter(torch.randn_like(model.lm_head.weight) * 0.1)
    model.all_tied_weights_keys.pop("lm_head.weight")
    with torch.no_grad():  # words for a colour begin with equal vectors in both languages
        for english, german in zip(COLOURS["en"], COLOURS["de"], strict=True):
            number = mt5_tokenizer.convert_tokens_to_ids(f"▁{english}")
            model.shared.weight[mt5_tokenizer.convert_tokens_to_ids(f"▁{german}")] = model.shared.weight[
                number
            ]
    model.save_pretrained(folder)
    mt5_tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture
def texts(tmp_path, tiny_mt5) -> TextBench:
    return TextBench(tmp_path, tiny_mt5)


def scores_of(folder) -> dict:
    return json.loads((folder / "scores.json").read_text())


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("type_", LEARNT, ids=str)
def test_a_task_is_learnt(texts, type_):
    task, metric, epochs, guess = LEARNT[type_]
    data = texts.enough(type_)
    train = texts.train_stage(type_, data=data, epochs=epochs)
    texts.run(train)
    texts._data[type_] = data
    scores = scores_of(texts.run(texts.evaluate_stage(type_, parent=train.key)))[task][metric]
    assert set(scores) == {"de", "en"}
    assert float(scores["en"]) > guess + 20
    if type_ is not TaskType.SPAN_QA:  # a German answer was never said
        assert float(scores["de"]) > guess + 20


def test_all_weights_are_carried_over(texts):
    first = texts.train_stage(TaskType.TAGGING, epochs=1)
    before = texts.run(first)
    second = texts.train_stage(TaskType.CLASSIFICATION, parent=first.key, epochs=1, learning_rate="0")
    after = texts.run(second)
    weights = [load_file(folder / "encoder/model.safetensors") for folder in (before, after)]
    assert {name.split(".")[0] for name in weights[0]} == {"shared", "encoder", "decoder", "lm_head"}
    assert (after / "encoder/model.safetensors").read_bytes() == (
        before / "encoder/model.safetensors"
    ).read_bytes()
    pretrained = load_file(texts.store.fetch_input(texts.model) / "model.safetensors")
    for name, weight in pretrained.items():
        assert not torch.equal(weight, weights[0][name]), name
    assert [task["name"] for task in json.loads((after / "tasks.json").read_text())] == ["colours"]


def test_a_mix_with_adafactor_repeats(texts):
    types = (TaskType.CLASSIFICATION, TaskType.SPAN_QA, TaskType.TAGGING)
    stage = texts.train_stage(*types, mixing=Mixing(strategy="Uniform"), **{**ADAFACTOR, "epochs": 1})
    training = json.loads((texts.run(stage) / "training.json").read_text())
    assert set(training["tasks"]) == {"colours", "entities", "find"}
    digest = texts.store.lookup(stage.key).outputs_digest
    texts.store.remove(stage.key)
    texts.run(stage)
    assert texts.store.lookup(stage.key).outputs_digest == digest
    assert set(scores_of(texts.run(texts.evaluate_stage(*types, parent=stage.key)))) == set(training["tasks"])


class Interrupted(Progress):
    """Asks for the end after so many steps."""

    def __init__(self, steps: int) -> None:
        super().__init__()
        self.left = steps

    def update(self, *_arguments) -> None:
        self.left -= 1
        if not self.left:
            raise KeyboardInterrupt


@pytest.mark.parametrize("optimiser", [{}, ADAFACTOR], ids=["AdamW", "Adafactor"])
def test_an_interrupted_training_ends_with_the_same_bytes(texts, tiny_mt5, optimiser):
    stage = texts.train_stage(TaskType.SPAN_QA, epochs=2, dropout="0.1", **optimiser)
    for steps in (2, 5):
        with pytest.raises(KeyboardInterrupt):
            run_stage(stage, texts.store, Interrupted(steps))
    texts.run(stage)
    undisturbed = TextBench(texts.root / "undisturbed", tiny_mt5)
    undisturbed.train_stage(TaskType.SPAN_QA)
    undisturbed.run(stage)
    digests = [bench.store.lookup(stage.key).outputs_digest for bench in (texts, undisturbed)]
    assert digests[0] == digests[1]


@pytest.mark.slow
def test_two_processes_train_as_one(texts, tiny_mt5):
    types = (TaskType.CLASSIFICATION, TaskType.SPAN_QA)
    changes = {"epochs": 1, "batch_size": 7, "mixing": Mixing(strategy="Uniform")}
    stage = texts.train_stage(*types, **changes)
    alone = TextBench(texts.root / "alone", tiny_mt5)
    assert alone.train_stage(*types, **changes).key == stage.key
    alone.run(stage)
    assert start(texts, stage, XSTILTS_RANKS_PER_NODE="2").wait() == 0
    curves = [
        [
            float(part["mean"])
            for part in json.loads((bench.store.fetch(stage.key) / "training.json").read_text())["loss"]
        ]
        for bench in (texts, alone)
    ]
    assert curves[0] == pytest.approx(curves[1], abs=2e-4)


def test_no_answer_is_an_answer_where_a_task_has_it(texts, tmp_path):
    """SQuAD 2: half of the questions have none; what is submitted is a text, or nothing."""
    folder = tmp_path / "v2"
    made = texts.enough(TaskType.SPAN_QA)
    for path in texts.store.fetch_input(made).glob("*.jsonl"):
        rows = [json.loads(line) for line in path.read_text().splitlines()[:32]]
        for row in rows[::2]:
            row["answers"] = {"text": [], "answer_start": []}
        write_rows(folder / path.name, rows)
    data = texts.store.put("v2", folder)
    task = {"metric": Metric.SQUAD_V2}
    train = texts.train_stage(TaskType.SPAN_QA, data=data, epochs=1, select=False)
    spec = TrainSpec.model_validate(train.spec)
    entry = spec.data[0].model_copy(update={"task": spec.data[0].task.model_copy(update=task)})
    train = Stage.of(train.kind, spec.model_copy(update={"data": (entry,)}))
    texts.run(train)
    texts._data[TaskType.SPAN_QA] = data
    folder = texts.run(texts.evaluate_stage(TaskType.SPAN_QA, parent=train.key, **task))
    assert 0 <= float(scores_of(folder)["find"]["exact_match"]["en"]) <= 100
    said = json.loads((folder / "predictions/find/test-en.json").read_text())
    assert len(said) == 24
    assert not any("extra_id" in text for text in said.values())


def test_sentences_are_retrieved_with_the_encoder_of_what_was_trained(texts):
    train = texts.train_stage(TaskType.CLASSIFICATION, epochs=1)
    texts.run(train)
    stage = texts.evaluate_stage(
        TaskType.RETRIEVAL,
        parent=train.key,
        languages=("de",),
        retrieval=RetrievalUse(layer=-1, pooling="Mean"),
    )
    assert float(scores_of(texts.run(stage))["pairs"]["accuracy"]["de"]) > 30


def with_text(bench, tmp_path, **changes) -> Stage:
    folder = tmp_path / "corpus"
    folder.mkdir()
    rows = [json.dumps({"text": f"w1 w2 red w3 w4 w5 w6 w{number}"}) for number in range(20)]
    (folder / "train.en.jsonl").write_text("\n".join(rows) + "\n")
    stage = bench.train_stage(
        TaskType.CLASSIFICATION, epochs=1, **{k: v for k, v in changes.items() if k == "max_length"}
    )
    pretraining = ContinuedPretraining(
        objective=changes.get("objective", "SpanCorruption"),
        ratio="0.25",
        corpora=(Corpus(role="corpus", language="en"),),
        sentences_cap=20,
        temperature="2",
    )
    inputs = {**stage.spec["inputs"], "corpus": bench.store.put("corpus", folder)}
    spec = TrainSpec.model_validate({**stage.spec, "inputs": inputs})
    return Stage.of(stage.kind, spec.model_copy(update={"continued_pretraining": pretraining}))


def test_spans_are_corrupted_among_a_tasks_batches(texts, tmp_path):
    training = json.loads((texts.run(with_text(texts, tmp_path)) / "training.json").read_text())
    assert training["stepsPerEpoch"] == 8  # 6 of the task, 2 of text
    assert training["textStepsPerEpoch"] == 2


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        (
            {"objective": "MLM"},
            "objective: must be SpanCorruption, which is for the form TextToText, was MLM",
        ),
        ({"max_length": 600}, "maxLength: must be so low that a text has at most 24 spans"),
    ],
)
def test_text_that_cannot_be_corrupted_so_is_refused(texts, tmp_path, changes, sentence):
    with pytest.raises(SpecError, match=sentence):
        texts.run(with_text(texts, tmp_path, **changes))


def test_a_task_that_was_not_trained_is_named(texts):
    train = texts.train_stage(TaskType.CLASSIFICATION, epochs=1)
    texts.run(train)
    with pytest.raises(SpecError, match=r"which: head: must be a head of the model \(colours\), was which"):
        texts.run(texts.evaluate_stage(TaskType.MULTIPLE_CHOICE, parent=train.key))
