"""Packed batches against padded ones on the same weights: vectors, logits, losses and gradients."""

from __future__ import annotations

import copy

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.masking_utils import sdpa_mask

from xstilts.stage import Lora, Pooling, Precision
from xstilts.task import TaskType
from xstilts_trainer.models import packing
from xstilts_trainer.models.backbone import Backbone, save_backbone
from xstilts_trainer.models.encoder_model import EncoderModel, encode
from xstilts_trainer.models.heads import HeadSpec, make_head
from xstilts_trainer.models.lora import Adapters
from xstilts_trainer.models.masked_lm import MaskedLM, MaskedLMHead
from xstilts_trainer.models.packing import Layout, encode_packed, is_packed, pays_on, set_packed
from xstilts_trainer.precision import computed_in

from .conftest import FAMILIES, random_batch, tiny_model, tiny_tokenizer

TOLERANCE = 1e-5
TYPES = ("xlm-roberta", "bert")  # E5's small model is a BERT, its larger ones are XLM-R
LABELS = ("a", "b", "c")

pytestmark = pytest.mark.filterwarnings("ignore:The PyTorch API of nested tensors is in prototype")


def tiny_backbone(model_type: str, **changes) -> Backbone:
    return Backbone(tiny_model(model_type, "Model", **changes), tiny_tokenizer(), FAMILIES[model_type])


def of_lengths(model_type: str, lengths: list[int], spare: int, seed: int) -> dict[str, Tensor]:
    """A padded batch; any token may stand in a text, that of padding too."""
    generator = torch.Generator().manual_seed(seed)
    mask = (torch.arange(max(lengths) + spare) < torch.tensor(lengths).unsqueeze(1)).long()
    ids = torch.randint(0, 64, mask.shape, generator=generator)
    batch = {"input_ids": torch.where(mask == 1, ids, 1), "attention_mask": mask}
    if model_type == "bert":
        batch["token_type_ids"] = torch.randint(0, 2, mask.shape, generator=generator)
    return batch


def gradients(model: nn.Module, loss: Tensor) -> dict[str, Tensor]:
    model.zero_grad()
    loss.backward()
    return {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}


def close(packed: Tensor, padded: Tensor) -> None:
    torch.testing.assert_close(packed, padded, atol=TOLERANCE, rtol=TOLERANCE)


def same_gradients(packed: dict[str, Tensor], padded: dict[str, Tensor]) -> None:
    assert packed.keys() == padded.keys()
    assert any(gradient.abs().max() > 1e-3 for gradient in padded.values())
    for name, gradient in packed.items():
        close(gradient, padded[name])


BACKBONES = {model_type: tiny_backbone(model_type) for model_type in TYPES}


@pytest.mark.parametrize("model_type", TYPES)
@settings(max_examples=12)
@given(
    lengths=st.lists(st.integers(1, 12), min_size=1, max_size=5),
    spare=st.integers(0, 2),  # as in a process' share of a batch
    seed=st.integers(0, 1000),
)
def test_vectors_and_gradients_are_those_of_a_padded_batch(model_type, lengths, spare, seed):
    backbone = BACKBONES[model_type]
    batch = of_lengths(model_type, lengths, spare, seed)
    tokens = batch["attention_mask"] == 1
    weights = torch.randn(int(tokens.sum()), 16, generator=torch.Generator().manual_seed(seed))
    outputs, slopes = [], []
    for packed in (True, False):
        set_packed(backbone.encoder, packed=packed)
        encoded = encode(backbone, batch, Layout.of(batch) if packed else None)
        loss = (encoded.hidden[tokens] * weights).sum() / len(weights) + encoded.pooled.mean()
        outputs.append(encoded)
        slopes.append(gradients(backbone.encoder, loss))
    close(outputs[0].hidden[tokens], outputs[1].hidden[tokens])
    close(outputs[0].pooled, outputs[1].pooled)
    assert not outputs[0].hidden[~tokens].any()
    same_gradients(*slopes)


def head_batch(task_type: TaskType, model_type: str) -> dict[str, Tensor]:
    batch = random_batch(3, 4, 9) if task_type is TaskType.MULTIPLE_CHOICE else random_batch(4, 10)
    if model_type == "bert":
        batch["token_type_ids"] = (
            (torch.arange(batch["input_ids"].shape[-1]) > 4).long().expand_as(batch["input_ids"])
        )
    match task_type:
        case TaskType.TAGGING:
            return {
                **batch,
                "labels": torch.where(batch["attention_mask"] == 1, batch["input_ids"] % 3, -100),
            }
        case TaskType.SPAN_QA:
            starts, ends = torch.tensor([0, 1, 2, 1]), torch.tensor([0, 2, 2, 1])
            return {**batch, "start_positions": starts, "end_positions": ends}
        case TaskType.MULTIPLE_CHOICE:
            return {**batch, "labels": torch.tensor([3, 0, 1])}
        case _:
            return {**batch, "labels": torch.tensor([0, 2, 1, 1])}


def model_with_head(task_type: TaskType, model_type: str, pooling: Pooling = Pooling.MEAN) -> EncoderModel:
    backbone = copy.deepcopy(BACKBONES.get(model_type) or tiny_backbone(model_type))
    set_packed(backbone.encoder, packed=False)
    spec = HeadSpec(task="t", type=task_type, labels=LABELS, pooling=pooling)
    return EncoderModel(backbone, {"t": make_head(spec, backbone.config, seed=0)}).eval()


SPANS = {model_type: model_with_head(TaskType.SPAN_QA, model_type) for model_type in TYPES}


@pytest.mark.parametrize("model_type", TYPES)
@pytest.mark.parametrize(
    ("task_type", "pooling"),
    [
        *((TaskType.CLASSIFICATION, pooling) for pooling in Pooling),
        (TaskType.MULTIPLE_CHOICE, Pooling.FIRST),
        (TaskType.TAGGING, Pooling.FIRST),
        (TaskType.SPAN_QA, Pooling.FIRST),
    ],
    ids=str,
)
def test_heads_say_and_learn_the_same(task_type, pooling, model_type):
    model = model_with_head(task_type, model_type, pooling)
    batch = head_batch(task_type, model_type)
    assert model.packed_tasks == []
    padded = model.logits("t", batch).detach(), gradients(model, model.loss("t", batch))
    set_packed(model.packable, packed=True)
    assert model.packed_tasks == ["t"]
    packed = model.logits("t", batch).detach(), gradients(model, model.loss("t", batch))
    counted = batch["labels"] != -100 if task_type is TaskType.TAGGING else slice(None)
    close(packed[0][counted], padded[0][counted])
    same_gradients(packed[1], padded[1])


@pytest.mark.parametrize("model_type", TYPES)
@settings(max_examples=12)
@given(
    lengths=st.lists(st.integers(1, 12), min_size=1, max_size=5),
    spare=st.integers(0, 2),
    seed=st.integers(0, 1000),
)
def test_answers_are_learned_as_in_a_padded_batch_and_as_of_each_window_alone(
    model_type, lengths, spare, seed
):
    model = SPANS[model_type]
    batch = of_lengths(model_type, lengths, spare, seed)
    tokens = batch["attention_mask"] == 1
    draw = torch.Generator().manual_seed(seed)
    for name in ("start_positions", "end_positions"):
        batch[name] = torch.tensor([int(torch.randint(length, (), generator=draw)) for length in lengths])
    logits, slopes = [], []
    for packed in (True, False):
        set_packed(model.packable, packed=packed)
        logits.append(model.logits("t", batch))
        slopes.append(gradients(model, model.loss("t", batch)))
    close(*logits)
    assert logits[0][~tokens].isneginf().all()
    for name, gradient in slopes[0].items():
        close(gradient, slopes[1][name])
    alone = [
        model.loss(
            "t",
            {
                name: of[row : row + 1, :length] if of.dim() > 1 else of[row : row + 1]
                for name, of in batch.items()
            },
        )
        for row, length in enumerate(lengths)
    ]
    close(model.loss("t", batch), torch.stack(alone).mean())


@pytest.mark.parametrize("model_type", TYPES)
def test_masked_text_is_packed_too(model_type):
    backbone = copy.deepcopy(BACKBONES[model_type])
    model = MaskedLM(backbone, MaskedLMHead(backbone.config)).eval()
    batch = random_batch(4, 10)
    batch["labels"] = torch.where((batch["attention_mask"] == 1) & (batch["input_ids"] % 2 == 0), 7, -100)
    slopes = []
    for packed in (True, False):
        set_packed(backbone.encoder, packed=packed)
        slopes.append(gradients(model, model.loss(batch)))
    assert "encoder.embeddings.word_embeddings.weight" in slopes[0]
    same_gradients(*slopes)


@pytest.mark.parametrize("model_type", TYPES)
def test_adapters_learn_the_same(model_type):
    model, batch = model_with_head(TaskType.TAGGING, model_type), head_batch(TaskType.TAGGING, model_type)
    Adapters(model.encoder, Lora(rank=2, alpha=4, dropout="0", target_modules=("query", "value")), seed=1)
    slopes = []
    for packed in (True, False):
        set_packed(model.packable, packed=packed)
        assert model.packed_tasks == (["t"] if packed else [])
        slopes.append(gradients(model, model.loss("t", batch)))
    assert sum(".lora_B." in name for name in slopes[0]) == 4
    same_gradients(*slopes)


@pytest.mark.parametrize("model_type", TYPES)
def test_bf16_is_packed_as_it_is_padded(model_type):
    """What a GPU computes where nothing else is asked for."""
    backbone, batch = copy.deepcopy(BACKBONES[model_type]), random_batch(4, 10)
    hidden = []
    for packed in (True, False):
        set_packed(backbone.encoder, packed=packed)
        with computed_in(Precision.BF16):
            hidden.append(encode(backbone, batch, Layout.of(batch) if packed else None).hidden)
        hidden[-1].sum().backward()
    tokens = batch["attention_mask"] == 1
    torch.testing.assert_close(hidden[0][tokens], hidden[1][tokens], atol=0.1, rtol=0)


@pytest.mark.parametrize("model_type", ["deberta-v2", "mt5"])
def test_relative_attention_stays_padded(model_type):
    suffix = "EncoderModel" if model_type == "mt5" else "Model"
    backbone = Backbone(tiny_model(model_type, suffix), tiny_tokenizer(), FAMILIES[model_type])
    model = EncoderModel(backbone, {})
    assert model.packable is None
    set_packed(model.packable, packed=True)
    assert not is_packed(backbone.encoder)


def test_attention_dropout_is_drawn_from_the_seed():
    backbone = tiny_backbone("xlm-roberta", hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.5)
    set_packed(backbone.encoder, packed=True)
    batch = random_batch(4, 10)

    def hidden(*, training: bool, seed: int) -> Tensor:
        backbone.encoder.train(training)
        torch.manual_seed(seed)
        with torch.inference_mode():
            return encode(backbone, batch, Layout.of(batch)).hidden

    assert torch.equal(hidden(training=True, seed=1), hidden(training=True, seed=1))
    assert not torch.equal(hidden(training=True, seed=1), hidden(training=True, seed=2))
    assert torch.equal(hidden(training=False, seed=1), hidden(training=False, seed=2))


def test_no_mask_of_tokens_times_tokens_is_made():
    masks = []

    def seen(module, query, key, value, attention_mask, **others):
        masks.append(attention_mask)
        return packing._attention(module, query, key, value, attention_mask, **others)

    AttentionInterface.register("xstilts_seen", seen)
    AttentionMaskInterface.register("xstilts_seen", sdpa_mask)
    backbone = tiny_backbone("xlm-roberta")
    backbone.encoder.set_attn_implementation("xstilts_seen")
    batch = random_batch(4, 10)
    encode_packed(backbone.encoder, batch, Layout.of(batch))
    assert masks == [None, None]


def test_the_layout_is_of_tokens_alone():
    mask = torch.tensor([[1, 1, 0, 0, 0], [1, 1, 1, 0, 0]])
    layout = Layout.of({"attention_mask": mask})
    assert layout.places.tolist() == [0, 1, 5, 6, 7]
    assert layout.offsets.tolist() == [0, 2, 5]
    assert (layout.shortest, layout.longest) == (2, 3)


def test_what_is_saved_does_not_tell(tmp_path):
    backbone = tiny_backbone("bert")
    for packed in (False, True):
        set_packed(backbone.encoder, packed=packed)
        save_backbone(backbone, tmp_path / str(packed))
    for file in (tmp_path / "False").iterdir():
        assert (tmp_path / "True" / file.name).read_bytes() == file.read_bytes(), file.name


def test_packing_is_for_gpus():
    assert pays_on(torch.device("cuda", 0))
    assert not pays_on(torch.device("cpu"))
