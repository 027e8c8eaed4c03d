"""Our adapters against peft's own model, with the same weights on the same batch; and what is left of them."""

from __future__ import annotations

import copy

import pytest
import torch
from peft import LoraConfig, get_peft_model
from torch import nn

from xstilts.catalogue.lora import TARGET_MODULES
from xstilts.errors import SpecError
from xstilts.stage import Lora, Pooling
from xstilts.task import TaskType
from xstilts_trainer.models.backbone import Backbone
from xstilts_trainer.models.encoder_model import EncoderModel
from xstilts_trainer.models.heads import HeadSpec, make_head
from xstilts_trainer.models.linear import use_onednn
from xstilts_trainer.models.lora import Adapters
from xstilts_trainer.models.text_to_text import TextToText

from .conftest import FAMILIES, random_batch, tiny_model, tiny_tokenizer

TYPES = sorted(FAMILIES)


def spec_for(model_type: str, **changes) -> Lora:
    modules = tuple(sorted(TARGET_MODULES[FAMILIES[model_type]]))
    return Lora(**{"rank": 3, "alpha": 12, "dropout": "0", "target_modules": modules, **changes})


def filled(model: nn.Module) -> nn.Module:
    """The model with adapters that do something: each drawn by its name."""
    with torch.no_grad():
        for number, (name, parameter) in enumerate(sorted(model.named_parameters())):
            if ".lora_" in name:
                generator = torch.Generator().manual_seed(number)
                parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.3)
    return model


def encoder(model_type: str) -> nn.Module:
    """A model as it is when it was loaded: its linear layers are oneDNN's."""
    model = tiny_model(model_type, "EncoderModel" if model_type == "mt5" else "Model")
    use_onednn(model)
    return model


@pytest.mark.filterwarnings(
    "ignore:.is_gradient_checkpointing.:FutureWarning"
)  # peft's own model asks for it
@pytest.mark.parametrize("model_type", TYPES)
def test_outputs_and_gradients_are_those_of_peft_s_own_model(model_type):
    ours, batch = encoder(model_type), random_batch(4, 9)
    theirs = copy.deepcopy(ours)
    before = ours(**batch).last_hidden_state
    spec = spec_for(model_type)
    Adapters(ours, spec, seed=1)
    # adapters begin with no effect
    torch.testing.assert_close(ours(**batch).last_hidden_state, before, atol=1e-5, rtol=0)
    config = LoraConfig(r=3, lora_alpha=12, lora_dropout=0.0, target_modules=list(spec.target_modules))
    theirs = get_peft_model(theirs, config)
    filled(theirs.base_model.model)
    expected = theirs(**batch).last_hidden_state
    filled(ours)
    found = ours(**batch).last_hidden_state
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=0)
    assert not torch.allclose(found, before, atol=1e-2)
    expected.square().sum().backward()
    found.square().sum().backward()
    gradients = dict(theirs.base_model.model.named_parameters())
    trained = {
        name: p for name, p in ours.named_parameters() if p.requires_grad and not name.startswith("pooler")
    }
    assert trained.keys() == {name for name, p in gradients.items() if p.requires_grad}
    assert all(".lora_" in name for name in trained)
    for name, parameter in trained.items():
        torch.testing.assert_close(parameter.grad, gradients[name].grad, atol=1e-4, rtol=1e-4, msg=name)


@pytest.mark.parametrize("model_type", TYPES)
def test_merged_adapters_leave_an_ordinary_model_with_the_same_outputs(model_type):
    ours, batch = encoder(model_type), random_batch(4, 9)
    names, config = [name for name, _ in ours.named_parameters()], ours.config.to_json_string()
    adapters = Adapters(ours, spec_for(model_type), seed=1)
    expected = filled(ours)(**batch).last_hidden_state
    adapters.merge()
    assert [name for name, _ in ours.named_parameters()] == names
    assert ours.config.to_json_string() == config
    torch.testing.assert_close(ours(**batch).last_hidden_state, expected, atol=1e-5, rtol=0)


def test_the_decoder_of_a_text_to_text_model_has_adapters_too():
    model = TextToText(tiny_model("mt5", "ForConditionalGeneration"), tiny_tokenizer())
    Adapters(model.seq2seq, spec_for("mt5"), seed=1)
    trained = [name for name, parameter in model.named_parameters() if parameter.requires_grad]
    assert all(".lora_" in name for name in trained)
    # two layers each: self-attention in the encoder; self- and cross-attention in the decoder; q and v; A and B
    assert len(trained) == 2 * (1 + 2) * 2 * 2


def test_heads_and_the_pooler_are_trained_whole():
    backbone = Backbone(encoder("bert"), tiny_tokenizer(), FAMILIES["bert"])
    spec = HeadSpec(task="t", type=TaskType.CLASSIFICATION, labels=("a", "b"), pooling=Pooling.TRANSFORMERS)
    model = EncoderModel(backbone, {"t": make_head(spec, backbone.config, seed=0)})
    Adapters(backbone.encoder, spec_for("bert"), seed=1)
    whole = {
        name
        for name, parameter in model.named_parameters()
        if parameter.requires_grad and ".lora_" not in name
    }
    assert {name.rpartition(".")[0] for name in whole} == {
        "encoder.pooler.dense",
        "_registered.head_t.output",
    }


def test_the_seed_alone_decides_how_adapters_begin():
    def drawn(seed: int, threads_of_draws: int) -> dict[str, torch.Tensor]:
        model = encoder("xlm-roberta")
        torch.manual_seed(threads_of_draws)
        Adapters(model, spec_for("xlm-roberta"), seed)
        return {name: p.detach() for name, p in model.named_parameters() if ".lora_A." in name}

    first, again, other = drawn(1, 5), drawn(1, 6), drawn(2, 5)
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not any(torch.equal(first[name], other[name]) for name in first)
    one, another = list(first.values())[:2]
    assert not torch.equal(one, another)


@pytest.mark.parametrize("target", ["querry", "dense.query", "word_embeddings"])
def test_a_layer_that_is_not_there_is_named(target):
    spec = spec_for("bert", target_modules=("value", target))
    with pytest.raises(
        SpecError,
        match=rf"spec.lora.targetModules: must be names of linear layers of the model \(dense, key, query, value\), was {target}",
    ):
        Adapters(encoder("bert"), spec, seed=1)
