from __future__ import annotations

import pytest
import torch
from tests.trainer_models.conftest import FAMILIES, random_batch, tiny_model, tiny_tokenizer

from xstilts.errors import SpecError
from xstilts.stage import Pooling, RetrievalUse
from xstilts_trainer.models.backbone import Backbone
from xstilts_trainer.retrieval import embeddings
from xstilts_trainer.retrieval.embeddings import embed, hidden_state

SENTENCES = ["w1 w2 w3", "w4", "w5 w6 w7 w8 w9 w10", "w1 w2 w3", "w11 w12", ""]


def backbone_of(model_type: str) -> Backbone:
    encoder = tiny_model(model_type, "EncoderModel" if model_type == "mt5" else "Model")
    return Backbone(encoder=encoder, tokenizer=tiny_tokenizer(), family=FAMILIES[model_type])


def use(
    layer: int = -1, pooling: Pooling = Pooling.MEAN, prefix: str = "", max_length: int = 512
) -> RetrievalUse:
    return RetrievalUse(layer=layer, pooling=pooling, prefix=prefix, max_length=max_length)


@pytest.mark.parametrize("model_type", list(FAMILIES))
class TestHiddenState:
    def test_is_transformers_own_at_every_layer(self, model_type):
        backbone, batch = backbone_of(model_type), random_batch(3, 8)
        states = backbone.encoder(**batch, output_hidden_states=True).hidden_states
        assert len(states) == 3
        for layer, expected in enumerate(states):
            assert torch.equal(hidden_state(backbone, batch, layer), expected)
            assert torch.equal(hidden_state(backbone, batch, layer - 3), expected)

    def test_later_layers_do_not_run_and_the_encoder_stays_whole(self, model_type):
        backbone, batch = backbone_of(model_type), random_batch(3, 8)
        before = backbone.encoder(**batch).last_hidden_state
        ran: list[int] = []
        layers = embeddings._layers(backbone.encoder)
        handles = [
            layer.register_forward_hook(lambda *_, number=number: ran.append(number))
            for number, layer in enumerate(layers)
        ]
        hidden_state(backbone, batch, 1)
        assert ran == [0]
        for handle in handles:
            handle.remove()
        assert torch.equal(backbone.encoder(**batch).last_hidden_state, before)

    @pytest.mark.parametrize("layer", [3, -4])
    def test_a_layer_that_is_not_there(self, model_type, layer):
        with pytest.raises(SpecError, match=f"from -3 to 2 for a model of 2 layers, was {layer}"):
            hidden_state(backbone_of(model_type), random_batch(1, 4), layer)


@pytest.mark.parametrize("pooling", [Pooling.MEAN, Pooling.FIRST])
@pytest.mark.parametrize("layer", [1, -1])
def test_a_vector_is_the_pooled_layer_of_its_sentence_alone(layer, pooling):
    backbone = backbone_of("xlm-roberta")
    found = embed(backbone, SENTENCES, use(layer, pooling, prefix="w39 "))
    for sentence, vector in zip(SENTENCES, found, strict=True):
        inputs = backbone.tokenizer("w39 " + sentence, return_tensors="pt")
        inputs.pop("token_type_ids", None)
        state = backbone.encoder(**inputs, output_hidden_states=True).hidden_states[layer][0]
        expected = state.mean(dim=0) if pooling is Pooling.MEAN else state[0]
        torch.testing.assert_close(vector, expected / expected.norm(), atol=1e-5, rtol=0)


def test_order_batching_and_repeats_change_no_bit(monkeypatch):
    backbone = backbone_of("bert")
    found = embed(backbone, SENTENCES, use())
    order = [4, 0, 5, 2, 3, 1]
    assert torch.equal(embed(backbone, [SENTENCES[row] for row in order], use()), found[order])
    assert torch.equal(found[0], found[3])
    monkeypatch.setattr(embeddings, "BATCH_SIZE", 2)
    torch.testing.assert_close(embed(backbone, SENTENCES, use()), found, atol=1e-6, rtol=0)


def test_long_sentences_are_cut_to_the_length_and_to_the_models_own():
    backbone = backbone_of("bert")
    long = " ".join(["w1 w2 w3"] * 30)
    assert torch.equal(*embed(backbone, [long, "w1 w2 w3 w1"], use(max_length=6)))
    embed(backbone, [long], use(max_length=512))  # the model has 40 positions, its tokenizer says 32
    backbone.tokenizer.model_max_length = int(1e30)  # as where tokenizer_config.json does not say
    embed(backbone, [long], use(max_length=512))


def test_transformers_pooling_is_none_of_retrieval():
    with pytest.raises(SpecError, match="must be First or Mean"):
        embed(backbone_of("bert"), ["w1"], use(pooling=Pooling.TRANSFORMERS))


def test_dropout_is_off():
    backbone = backbone_of("bert")
    backbone.encoder.train()
    assert torch.equal(embed(backbone, SENTENCES, use()), embed(backbone, SENTENCES, use()))


def test_how_many_sentences_are_tokenized_at_a_time_changes_no_bit(monkeypatch):
    backbone = backbone_of("bert")
    found = embed(backbone, SENTENCES, use(prefix="w39 "))
    monkeypatch.setattr(embeddings, "TOKENIZED", 2)
    assert torch.equal(embed(backbone, SENTENCES, use(prefix="w39 ")), found)
