"""The probe of all layers: its numbers against plain ones made of transformers' own hidden states."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from tests.trainer_models.conftest import FAMILIES, tiny_model, tiny_tokenizer

from xstilts.errors import SpecError
from xstilts.stage import Pooling, RetrievalUse
from xstilts.task import TaskType
from xstilts_trainer.data.examples import RetrievalExample
from xstilts_trainer.evaluation.alignment import count_probed, probe_layers
from xstilts_trainer.evaluation.retrieve import predict_pairs
from xstilts_trainer.models.backbone import Backbone
from xstilts_trainer.models.encoder_model import hidden_states
from xstilts_trainer.retrieval.embeddings import embed, hidden_state

USE = RetrievalUse(layer=-1, pooling=Pooling.MEAN, prefix="w39 ")
PAIRS = [
    RetrievalExample(f"w{n} w{n + 1} w{(7 * n) % 30}", f"w{n + 1} w{(11 * n) % 30} w{(5 * n) % 30}")
    for n in range(20)
]


@pytest.fixture(params=sorted(FAMILIES))
def backbone(request) -> Backbone:
    name = request.param
    encoder = tiny_model(name, "EncoderModel" if name == "mt5" else "Model")
    return Backbone(encoder, tiny_tokenizer(), FAMILIES[name])


def probe(backbone, pairs, use=USE):
    ((language, layers),) = probe_layers(backbone, {"de": pairs}, use, lambda _count: None)
    assert language == "de"
    return layers


def test_one_pass_has_the_vectors_of_every_layer_bit_for_bit(backbone):
    inputs = dict(backbone.tokenizer([pair.source for pair in PAIRS[:4]], return_tensors="pt", padding=True))
    with torch.inference_mode():
        states = hidden_states(backbone, inputs)
        assert len(states) == 3  # two layers, and the embeddings
        for layer, state in enumerate(states):
            assert torch.equal(state, hidden_state(backbone, inputs, layer)), layer
            assert torch.equal(state, hidden_state(backbone, inputs, layer - len(states))), layer


@pytest.mark.parametrize("pooling", [Pooling.MEAN, Pooling.FIRST])
def test_cosines_are_those_of_a_plain_matrix(backbone, pooling):
    use = USE.model_copy(update={"pooling": pooling})
    for told in probe(backbone, PAIRS, use):
        of_layer = use.model_copy(update={"layer": told.layer})
        foreign, english = (
            embed(backbone, texts, of_layer).double().numpy()
            for texts in ([pair.source for pair in PAIRS], [pair.target for pair in PAIRS])
        )
        cosines = foreign @ english.T
        on_diagonal = np.eye(len(PAIRS), dtype=bool)
        assert told.pairs == pytest.approx(cosines[on_diagonal].mean(), abs=1e-6)
        assert told.others == pytest.approx(cosines[~on_diagonal].mean(), abs=1e-6)


def test_the_accuracy_of_a_layer_is_the_task_s_score_at_that_layer(backbone):
    layers = probe(backbone, PAIRS)
    assert [told.layer for told in layers] == [0, 1, 2]
    for told in layers:
        use = USE.model_copy(update={"layer": told.layer})
        ((_, predictions),) = predict_pairs(backbone, {"de": PAIRS}, use, lambda _count: None)
        right = [gold == found for gold, found in zip(predictions.gold, predictions.predicted, strict=True)]
        assert told.accuracy == pytest.approx(100 * sum(right) / len(right))


def test_each_text_is_run_once_for_all_layers(backbone):
    rows: list[int] = []
    backbone.encoder.register_forward_pre_hook(
        lambda _encoder, _positional, named: rows.append(len(named["input_ids"])), with_kwargs=True
    )
    told: list[int] = []
    pairs = [*PAIRS, PAIRS[0]]
    list(probe_layers(backbone, {"de": pairs}, USE, told.append))
    assert sum(rows) == sum(told) == count_probed({"de": pairs}) == 40


def test_one_pair_has_no_others(backbone):
    (first, *_) = probe(backbone, PAIRS[:1])
    assert first.others is None
    assert first.accuracy == 100


def test_an_evaluation_tells_every_layer_of_every_language(bench):
    use = RetrievalUse(layer=1, pooling=Pooling.MEAN)
    stage = bench.evaluate_stage(TaskType.RETRIEVAL, retrieval=use, hyperparameters=None, probed=("pairs",))
    folder = bench.run(stage)
    told = json.loads((folder / "alignment.json").read_text())["pairs"]
    scores = json.loads((folder / "scores.json").read_text())["pairs"]["accuracy"]
    assert told.keys() == scores.keys() == {"de", "en"}
    for language, layers in told.items():
        assert [one["layer"] for one in layers] == [0, 1, 2]
        assert float(layers[1]["accuracy"]) == pytest.approx(float(scores[language]))
        assert all(float(one["pairs"]) > float(one["others"]) for one in layers)


def test_without_the_option_nothing_is_told_of_layers(bench):
    use = RetrievalUse(layer=1, pooling=Pooling.MEAN)
    folder = bench.run(bench.evaluate_stage(TaskType.RETRIEVAL, retrieval=use, hyperparameters=None))
    assert not (folder / "alignment.json").exists()


def test_a_task_that_is_none_of_retrieval_cannot_be_probed(bench):
    use = RetrievalUse(layer=1, pooling=Pooling.MEAN)
    with pytest.raises(
        SpecError, match=r"spec.probed: must name tasks of type Retrieval .* \(pairs\), was colours"
    ):
        bench.run(
            bench.evaluate_stage(TaskType.RETRIEVAL, retrieval=use, hyperparameters=None, probed=("colours",))
        )
