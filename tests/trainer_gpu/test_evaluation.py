"""Evaluation and retrieval on a simulated GPU: every tensor is where it must be."""

from __future__ import annotations

import json
from itertools import cycle

import pytest
from tests.trainer_models.conftest import FAMILIES, tiny_model, tiny_tokenizer

from xstilts.stage import Pooling, RetrievalUse
from xstilts.task import TaskType
from xstilts_trainer.data.examples import RetrievalExample
from xstilts_trainer.evaluation import alignment
from xstilts_trainer.models.backbone import Backbone
from xstilts_trainer.retrieval.embeddings import embed
from xstilts_trainer.retrieval.exact import nearest_in_float64

TYPES = (TaskType.CLASSIFICATION, TaskType.MULTIPLE_CHOICE, TaskType.TAGGING, TaskType.SPAN_QA)
TEXTS = [f"w{number} w{number + 1}" for number in range(9)]

pytestmark = pytest.mark.filterwarnings("ignore:The PyTorch API of nested tensors is in prototype")


def evaluated(bench, type_) -> dict:
    """The environment of an evaluation, which has scores, of a training."""
    train = bench.train_stage(type_, epochs=1, select=False)
    bench.run(train)
    evaluate = bench.evaluate_stage(type_, parent=train.key)
    assert json.loads((bench.run(evaluate) / "scores.json").read_text())
    return bench.store.lookup(evaluate.key).environment


@pytest.mark.parametrize("type_", TYPES, ids=str)
def test_heads_answer(bench, gpu, type_):
    environment = evaluated(bench, type_)
    assert environment["precision"] == "bf16"
    assert environment["hardware"]["gpu"] == "Simulated GPU"


@pytest.mark.parametrize(
    "type_", [TaskType.CLASSIFICATION, TaskType.MULTIPLE_CHOICE, TaskType.SPAN_QA], ids=str
)
def test_text_is_scored_and_generated(texts, gpu, type_):
    gpu.holds = cycle([True, False]).__next__  # whether an answer goes on: it has one piece
    assert evaluated(texts, type_)["precision"] == "bf16"


@pytest.mark.parametrize("pooling", [Pooling.MEAN, Pooling.FIRST])
@pytest.mark.parametrize("model_type", sorted(FAMILIES))
def test_sentences_are_embedded_and_layers_probed(gpu, monkeypatch, model_type, pooling):
    encoder = tiny_model(model_type, "EncoderModel" if model_type == "mt5" else "Model").to("cuda")
    backbone = Backbone(encoder, tiny_tokenizer(), FAMILIES[model_type])
    use = RetrievalUse(layer=1, pooling=pooling)
    vectors = embed(backbone, [*TEXTS, TEXTS[0]], use)
    assert (vectors.device.type, len(vectors)) == ("cuda", 10)
    assert nearest_in_float64(vectors, vectors, 2).indices.device.type == "cuda"
    pairs = [RetrievalExample(text, text) for text in TEXTS]
    monkeypatch.setattr(alignment, "retrieve", lambda examples, of: of(TEXTS)[:, 0].tolist())
    ((language, layers),) = alignment.probe_layers(backbone, {"de": pairs}, use, lambda _count: None)
    assert (language, len(layers)) == ("de", 3)
