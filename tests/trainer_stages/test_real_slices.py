"""Every intermediate task and every target on the real slice of its data: a few steps, then every language that is there.

The model is tiny and random, the tokenizer is the real one, so this shows that the data's form is understood; what is
learnt from them is measured elsewhere.
"""

from __future__ import annotations

import json
from itertools import islice

import pytest
import torch
from transformers import XLMRobertaConfig, XLMRobertaModel

from xstilts.catalogue import CATALOGUE
from xstilts.stage import (
    EvaluateSpec,
    Hyperparameters,
    Kind,
    RetrievalUse,
    Selection,
    Stage,
    TaskData,
    TrainSpec,
)
from xstilts.store import Store
from xstilts_trainer.progress import Progress
from xstilts_trainer.stages import run_stage

pytestmark = [pytest.mark.data, pytest.mark.slow]

TRAIN_ROWS, TEST_ROWS = 48, 20
USE = {"family": "XLMR", "form": "EncoderHead", "pooling": "Mean"}
RECIPE = Hyperparameters(
    learning_rate="1e-4", epochs=1, batch_size=16, max_length=96, warmup_ratio="0.1", weight_decay="0.01"
)
HOLDOUT = {"fraction": "0.1", "groupBy": "context"}
# task -> (its folder of slices, the split that is trained on, that of selection, that of evaluation)
TRAINED = {
    "mnli": ("mnli", "train", "validation_matched", "validation_matched"),
    "qqp": ("qqp", "train", "validation", "validation"),
    "squad": ("squad", "train", None, "validation"),
    "squad_v2": ("squad_v2", "validation", None, "validation"),
    "hellaswag": ("hellaswag", "train_from_validation", "validation", "validation"),
    "cosmos_qa": ("cosmos_qa", "train_from_validation", "validation", "validation"),
    "commonsense_qa": ("commonsense_qa", "train", "validation", "test_inhouse"),
    "pawsx": ("paws-x", "validation", "test", "test"),
    "udpos": ("udpos_xtreme", "train", "validation", "test"),
    "panx": ("panx", "train", "validation", "test_from_dev"),
    "tydiqa": ("tydiqa", "train", None, "validation"),
}
ANSWERED_BY = {
    "xnli": ("mnli", "xnli", "test"),
    "xquad": ("squad", "xquad", "test"),
    "mlqa": ("squad", "mlqa", "validation"),
}
LANGUAGES = {
    "xnli": 15,
    "pawsx": 7,
    "udpos": 32,
    "panx": 39,
    "xquad": 11,
    "mlqa": 7,
    "tydiqa": 9,
    "tatoeba": 36,
}


class Slices:
    """The slices' first rows in a store, and stages on them."""

    def __init__(self, root, data_dir, encoder):
        self.root, self.data_dir = root, data_dir
        self.store = Store.open(str(root / "store"))
        self.model = self.store.put("tiny", encoder)
        self._put = {}
        self._trained = {}

    def put(self, name):
        """The first rows of every file of a folder."""
        if name not in self._put:
            folder = self.root / name
            folder.mkdir()
            for file in (self.data_dir / name).glob("*.jsonl"):
                self._copy(
                    file, folder / file.name, TRAIN_ROWS if file.name.startswith("train") else TEST_ROWS
                )
            self._put[name] = self.store.put(name, folder)
        return self._put[name]

    @staticmethod
    def _copy(file, target, rows):
        with file.open(encoding="utf-8") as lines, target.open("a", encoding="utf-8") as out:
            out.writelines(islice(lines, rows))

    def languages(self, folder, split):
        return tuple(
            sorted(file.name.split(".")[1] for file in (self.data_dir / folder).glob(f"{split}.*.jsonl"))
        )

    def train(self, task, reference, split, dev):
        """A few steps on English; the stage's key."""
        data = TaskData(task=CATALOGUE[task].task, role=f"data.{task}", split=split)
        selection = (
            Selection(data=data.model_copy(update={"split": dev})) if dev else Selection(holdout=HOLDOUT)
        )
        spec = TrainSpec(
            recipe_version=1,
            phase="target",
            model=USE,
            inputs={"model": self.model, data.role: reference},
            data=(data,),
            selection=(selection,),
            hyperparameters=RECIPE,
            seed=1,
        )
        return self.run(Stage.of(Kind.TRAIN, spec))

    def trained(self, task):
        if task not in self._trained:
            folder, split, dev, _ = TRAINED[task]
            self._trained[task] = self.train(task, self.put(folder), split, dev)
        return self._trained[task]

    def evaluate(self, task, reference, split, languages, *, parent=None, head=None):
        """The scores: metric -> language -> number."""
        data = TaskData(
            task=CATALOGUE[task].task, role=f"data.{task}", split=split, languages=languages, head=head
        )
        inputs = {data.role: reference}
        spec = EvaluateSpec(
            recipe_version=1,
            model=USE,
            inputs=inputs if parent else {**inputs, "model": self.model},
            data=(data,),
            hyperparameters=RECIPE if parent else None,
            retrieval=None if parent else RetrievalUse(layer=-1, pooling="Mean", max_length=64),
        )
        key = self.run(Stage.of(Kind.EVALUATE, spec, {"model": parent} if parent else None))
        self.artifact = self.store.fetch(key)
        return {
            metric: {language: float(number) for language, number in numbers.items()}
            for metric, numbers in json.loads((self.artifact / "scores.json").read_text())[task].items()
        }

    def run(self, stage):
        run_stage(stage, self.store, Progress())
        return stage.key


@pytest.fixture(scope="module")
def slices(tmp_path_factory, data_dir, tokenizer_dir):
    encoder = tmp_path_factory.mktemp("encoder")
    torch.manual_seed(0)
    config = XLMRobertaConfig(
        vocab_size=250_002,
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=16,
        max_position_embeddings=130,
        type_vocab_size=1,
        pad_token_id=1,
    )
    XLMRobertaModel(config, add_pooling_layer=False).save_pretrained(encoder)
    for file in tokenizer_dir.iterdir():
        (encoder / file.name).write_bytes(file.read_bytes())
    return Slices(tmp_path_factory.mktemp("slices"), data_dir, encoder)


def assert_percentages(scores, languages):
    for numbers in scores.values():
        assert set(numbers) == set(languages)
        assert all(0 <= number <= 100 for number in numbers.values())


@pytest.mark.parametrize("task", TRAINED)
def test_a_task_with_a_train_file(slices, task):
    folder, *_, split = TRAINED[task]
    languages = slices.languages(folder, split)
    assert len(languages) == LANGUAGES.get(task, 1)
    scores = slices.evaluate(task, slices.put(folder), split, languages, parent=slices.trained(task))
    assert_percentages(scores, languages)


@pytest.mark.parametrize("task", ANSWERED_BY)
def test_a_target_that_another_task_is_trained_for(slices, task):
    head, folder, split = ANSWERED_BY[task]
    languages = tuple(set(slices.languages(folder, split)) & set(CATALOGUE[task].languages))
    assert len(languages) == LANGUAGES[task]
    scores = slices.evaluate(
        task, slices.put(folder), split, tuple(sorted(languages)), parent=slices.trained(head), head=head
    )
    assert_percentages(scores, languages)


def test_anli_plus_is_three_sources_in_one_file(slices):
    folder = slices.root / "anli_plus"
    folder.mkdir()
    for source, train, dev in (
        ("mnli", "train", "validation_matched"),
        ("snli", "train", "validation"),
        ("anli", "train_r3_part", "test_r3"),
    ):
        for split, name in (("train", train), ("validation", dev)):
            slices._copy(
                slices.data_dir / source / f"{name}.en.jsonl", folder / f"{split}.en.jsonl", TEST_ROWS
            )
    reference = slices.store.put("anli_plus", folder)
    key = slices.train("anli_plus", reference, "train", "validation")
    assert (
        json.loads((slices.store.fetch(key) / "training.json").read_text())["tasks"]["anli_plus"]["examples"]
        == 60
    )
    assert_percentages(slices.evaluate("anli_plus", reference, "validation", ("en",), parent=key), ["en"])


def test_ccg_in_its_documented_form(slices):
    folder = slices.root / "ccg"
    folder.mkdir()
    for split in ("train", "validation"):
        rows = ["The dog saw a cat .\tNP/N N (S\\NP)/NP NP/N N .", "It rains\tNP S\\NP"] * 6
        (folder / f"{split}.en.tsv").write_text("\n".join(rows) + "\n")
    tags = ["NP/N", "N", "(S\\NP)/NP", ".", "NP", "S\\NP"]
    (folder / "tags_to_id.json").write_text(json.dumps({tag: number for number, tag in enumerate(tags)}))
    reference = slices.store.put("ccg", folder)
    key = slices.train("ccg", reference, "train", "validation")
    scores = slices.evaluate("ccg", reference, "validation", ("en",), parent=key)
    assert_percentages(scores, ["en"])
    chance = json.loads((slices.artifact / "chance.json").read_text())["ccg"]["en"]
    assert float(chance) == pytest.approx(100 * 2 / 8)


def test_tatoeba_without_training(slices):
    languages = slices.languages("tatoeba", "test")
    assert len(languages) == LANGUAGES["tatoeba"]
    assert_percentages(slices.evaluate("tatoeba", slices.put("tatoeba"), "test", languages), languages)


def test_bucc_without_training(slices):
    folder = slices.root / "bucc2018"
    folder.mkdir()
    read = {
        file.name: file.read_text().splitlines() for file in (slices.data_dir / "bucc2018").glob("*.jsonl")
    }
    gold = read["validation.zh.jsonl"][:TEST_ROWS]
    pairs = [json.loads(row) for row in gold]
    for name, side in (("corpus_source.zh.jsonl", "source_id"), ("corpus_target.zh.jsonl", "target_id")):
        needed = {pair[side] for pair in pairs}
        rows = [
            row for number, row in enumerate(read[name]) if number < 100 or json.loads(row)["id"] in needed
        ]
        (folder / name).write_text("\n".join(rows) + "\n")
    (folder / "validation.zh.jsonl").write_text("\n".join(gold) + "\n")
    scores = slices.evaluate("bucc2018", slices.store.put("bucc2018", folder), "validation", ("zh",))
    assert set(scores) == {"f1", "precision", "recall"}
    assert_percentages(scores, ["zh"])
    assert json.loads((slices.artifact / "chance.json").read_text()) == {}


def test_nothing_of_the_catalogue_is_left_out():
    tested = {*TRAINED, *ANSWERED_BY, "anli_plus", "ccg", "tatoeba", "bucc2018"}
    assert tested == set(CATALOGUE)
