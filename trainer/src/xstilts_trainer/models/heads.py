"""The task heads: what turns an encoder's vectors into logits, and logits into a loss.

Losses are means as in transformers' own heads (ForSequenceClassification, ForMultipleChoice, ForTokenClassification,
ForQuestionAnswering); the tests hold loss, logits and gradients against them.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from transformers import PreTrainedConfig

from xstilts.stage import Pooling
from xstilts.task import Task, TaskType
from xstilts_trainer.data.examples import UNLABELLED
from xstilts_trainer.models.initialisation import generator_for, initialise
from xstilts_trainer.models.pooling import Encoded, classifier_dropout, make_pooling


@dataclass(frozen=True)
class HeadSpec:
    """All that a head's shape hangs on, beside the backbone's config."""

    task: str
    type: TaskType
    labels: tuple[str, ...]
    pooling: Pooling

    @classmethod
    def of(cls, task: Task, pooling: Pooling) -> HeadSpec:
        """The head that a task needs."""
        return cls(task=task.name, type=task.type, labels=task.labels, pooling=pooling)


class Head(nn.Module, ABC):
    """Logits from an encoder's output, and the mean loss of a batch from logits. No loss hangs on padding."""

    def __init__(self, spec: HeadSpec) -> None:
        super().__init__()
        self.spec = spec

    @abstractmethod
    def forward(self, encoded: Encoded) -> Tensor:
        """Logits of N sequences."""

    @abstractmethod
    def loss(self, logits: Tensor, batch: Mapping[str, Tensor]) -> Tensor:
        """The mean loss, a scalar."""


class SequenceClassificationHead(Head):
    """One of L labels a sequence: logits [N, L]; labels [N]."""

    def __init__(self, spec: HeadSpec, config: PreTrainedConfig) -> None:
        super().__init__(spec)
        self.pooling = make_pooling(spec.pooling, config, spec.type)
        self.dropout = nn.Dropout(classifier_dropout(config))
        self.output = nn.Linear(config.hidden_size, len(spec.labels))

    def forward(self, encoded: Encoded) -> Tensor:
        """[N, T, H] -> [N, L]."""
        logits: Tensor = self.output(self.dropout(self.pooling(encoded)))
        return logits

    def loss(self, logits: Tensor, batch: Mapping[str, Tensor]) -> Tensor:
        """Mean cross-entropy."""
        return cross_entropy(logits, batch["labels"])


class MultipleChoiceHead(Head):
    """One scalar a choice: forward gives [N] for N = B·C sequences, the model folds it to logits [B, C]; labels [B]."""

    def __init__(self, spec: HeadSpec, config: PreTrainedConfig) -> None:
        super().__init__(spec)
        self.pooling = make_pooling(spec.pooling, config, spec.type)
        self.dropout = nn.Dropout(classifier_dropout(config))
        self.output = nn.Linear(config.hidden_size, 1)

    def forward(self, encoded: Encoded) -> Tensor:
        """[N, T, H] -> [N]."""
        scores: Tensor = self.output(self.dropout(self.pooling(encoded)))
        return scores.squeeze(-1)

    def loss(self, logits: Tensor, batch: Mapping[str, Tensor]) -> Tensor:
        """Mean cross-entropy over the choices."""
        return cross_entropy(logits, batch["labels"])


class TaggingHead(Head):
    """One of L tags a token: logits [N, T, L]; labels [N, T], UNLABELLED where a position carries none."""

    def __init__(self, spec: HeadSpec, config: PreTrainedConfig) -> None:
        super().__init__(spec)
        self.dropout = nn.Dropout(classifier_dropout(config))
        self.output = nn.Linear(config.hidden_size, len(spec.labels))

    def forward(self, encoded: Encoded) -> Tensor:
        """[N, T, H] -> [N, T, L]."""
        logits: Tensor = self.output(self.dropout(encoded.hidden))
        return logits

    def loss(self, logits: Tensor, batch: Mapping[str, Tensor]) -> Tensor:
        """Mean cross-entropy over the labelled positions; 0 for a batch without any."""
        labels = batch["labels"].flatten()
        total = cross_entropy(logits.flatten(0, 1), labels, reduction="sum")
        return total / (labels != UNLABELLED).sum().clamp(min=1)


class SpanHead(Head):
    """Start and end of an answer: logits [N, T, 2]; start_positions and end_positions [N], 0 where there is none.

    The null answer is the first token. A backbone that was pretrained without such a token (mT5) finds the pad piece there
    (`data.span`), whose vector gives way to an attended one: the mean of all tokens' vectors, weighted by their likeness to
    a learned query.

    Padding is no place, so its logits are minus infinity: a window's loss is the one that transformers' head gives it alone. In a
    padded batch that head lets padding take part in the softmax, and the loss hangs on what a window is batched with.
    """

    def __init__(self, spec: HeadSpec, config: PreTrainedConfig) -> None:
        super().__init__(spec)
        self.output = nn.Linear(config.hidden_size, 2)
        self.null = nn.Parameter(torch.zeros(config.hidden_size)) if config.model_type == "mt5" else None

    def forward(self, encoded: Encoded) -> Tensor:
        """[N, T, H] -> [N, T, 2]."""
        hidden = encoded.hidden
        if self.null is not None:
            hidden = torch.cat([self._null_vector(self.null, encoded).unsqueeze(1), hidden[:, 1:]], dim=1)
        logits: Tensor = self.output(hidden)
        return logits.masked_fill(encoded.mask.unsqueeze(-1) == 0, float("-inf"))

    @staticmethod
    def _null_vector(query: Tensor, encoded: Encoded) -> Tensor:
        """[N, T, H] -> [N, H]: the tokens' vectors, weighted by their likeness to the query."""
        likeness = (encoded.hidden @ query).masked_fill(encoded.mask == 0, float("-inf"))
        return (likeness.softmax(dim=1).unsqueeze(-1) * encoded.hidden).sum(dim=1)

    def loss(self, logits: Tensor, batch: Mapping[str, Tensor]) -> Tensor:
        """The mean of start's and end's cross-entropy."""
        starts = cross_entropy(logits[..., 0], batch["start_positions"])
        ends = cross_entropy(logits[..., 1], batch["end_positions"])
        return (starts + ends) / 2


def make_head(spec: HeadSpec, config: PreTrainedConfig, seed: int) -> Head:
    """A new head, its weights decided by (seed, task) and the config's initialiser.

    Raises:
        SpecError: the pooling is none that this backbone has.
        ValueError: retrieval and mining have no head.
    """
    head = build_head(spec, config)
    initialise(head, config, generator_for(seed, spec.task))
    return head


def build_head(spec: HeadSpec, config: PreTrainedConfig) -> Head:
    """The head's modules, their weights still to be set; errors as make_head's."""
    heads: dict[TaskType, Callable[[HeadSpec, PreTrainedConfig], Head]] = {
        TaskType.CLASSIFICATION: SequenceClassificationHead,
        TaskType.MULTIPLE_CHOICE: MultipleChoiceHead,
        TaskType.TAGGING: TaggingHead,
        TaskType.SPAN_QA: SpanHead,
    }
    if spec.type not in heads:
        raise ValueError(f"{spec.task}: a task of type {spec.type} has no head")
    return heads[spec.type](spec, config)
