"""Text to text on real slices: a mix with MNLI is trained for a few steps, and XNLI answered in every language.

The model is tiny and random, its tokenizer made of the slices: this shows that the data's form is understood and that a
loss falls; what mT5 learns from them is measured elsewhere.
"""

from __future__ import annotations

import json
from itertools import islice

import pytest
import torch
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, trainers
from torch import nn
from transformers import MT5Config, MT5ForConditionalGeneration, T5Tokenizer

from xstilts.catalogue import CATALOGUE
from xstilts.stage import (
    EvaluateSpec,
    Holdout,
    Hyperparameters,
    Kind,
    Mixing,
    Selection,
    Stage,
    TaskData,
    TrainSpec,
)
from xstilts.store import Store
from xstilts.task import TaskType
from xstilts_trainer.data.load import load_examples
from xstilts_trainer.data.text_pieces import TextPieces
from xstilts_trainer.data.text_targets import MentionTargets
from xstilts_trainer.data.texts import TextFeatures
from xstilts_trainer.progress import Progress
from xstilts_trainer.stages import run_stage

pytestmark = [pytest.mark.data, pytest.mark.slow, pytest.mark.timeout(600)]

USE = {"family": "MT5", "form": "TextToText", "pooling": "Mean"}
RECIPE = Hyperparameters(
    learning_rate="0.002", epochs=1, batch_size=16, max_length=96, warmup_ratio="0", weight_decay="0",
    optimizer="Adafactor", schedule="Constant", dropout="0.1",
)  # fmt: skip
# task -> its folder, what is trained on, what the best epoch is chosen on
MIX = {
    "mnli": ("mnli", "train", "validation_matched"),
    "qqp": ("qqp", "train", "validation"),
    "commonsense_qa": ("commonsense_qa", "train", "validation"),
    "panx": ("panx", "train", "validation"),
    "squad_v2": ("squad_v2", "validation", None),
}
TRAIN_ROWS, TEST_ROWS = 192, 12


def texts_of(value):
    """All texts of a row."""
    if isinstance(value, str):
        yield value
    for inner in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from texts_of(inner)


@pytest.fixture(scope="module")
def tokenizer(data_dir):
    """A unigram tokenizer of the slices' English, with sentinels, as mT5's."""

    def corpus():
        for folder, split, _ in MIX.values():
            with (data_dir / folder / f"{split}.en.jsonl").open(encoding="utf-8") as lines:
                for line in islice(lines, 500):
                    yield " ".join(texts_of(json.loads(line)))

    made = Tokenizer(models.Unigram())
    made.normalizer = normalizers.NFKC()
    made.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace()]
    )
    special = ["<pad>", "</s>", "<unk>"]
    made.train_from_iterator(
        corpus(),
        trainers.UnigramTrainer(
            vocab_size=2000, unk_token="<unk>", special_tokens=special, show_progress=False
        ),
    )
    pieces = [(piece, score) for piece, score in json.loads(made.to_str())["model"]["vocab"]]
    sentinels = [(f"▁<extra_id_{number}>", 0.0) for number in reversed(range(100))]
    return T5Tokenizer(vocab=[*pieces, *sentinels], extra_ids=0)


@pytest.fixture
def slices(tmp_path, data_dir, tokenizer):
    """A store with a tiny model and the first rows of the slices: the function that puts a folder of them."""
    torch.manual_seed(0)
    config = MT5Config(vocab_size=len(tokenizer), d_model=32, d_kv=16, d_ff=48, num_layers=2, num_heads=2)
    model = MT5ForConditionalGeneration(config)
    model.lm_head.weight = nn.Parameter(torch.randn_like(model.lm_head.weight) * 0.1)
    model.all_tied_weights_keys.pop("lm_head.weight")
    model.save_pretrained(tmp_path / "model")
    tokenizer.save_pretrained(tmp_path / "model")
    store = Store.open(str(tmp_path / "store"))

    def put(name, rows):
        (tmp_path / name).mkdir()
        for split, count in rows.items():
            for file in (data_dir / name).glob(f"{split}.*.jsonl"):
                with file.open(encoding="utf-8") as lines:
                    (tmp_path / name / file.name).write_text("".join(islice(lines, count)), encoding="utf-8")
        return store.put(name, tmp_path / name)

    return store, store.put("tiny", tmp_path / "model"), put


def test_a_mix_is_trained_and_xnli_answered_in_every_language(slices):
    store, model, put = slices
    inputs, data, selection = {"model": model}, [], []
    for name, (folder, split, dev) in MIX.items():
        role = f"data.{name}"
        inputs[role] = put(folder, {split: TRAIN_ROWS} | ({dev: TEST_ROWS} if dev else {}))
        entry = TaskData(task=CATALOGUE[name].task, role=role, split=split)
        data.append(entry)
        selection.append(
            Selection(data=entry.model_copy(update={"split": dev}))
            if dev
            else Selection(holdout=Holdout(fraction="0.1", group_by="context"))
        )
    spec = TrainSpec(
        recipe_version=1,
        phase="intermediate",
        model=USE,
        inputs=inputs,
        data=tuple(data),
        mixing=Mixing(strategy="Uniform"),
        selection=tuple(selection),
        hyperparameters=RECIPE,
        seed=1,
    )
    train = Stage.of(Kind.TRAIN, spec)
    run_stage(train, store, Progress())
    artifact = store.fetch(train.key)
    losses = [float(part["mean"]) for part in json.loads((artifact / "training.json").read_text())["loss"]]
    quarter = len(losses) // 4
    assert sum(losses[-quarter:]) < sum(losses[:quarter]) * 0.7
    scores = json.loads((artifact / "dev.json").read_text())["epochs"][0]
    assert set(scores) == set(MIX)

    xnli = CATALOGUE["xnli"]
    asked = TaskData(task=xnli.task, role="data.xnli", split="test", languages=xnli.languages, head="mnli")
    evaluate = Stage.of(
        Kind.EVALUATE,
        EvaluateSpec(
            recipe_version=1,
            model=USE,
            inputs={"data.xnli": put("xnli", {"test": TEST_ROWS})},
            data=(asked,),
            hyperparameters=RECIPE,
        ),
        {"model": train.key},
    )
    run_stage(evaluate, store, Progress())
    accuracy = json.loads((store.fetch(evaluate.key) / "scores.json").read_text())["xnli"]["accuracy"]
    assert set(accuracy) == set(xnli.languages)
    assert all(0 <= float(value) <= 100 for value in accuracy.values())


@pytest.mark.parametrize("name", ["mnli", "hellaswag", "cosmos_qa", "squad", "udpos"])
def test_rows_fit_their_format(data_dir, tokenizer, name):
    folders = {"udpos": "udpos_xtreme"}
    split = "validation_matched" if name == "mnli" else "validation"
    task = CATALOGUE[name].task
    examples = load_examples(data_dir / folders.get(name, name), task, split, "en")[:50]
    pieces = TextPieces(tokenizer)
    made = TextFeatures(pieces, RECIPE).training(task, examples).features
    assert {feature.example for feature in made} == set(range(len(examples)))
    assert all(len(feature) <= RECIPE.max_length and len(feature.labels["labels"]) > 1 for feature in made)
    if task.type is TaskType.SPAN_QA:  # as the tokenizer spells it
        for feature in made:
            answer = pieces.text(next(pieces.ids([examples[feature.example].answers[0]])))
            assert pieces.text(feature.labels["labels"]) == answer


def test_english_mentions_come_back(data_dir, tokenizer):
    task = CATALOGUE["panx"].task
    examples = load_examples(data_dir / "panx", task, "validation", "en")
    pieces = TextPieces(tokenizer)
    targets, read = MentionTargets(pieces, task), [[] for _ in examples]
    for feature in TextFeatures(pieces, RECIPE).training(task, examples).features:
        read[feature.example] += targets.read(feature.labels["labels"].tolist(), feature.words)
    same = sum(list(example.tags) == tags for example, tags in zip(examples, read, strict=True))
    assert same >= 0.99 * len(examples)
