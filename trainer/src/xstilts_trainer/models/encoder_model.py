"""An encoder with the heads of the tasks that it is trained or evaluated on, and the folder that holds both."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from torch import Tensor, nn
from transformers import PreTrainedModel

from xstilts.stage import Family, Pooling
from xstilts_trainer.models.backbone import Backbone, load_backbone, save_backbone
from xstilts_trainer.models.folders import encoder_folder
from xstilts_trainer.models.heads import Head
from xstilts_trainer.models.heads_io import load_heads, read_head_specs, save_heads
from xstilts_trainer.models.packing import Layout, encode_packed, is_packable, is_packed, layout_of
from xstilts_trainer.models.pooling import Encoded
from xstilts_trainer.models.task_model import Batch, TaskModel
from xstilts_trainer.precision import in_fp32


class EncoderModel(TaskModel):
    """One encoder, shared by the heads; a head for each task, by its name."""

    def __init__(self, backbone: Backbone, heads: Mapping[str, Head]) -> None:
        super().__init__()
        self.backbone = backbone
        self.encoder = backbone.encoder
        self.heads = dict(heads)
        # torch refuses a module that is called as one of its own attributes ("train"): a task may be called so
        self._registered = nn.ModuleDict({f"head_{task}": head for task, head in heads.items()})

    @property
    def packable(self) -> PreTrainedModel | None:
        """The encoder, where it can be packed."""
        return self.encoder if is_packable(self.encoder.config) else None

    @property
    def packed_tasks(self) -> list[str]:
        """All tasks of a packed encoder."""
        return list(self.heads) if is_packed(self.encoder) else []

    def logits(self, task: str, batch: Batch) -> Tensor:
        """Logits of a batch.

        Args:
            task: the task whose head answers.
            batch: input_ids and attention_mask (and token_type_ids) [B, T], or [B, C, T] for multiple choice.

        Returns:
            [B, L] classification, [B, C] multiple choice, [B, T, L] tagging, [B, T, 2] span (start, end).
        """
        shape = batch["input_ids"].shape[:-1]
        flat = {name: tensor.flatten(0, -2) for name, tensor in batch.items() if name in INPUTS}
        encoded = encode(self.backbone, flat, layout_of(self.encoder, batch))
        with in_fp32():  # a head costs nothing, and rounded logits would tie
            logits: Tensor = self.heads[task](encoded)
        return logits.view(*shape, *logits.shape[1:])

    def loss(self, task: str, batch: Batch) -> Tensor:
        """The mean loss of a batch that holds its labels, a scalar."""
        return self.heads[task].loss(self.logits(task, batch), batch)

    def save(self, folder: Path) -> None:
        """Write `encoder/` (a transformers checkpoint), `heads/<task>.safetensors` and `heads.json`."""
        save_backbone(self.backbone, encoder_folder(folder, new=True))
        save_heads(self.heads, folder)

    @classmethod
    def load(cls, folder: Path, family: Family) -> EncoderModel:
        """Read what `save` wrote.

        Raises:
            DataError: the folder holds no such model, or a damaged one.
        """
        specs = read_head_specs(folder)
        pooling = specs[0].pooling if specs else Pooling.FIRST
        backbone = load_backbone(encoder_folder(folder), family, pooling=pooling)
        return cls(backbone, load_heads(folder, specs, backbone.config))


INPUTS = ("input_ids", "attention_mask", "token_type_ids")


def encode(backbone: Backbone, inputs: Batch, layout: Layout | None = None) -> Encoded:
    """Run the encoder on [N, T] inputs, packed so where a layout is said; token types go only to an encoder that has more than one."""
    encoder, mask = backbone.encoder, inputs["attention_mask"]
    if layout is not None:
        hidden = encode_packed(encoder, _taken(backbone, inputs), layout)
        pooler = getattr(encoder, "pooler", None)
        pooled = None if pooler is None else pooler(hidden)
    else:
        outputs = encoder(**_taken(backbone, inputs))
        hidden, pooled = outputs.last_hidden_state, getattr(outputs, "pooler_output", None)
    return Encoded(hidden.float(), mask, None if pooled is None else pooled.float())


def hidden_states(backbone: Backbone, inputs: Batch) -> tuple[Tensor, ...]:
    """The vectors [N, T, H] of [N, T] inputs at every layer: the embeddings first, what `encode` gives last."""
    outputs = backbone.encoder(**_taken(backbone, inputs), output_hidden_states=True)
    return (*outputs.hidden_states[:-1], outputs.last_hidden_state)


def _taken(backbone: Backbone, inputs: Batch) -> dict[str, Tensor]:
    """What of a batch the encoder takes."""
    names = INPUTS if getattr(backbone.config, "type_vocab_size", 0) > 1 else INPUTS[:2]
    return {name: inputs[name] for name in names if name in inputs}
