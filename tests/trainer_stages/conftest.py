"""A tiny multilingual encoder, made data of every task type, and stages over them in a folder store."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast, XLMRobertaConfig, XLMRobertaModel

from xstilts.stage import (
    EvaluateSpec,
    Family,
    Form,
    Hyperparameters,
    Kind,
    ModelUse,
    Pooling,
    Selection,
    Stage,
    TaskData,
    TrainSpec,
)
from xstilts.store import Store
from xstilts.task import Metric, Task, TaskType
from xstilts_trainer.progress import Progress
from xstilts_trainer.stages import run_stage

# Two languages with one vocabulary each, and words that mean something in both.
COLOURS = {"en": ["red", "green", "blue"], "de": ["rot", "grün", "blau"]}
FILLERS = [f"w{number}" for number in range(60)]
SPECIAL = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
VOCABULARY = [*SPECIAL, *COLOURS["en"], *COLOURS["de"], *FILLERS, "?", "."]

RECIPE = Hyperparameters(
    learning_rate="5e-3",
    epochs=3,
    batch_size=8,
    max_length=32,
    warmup_ratio="0.1",
    weight_decay="0.01",
    doc_stride=8,
    max_query_length=8,
)
USE = ModelUse(family=Family.XLMR, form=Form.ENCODER_HEAD, pooling=Pooling.MEAN)
LANGUAGES = ("de", "en")


def make_encoder(folder: Path) -> Path:
    """A random XLM-R of two layers; the words for a colour begin with equal vectors in both languages."""
    torch.manual_seed(0)
    config = XLMRobertaConfig(
        vocab_size=len(VOCABULARY),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=48,
        max_position_embeddings=66,
        type_vocab_size=1,
        pad_token_id=1,
        initializer_range=0.2,
    )
    model = XLMRobertaModel(config, add_pooling_layer=False)
    with torch.no_grad():
        words = model.embeddings.word_embeddings.weight
        for english, german in zip(COLOURS["en"], COLOURS["de"], strict=True):
            words[VOCABULARY.index(german)] = words[VOCABULARY.index(english)]
    model.save_pretrained(folder)
    tokenizer = Tokenizer(
        models.WordLevel({word: number for number, word in enumerate(VOCABULARY)}, unk_token="<unk>")
    )
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", pair="<s> $A </s> </s> $B </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        cls_token="<s>",
        sep_token="</s>",
        unk_token="<unk>",
        pad_token="<pad>",
        mask_token="<mask>",
        model_input_names=["input_ids", "attention_mask"],
    ).save_pretrained(folder)
    return folder


def _words(draw: random.Random, count: int) -> list[str]:
    return draw.choices(FILLERS, k=count)


def classification_row(draw: random.Random, language: str) -> dict[str, Any]:
    """Which colour is named?"""
    label = draw.randrange(3)
    words = [*_words(draw, draw.randint(1, 6)), COLOURS[language][label]]
    draw.shuffle(words)
    return {"text": " ".join(words), "label": ["red", "green", "blue"][label]}


def choice_row(draw: random.Random, language: str) -> dict[str, Any]:
    """Which choice names a colour?"""
    choices, label = [" ".join(_words(draw, 2)) for _ in range(3)], draw.randrange(3)
    choices[label] = f"{draw.choice(FILLERS)} {draw.choice(COLOURS[language])}"
    return {"text": " ".join(_words(draw, 3)), "choices": choices, "label": label}


def tagging_row(draw: random.Random, language: str) -> dict[str, Any]:
    """Colours are entities; some sentences are longer than a window."""
    tokens = [
        draw.choice(COLOURS[language]) if draw.random() < 0.3 else draw.choice(FILLERS)
        for _ in range(draw.choice([3, 6, 40]))
    ]
    return {"tokens": tokens, "tags": ["B-COL" if token in COLOURS[language] else "O" for token in tokens]}


def span_row(draw: random.Random, language: str) -> dict[str, Any]:
    """Which word of the context is a colour? Some contexts are longer than a window."""
    words, colour = _words(draw, draw.choice([5, 12, 40])), draw.choice(COLOURS[language])
    place = draw.randrange(len(words))
    words[place] = colour
    context = " ".join(words)
    return {
        "id": f"{draw.getrandbits(64):x}",
        "question": "w0 ?",
        "context": context,
        "answers": {"text": [colour], "answer_start": [len(" ".join(words[:place])) + bool(place)]},
    }


def retrieval_row(draw: random.Random, language: str) -> dict[str, Any]:
    """A sentence and its translation: colours are translated, other words stay."""
    words = [*_words(draw, 4), draw.choice(COLOURS["en"])]
    swapped = dict(zip(COLOURS["en"], COLOURS["de"], strict=True))
    return {"source": " ".join(swapped.get(word, word) for word in words), "target": " ".join(words)}


MADE: Mapping[TaskType, tuple[Task, Callable[[random.Random, str], dict[str, Any]]]] = {
    TaskType.CLASSIFICATION: (
        Task(
            name="colours",
            type=TaskType.CLASSIFICATION,
            format="text_classification",
            metric=Metric.ACCURACY,
            labels=("blue", "green", "red"),
        ),
        classification_row,
    ),
    TaskType.MULTIPLE_CHOICE: (
        Task(
            name="which",
            type=TaskType.MULTIPLE_CHOICE,
            format="multiple_choice",
            metric=Metric.ACCURACY,
        ),
        choice_row,
    ),
    TaskType.TAGGING: (
        Task(
            name="entities",
            type=TaskType.TAGGING,
            format="tagging",
            metric=Metric.TAGGING_F1,
            labels=("B-COL", "I-COL", "O"),
        ),
        tagging_row,
    ),
    TaskType.SPAN_QA: (
        Task(name="find", type=TaskType.SPAN_QA, format="span_qa", metric=Metric.SQUAD),
        span_row,
    ),
    TaskType.RETRIEVAL: (
        Task(name="pairs", type=TaskType.RETRIEVAL, format="retrieval", metric=Metric.ACCURACY),
        retrieval_row,
    ),
}


def write_rows(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")


def make_data(folder: Path, type_: TaskType, *, train: int = 96, other: int = 24) -> Path:
    """train.en, validation.en and test in both languages."""
    make = MADE[type_][1]
    draw = random.Random(str(type_))  # noqa: S311 - made data, no secret
    for split, languages, count in (
        ("train", ["en"], train),
        ("validation", ["en"], other),
        ("test", LANGUAGES, other),
    ):
        for language in languages:
            write_rows(folder / f"{split}.{language}.jsonl", [make(draw, language) for _ in range(count)])
    return folder


class Bench:
    """A store with the tiny encoder and made data, and stages on them."""

    recipe = RECIPE

    def __init__(self, root: Path, encoder: Path) -> None:
        self.root = root
        self.store = Store.open(str(root / "store"))
        self.model = self.store.put("tiny", encoder)
        self._data = {}

    def data(self, type_: TaskType):
        if type_ not in self._data:
            self._data[type_] = self.store.put(str(type_), make_data(self.root / str(type_), type_))
        return self._data[type_]

    def train_stage(
        self,
        *types: TaskType,
        parent: str | None = None,
        seed: int = 1,
        select: bool = True,
        data=None,
        **changes,
    ) -> Stage:
        inputs = {f"data.{MADE[t][0].name}": data or self.data(t) for t in types}
        entries = tuple(
            TaskData(task=MADE[t][0], role=f"data.{MADE[t][0].name}", split="train") for t in types
        )
        selection = tuple(
            Selection(data=entry.model_copy(update={"split": "validation"})) for entry in entries
        )
        recipe = RECIPE.model_copy(
            update={k: v for k, v in changes.items() if k in Hyperparameters.model_fields}
        )
        spec = TrainSpec(
            recipe_version=1,
            phase="target",
            model=USE,
            inputs=inputs if parent else {**inputs, "model": self.model},
            data=entries,
            selection=selection if select else (),
            hyperparameters=recipe,
            seed=seed,
            **{k: v for k, v in changes.items() if k not in Hyperparameters.model_fields},
        )
        return Stage.of(Kind.TRAIN, spec, {"model": parent} if parent else None)

    def evaluate_stage(
        self, *types: TaskType, parent: str | None = None, languages=LANGUAGES, **changes
    ) -> Stage:
        """`changes` are of the spec, or of each task's data, or of its task."""
        spec_changes, data_changes, task_changes = (
            {name: value for name, value in changes.items() if name in model.model_fields}
            for model in (EvaluateSpec, TaskData, Task)
        )
        entries = tuple(
            TaskData(
                task=MADE[t][0].model_copy(update=task_changes),
                role=f"data.{MADE[t][0].name}",
                languages=languages,
                **{"split": "test", **data_changes},
            )
            for t in types
        )
        inputs = {entry.role: self.data(t) for t, entry in zip(types, entries, strict=True)}
        spec = EvaluateSpec(
            recipe_version=1,
            model=USE,
            inputs=inputs if parent else {**inputs, "model": self.model},
            data=entries,
            **{"hyperparameters": RECIPE, **spec_changes},
        )
        return Stage.of(Kind.EVALUATE, spec, {"model": parent} if parent else None)

    def run(self, stage: Stage) -> Path:
        """In this process; returns the artifact's folder."""
        run_stage(stage, self.store, Progress())
        return self.store.fetch(stage.key)


@pytest.fixture(scope="session")
def tiny_encoder(tmp_path_factory) -> Path:
    return make_encoder(tmp_path_factory.mktemp("tiny-encoder"))


@pytest.fixture
def bench(tmp_path, tiny_encoder) -> Bench:
    return Bench(tmp_path, tiny_encoder)
