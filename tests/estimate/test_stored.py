"""What a store says of an experiment: sizes from a model's config, rows from files, and how long stages took."""

from __future__ import annotations

import json

import pytest

from xstilts.catalogue.sizes import E5_SMALL
from xstilts.estimate.stored import read_facts, read_store, took_of
from xstilts.plan import plan
from xstilts.spec import parse_experiment
from xstilts.stage import Kind
from xstilts.store import Store

from .conftest import manifest

CONFIG = {
    "model_type": "bert",
    "hidden_size": 384,
    "intermediate_size": 1536,
    "num_attention_heads": 12,
    "num_hidden_layers": 12,
    "max_position_embeddings": 512,
    "type_vocab_size": 2,
    "vocab_size": 250037,
}


def lines(rows):
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


@pytest.fixture
def put(tmp_path):
    store = Store.open(str(tmp_path / "store"))

    def one(name, files):
        folder = tmp_path / name
        folder.mkdir()
        for file, text in files.items():
            (folder / file).write_text(text, encoding="utf-8")
        return str(store.put(name, folder))

    return one


@pytest.fixture
def experiment(put, tmp_path):
    """A model and one own task of each kind, as files."""
    quiz = [
        {"text": "x\u2028" * 19, "choices": ["a" * 19, "b" * 19, "c" * 19, "d" * 19], "label": 1}
        for _ in range(30)
    ]
    pairs = [{"source_sentence": "x" * 38, "target_sentence": "y" * 38} for _ in range(20)]
    tags = [{"tokens": ["word"] * 10, "tags": ["O"] * 10} for _ in range(15)]
    kinds = "text,label\n" + "".join(f"{'x' * 36},a\n" for _ in range(9))
    model = put("model", {"config.json": json.dumps(CONFIG), "model.safetensors": "weights"})
    data = {
        "quiz": put("quiz", {f"{split}.en.jsonl": lines(quiz) for split in ("train", "validation", "test")}),
        "pairs": put("pairs", {"test.de.jsonl": "[" * 100_000 + "\n" + lines(pairs)}),
        "tagged": put(
            "tagged", {f"{split}.en.jsonl": lines(tags) for split in ("train", "validation", "test")}
        ),
        "kinds": put("kinds", {f"{split}.en.csv": kinds for split in ("train", "validation", "test")}),
        "packed": put("packed", {f"{split}.en.parquet": "PAR1" for split in ("train", "validation", "test")}),
    }
    own = {
        "quiz": {"type": "MultipleChoice", "languages": ["en"]},
        "pairs": {"type": "Retrieval", "languages": ["de"]},
        "tagged": {"type": "Tagging", "languages": ["en"], "labels": ["O", "B-X"]},
        "kinds": {"type": "Classification", "languages": ["en"], "labels": ["a", "b"]},
        "packed": {"type": "Classification", "languages": ["en"], "labels": ["a", "b"]},
    }
    text = json.dumps(
        manifest(
            models=[{"name": "own", "family": "E5", "pretrained": model}],
            tasks=[{"name": name, "data": data[name], **said} for name, said in own.items()],
            intermediates=[],
            targets=[{"task": name} for name in own],
            seeds=[1],
        )
    )
    parsed = parse_experiment(text)
    by_name = {task.name: task.data.rpartition(":")[2] for task in parsed.spec.tasks}
    return plan(parsed), by_name, Store.open(str(tmp_path / "store"))


def test_the_size_of_a_model_in_the_store_is_read_from_its_config(experiment):
    planned, _, store = experiment
    assert list(read_facts(planned, store).sizes.values()) == [E5_SMALL]


def test_rows_are_counted_and_their_pieces_reckoned_from_characters(experiment):
    planned, digests, store = experiment
    rows = read_facts(planned, store).rows
    quiz = rows[digests["quiz"], "train", "en"]
    assert (quiz.rows, quiz.choices) == (30, 4)
    assert quiz.pieces == pytest.approx(10 + 5 + 4)  # question, one choice, special pieces
    assert quiz.joined == pytest.approx(10 + 4 * 5 + 3)
    pairs = rows[digests["pairs"], "test", "de"]
    assert (pairs.rows, pairs.pieces) == (
        42,
        pytest.approx(10 + 2),
    )  # each side is a sequence; one row is broken
    tagged = rows[digests["tagged"], "train", "en"]
    assert (tagged.rows, tagged.pieces) == (15, pytest.approx(50 / 3.8 + 3))  # the tags are no text
    assert rows[digests["kinds"], "test", "en"].rows == 10


def test_what_cannot_be_read_is_not_known(experiment):
    planned, digests, store = experiment
    assert not any(digest == digests["packed"] for digest, _, _ in read_facts(planned, store).rows)


@pytest.mark.parametrize(
    ("files", "known"),
    [
        ({"config.json": "not JSON"}, 0),
        ({"config.json": "[" * 100_000}, 0),
        ({"other.json": "{}"}, 0),
        ({"config.json": json.dumps(CONFIG)}, 1),
    ],
)
def test_a_folder_without_a_config_that_is_understood_has_no_size(put, tmp_path, files, known):
    model = put("model", files)
    text = json.dumps(manifest(models=[{"name": "own", "family": "E5", "pretrained": model}]))
    planned = plan(parse_experiment(text))
    assert len(read_facts(planned, Store.open(str(tmp_path / "store"))).sizes) == known


def test_an_input_that_is_not_pinned_or_not_there_is_not_known(tmp_path):
    models = [
        {"name": "open", "family": "E5", "pretrained": "store://nothing"},
        {"name": "gone", "family": "E5", "pretrained": f"store://gone@sha256:{'a' * 64}"},
    ]
    planned = plan(parse_experiment(json.dumps(manifest(models=models))))
    facts = read_facts(planned, Store.open(str(tmp_path / "store")))
    assert not facts.sizes
    assert not facts.rows


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({"seconds": 12.5, "hardware": {"threads": 4}}, (12.5, 0, 4)),
        ({"seconds": 7, "hardware": {"gpus": 2, "threads": 8}}, (7, 2, 8)),
        ({"seconds": "7", "hardware": {}}, None),
        ({"hardware": {"threads": 4}}, None),
        ({"seconds": 7}, None),
        ({"seconds": 7, "hardware": {"gpus": "two"}}, None),
    ],
)
def test_a_manifest_says_how_long_its_stage_took(experiment, environment, expected):
    planned, _, store = experiment
    (stage, *_) = planned.of_kind(Kind.TRAIN)
    with store.write(stage.stage, environment) as draft:
        (draft.path / "training.json").write_text("{}", encoding="utf-8")
    found = read_store(planned, store)
    assert found.cached == {stage.key}
    took = found.took.get(stage.key)
    assert (took and (took.seconds, took.gpus, took.threads)) == expected
    assert took == took_of(draft.manifest)
