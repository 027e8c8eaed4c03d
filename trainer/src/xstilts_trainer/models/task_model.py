"""What the trainer knows of a model, whatever its form: it gives the loss of a batch of a task."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import TypeAlias

from torch import Tensor, nn
from transformers import PreTrainedModel
from transformers.models.mt5.modeling_mt5 import MT5Attention

Batch: TypeAlias = Mapping[str, Tensor]


class TaskModel(nn.Module, ABC):
    """A model that is trained on tasks."""

    @abstractmethod
    def loss(self, task: str, batch: Batch) -> Tensor:
        """The mean loss of a batch that holds its labels, a scalar."""

    @property
    def packable(self) -> PreTrainedModel | None:
        """The encoder that can take the sequences of a batch in one row (see `packing`); None where none can."""
        return None

    @property
    def packed_tasks(self) -> list[str]:
        """The tasks whose batches are packed as things stand; those of all others are padded."""
        return []

    def set_dropout(self, probability: float) -> None:
        """Give every dropout this probability; the saved config keeps the checkpoint's own."""
        for module in self.modules():
            if isinstance(module, nn.Dropout):
                module.p = probability
            elif isinstance(module, MT5Attention):
                module.dropout = probability
