"""Our heads against transformers' own, with the same weights on the same batch: loss, logits and gradients."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn

from xstilts.stage import Pooling
from xstilts.task import TaskType
from xstilts_trainer.models.backbone import Backbone
from xstilts_trainer.models.encoder_model import EncoderModel
from xstilts_trainer.models.heads import HeadSpec, make_head
from xstilts_trainer.models.masked_lm import MaskedLM, MaskedLMHead

from .conftest import FAMILIES, random_batch, tiny_model, tiny_tokenizer

TOLERANCE = 1e-5
LABELS = ("a", "b", "c")
TYPES = ["xlm-roberta", "bert", "deberta-v2"]

# our name of a head's part -> transformers' name
CLASSIFIERS = {
    "xlm-roberta": {"pooling.dense": "classifier.dense", "output": "classifier.out_proj"},
    "bert": {"output": "classifier"},
    "deberta-v2": {"pooling.dense": "pooler.dense", "output": "classifier"},
}
CHOICES = {**CLASSIFIERS, "xlm-roberta": {"output": "classifier"}}
TAGGER = {"output": "classifier"}
SPAN = {"output": "qa_outputs"}
LANGUAGE_MODELS = {
    "xlm-roberta": {"dense": "lm_head.dense", "norm": "lm_head.layer_norm", "": "lm_head"},
    "bert": {
        "dense": "cls.predictions.transform.dense",
        "norm": "cls.predictions.transform.LayerNorm",
        "": "cls.predictions",
    },
}
LANGUAGE_MODELS["deberta-v2"] = LANGUAGE_MODELS["bert"]


def copied(theirs: nn.Module, task_type: TaskType, parts: dict[str, str]) -> EncoderModel:
    """Our model with a copy of transformers' weights."""
    encoder = copy.deepcopy(theirs.base_model)
    spec = HeadSpec(task="t", type=task_type, labels=LABELS, pooling=Pooling.TRANSFORMERS)
    head = make_head(spec, encoder.config, seed=0)
    weights = theirs.state_dict()
    head.load_state_dict(
        {
            f"{own}.{kind}": weights[f"{other}.{kind}"]
            for own, other in parts.items()
            for kind in ("weight", "bias")
        }
    )
    return EncoderModel(backbone_of(encoder), {"t": head}).train(theirs.training)


def backbone_of(encoder: nn.Module) -> Backbone:
    return Backbone(encoder=encoder, tokenizer=tiny_tokenizer(), family=FAMILIES[encoder.config.model_type])


def close(ours: Tensor, theirs: Tensor) -> None:
    torch.testing.assert_close(ours, theirs, atol=TOLERANCE, rtol=0)


def same_gradients(ours: nn.Module, theirs: nn.Module, parts: dict[str, str], encoder: nn.Module) -> None:
    other_encoder = dict(theirs.base_model.named_parameters())
    checked = 0
    for name, parameter in encoder.named_parameters():
        expected = other_encoder[name].grad
        if expected is None:
            assert parameter.grad is None or not parameter.grad.any(), name
        else:
            close(parameter.grad, expected)
            checked += bool(expected.any())
    assert checked > 20
    others = dict(theirs.named_parameters())
    for own, other in parts.items():
        for kind in ("weight", "bias"):
            if (theirs_parameter := others.get(f"{other}.{kind}")) is not None:
                close(ours.get_parameter(f"{own}.{kind}".lstrip(".")).grad, theirs_parameter.grad)
                # a bias that all choices share cancels: its gradient is rounding, which may be none
                assert theirs_parameter.grad.any() or kind == "bias"


def check(theirs: nn.Module, task_type: TaskType, parts: dict[str, str], batch: dict[str, Tensor]) -> None:
    ours = copied(theirs, task_type, parts)
    torch.manual_seed(5)
    expected = theirs(**batch)
    expected.loss.backward()
    torch.manual_seed(5)
    ours.loss("t", batch).backward()
    torch.manual_seed(5)
    logits = ours.logits("t", batch)
    if task_type is TaskType.SPAN_QA:
        close(logits[..., 0], expected.start_logits)
        close(logits[..., 1], expected.end_logits)
    else:
        close(logits, expected.logits)
    torch.manual_seed(5)
    close(ours.loss("t", batch), expected.loss)
    same_gradients(ours.heads["t"], theirs, parts, ours.encoder)


def with_types(model_type: str, batch: dict[str, Tensor]) -> dict[str, Tensor]:
    if model_type == "bert":
        batch["token_type_ids"] = (
            (torch.arange(batch["input_ids"].shape[-1]) > 4).long().expand_as(batch["input_ids"])
        )
    return batch


@pytest.mark.parametrize("dropout", [False, True], ids=["eval", "train"])
@pytest.mark.parametrize("model_type", TYPES)
class TestHeads:
    def test_sequence_classification(self, model_type, dropout):
        theirs = tiny_model(model_type, "ForSequenceClassification", num_labels=3).train(dropout)
        batch = {**with_types(model_type, random_batch(5, 11)), "labels": torch.tensor([0, 2, 1, 1, 0])}
        check(theirs, TaskType.CLASSIFICATION, CLASSIFIERS[model_type], batch)

    def test_multiple_choice(self, model_type, dropout):
        theirs = tiny_model(model_type, "ForMultipleChoice").train(dropout)
        batch = {**with_types(model_type, random_batch(3, 4, 9)), "labels": torch.tensor([3, 0, 1])}
        check(theirs, TaskType.MULTIPLE_CHOICE, CHOICES[model_type], batch)

    def test_token_classification(self, model_type, dropout):
        theirs = tiny_model(model_type, "ForTokenClassification", num_labels=3).train(dropout)
        batch = with_types(model_type, random_batch(4, 10))
        labels = batch["input_ids"] % 3
        labels[batch["attention_mask"] == 0] = -100
        labels[:, 0] = -100
        check(theirs, TaskType.TAGGING, TAGGER, {**batch, "labels": labels})

    def test_question_answering(self, model_type, dropout):
        """Of windows without padding, over which transformers' head lets an answer begin."""
        theirs = tiny_model(model_type, "ForQuestionAnswering", num_labels=2).train(dropout)
        whole = random_batch(4, 10)["input_ids"].clamp(min=5)
        batch = {
            **with_types(model_type, {"input_ids": whole, "attention_mask": torch.ones_like(whole)}),
            "start_positions": torch.tensor([0, 2, 3, 9]),
            "end_positions": torch.tensor([0, 2, 7, 9]),
        }
        check(theirs, TaskType.SPAN_QA, SPAN, batch)


@pytest.mark.parametrize("model_type", TYPES)
def test_masked_lm(model_type):
    theirs = tiny_model(model_type, "ForMaskedLM")
    batch = with_types(model_type, random_batch(4, 12))
    labels = torch.where(batch["input_ids"] % 4 == 0, batch["input_ids"], -100)
    batch["labels"] = labels
    parts = LANGUAGE_MODELS[model_type]
    encoder = copy.deepcopy(theirs.base_model)
    head = MaskedLMHead(encoder.config)
    weights = theirs.state_dict()
    head.load_state_dict(
        {
            f"{own}.{kind}".lstrip("."): weights[f"{other}.{kind}"]
            for own, other in parts.items()
            for kind in (("weight", "bias") if own else ("bias",))
        }
    )
    ours = MaskedLM(backbone_of(encoder), head).eval()
    expected = theirs(**batch)
    expected.loss.backward()
    loss = ours.loss(batch)
    loss.backward()
    close(loss, expected.loss)
    close(ours.logits(batch), expected.logits[labels != -100])
    same_gradients(head, theirs, {own: other for own, other in parts.items() if own}, encoder)
    close(head.bias.grad, dict(theirs.named_parameters())[f"{parts['']}.bias"].grad)
