"""What a training keeps for its backward pass, against what torch saves when transformers' models are run."""

from __future__ import annotations

import pytest

from xstilts.catalogue import sizes
from xstilts.catalogue.sizes import Size
from xstilts.estimate.memory import activation_bytes
from xstilts.stage import Precision

BERT = sizes.bert(6, 256, 500, heads=8, other_rows=514)
MT5 = Size(4, 256, 256, 640, 500, heads=8, other_rows=32, decoder_layers=4, gated=True)


def saved_bytes(model, run, precision) -> int:
    """The bytes of all distinct tensors that autograd saves, but for the parameters and their copies in bf16."""
    import torch

    parameters = {one.untyped_storage().data_ptr() for one in model.parameters()}
    shapes = {shape for one in model.parameters() if one.dim() == 2 for shape in (one.shape, one.t().shape)}
    saved = {}

    def pack(tensor):
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in parameters and tuple(tensor.shape) not in shapes:
            saved[storage.data_ptr()] = (
                storage.nbytes(),
                tensor,
            )  # held, so that no other comes to its place
        return tensor

    with (
        torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor),
        torch.autocast("cpu", torch.bfloat16, enabled=precision is Precision.BF16),
    ):
        loss = run()
    assert loss.requires_grad
    return sum(size for size, _ in saved.values())


def bert_keeps(length: int, precision: Precision, attention_dropout: float) -> float:
    """The bytes of each of three sequences."""
    import torch
    import transformers

    config = transformers.BertConfig(
        vocab_size=BERT.vocabulary,
        hidden_size=BERT.hidden,
        num_hidden_layers=BERT.layers,
        num_attention_heads=BERT.heads,
        intermediate_size=BERT.feed_forward,
        attention_probs_dropout_prob=attention_dropout,
    )
    model = transformers.BertModel(config, add_pooling_layer=False).train()
    ids = torch.ones(3, length, dtype=torch.long)

    def run():
        return model(input_ids=ids, attention_mask=torch.ones_like(ids)).last_hidden_state.sum()

    return saved_bytes(model, run, precision) / 3


@pytest.mark.parametrize("length", [64, 128, 256])
def test_an_encoder_keeps_what_is_said(length):
    """On a CPU a dropout mask is kept as numbers of four bytes, so that it is more there."""
    kept = bert_keeps(length, Precision.FP32, attention_dropout=0.1)
    assert 1 <= kept / activation_bytes(BERT, length, 0, Precision.FP32) < 1.3


@pytest.mark.parametrize("precision", Precision)
@pytest.mark.parametrize("length", [64, 256])
def test_fused_attention_keeps_no_table(length, precision):
    """A CPU has such a kernel for attention without dropout."""
    kept = bert_keeps(length, precision, attention_dropout=0.0)
    assert 1 <= kept / activation_bytes(BERT, length, 0, precision, fused=True) < 1.3


@pytest.mark.parametrize("precision", Precision)
@pytest.mark.parametrize(("length", "answer"), [(64, 8), (128, 16), (256, 4)])
def test_a_model_that_answers_in_text_keeps_what_is_said(length, answer, precision):
    import torch
    import transformers

    config = transformers.MT5Config(
        vocab_size=MT5.vocabulary,
        d_model=MT5.hidden,
        d_kv=MT5.attention // MT5.heads,
        d_ff=MT5.feed_forward,
        num_layers=MT5.layers,
        num_heads=MT5.heads,
    )
    model = transformers.MT5ForConditionalGeneration(config).train()
    ids = torch.ones(3, length, dtype=torch.long)
    answers = torch.ones(3, answer, dtype=torch.long)
    kept = saved_bytes(model, lambda: model(input_ids=ids, labels=answers).loss, precision)
    assert 1 <= kept / (3 * activation_bytes(MT5, length, answer, precision)) < 1.3
