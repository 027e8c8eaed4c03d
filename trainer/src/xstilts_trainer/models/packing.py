"""Packing: the sequences of a batch one behind the other in a single row, so that an encoder computes no padding.

Attention never leaves a sequence, and positions begin anew in each, as if it were alone. A batch comes padded and its vectors
leave padded, with zeros where padding stands: nothing but the encoder knows of it. transformers' own collator for this
(DataCollatorWithFlattening) is for FlashAttention: with any other attention XLM-R would count positions through the row
and let sequences see each other.

The attention is torch's scaled_dot_product_attention over nested tensors: on a GPU its variable-length kernels, of which each
precision has one with dropout (torch.nn.attention.varlen has no dropout, and none for fp32); on a CPU the same numbers, slowly.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import torch
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention
from transformers import AttentionInterface, AttentionMaskInterface, PreTrainedConfig, PreTrainedModel
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

from xstilts_trainer.data.places import lengths, tokens

PADDED: Final = "sdpa"
PACKED: Final = "xstilts_packed"
# DeBERTa and mT5 add what hangs on two tokens' distance to their likeness: no variable-length kernel takes that
PACKABLE: Final = ("bert", "xlm-roberta")


def pays_on(device: torch.device) -> bool:
    """Whether a training that begins there packs its batches; a CPU has no kernel for it, and little padding among like lengths."""
    return device.type == "cuda"  # meant so and not measured: docs/benchmarks/trainer.md


def is_packable(config: PreTrainedConfig) -> bool:
    """Whether an encoder of this type gives the same vectors packed."""
    return config.model_type in PACKABLE


def is_packed(encoder: PreTrainedModel | None) -> bool:
    """Whether an encoder's batches are to be packed."""
    return encoder is not None and encoder.config._attn_implementation == PACKED  # noqa: SLF001 - no other way to ask


def set_packed(encoder: PreTrainedModel | None, *, packed: bool) -> None:
    """Have an encoder's batches packed, or padded; where there is none that can be packed, nothing changes."""
    if encoder is not None:
        encoder.set_attn_implementation(PACKED if packed else PADDED)


@dataclass(frozen=True)
class Layout:
    """Where the P tokens of a padded batch of N sequences lie in the row.

    Attributes:
        places: of each token in the padded batch, flattened [P].
        offsets: where each sequence begins in the row, and where the last one ends [N + 1].
        shortest: the length of the shortest sequence.
        longest: the length of the longest one; it may be less than that of the padded batch.
    """

    places: Tensor
    offsets: Tensor
    shortest: int
    longest: int

    @classmethod
    def of(cls, batch: Mapping[str, Tensor]) -> Layout:
        """The layout of a batch whose `attention_mask` is 1 for tokens, [N, T] or in multiple choice [B, C, T]."""
        counted = batch["attention_mask"].flatten(0, -2).sum(dim=1)
        offsets = torch.cat([counted.new_zeros(1), counted.cumsum(dim=0)])
        shortest, longest = torch.stack(lengths(batch).aminmax()).tolist()
        return cls(tokens(batch), offsets, shortest, longest)


def layout_of(encoder: PreTrainedModel, batch: Mapping[str, Tensor]) -> Layout | None:
    """How an encoder's batch is packed; None where it stays padded."""
    return Layout.of(batch) if is_packed(encoder) else None


def encode_packed(encoder: PreTrainedModel, inputs: Mapping[str, Tensor], layout: Layout) -> Tensor:
    """What a packed encoder gives for padded inputs [N, T]: vectors [N, T, H], zero where the mask is."""
    mask = inputs["attention_mask"]
    flat = {"position_ids": _positions(encoder, inputs["input_ids"]), **inputs}
    del flat["attention_mask"]
    row = {name: tensor.flatten()[layout.places].unsqueeze(0) for name, tensor in flat.items()}
    hidden: Tensor = encoder(**row, layout=layout).last_hidden_state[0]
    padded = hidden.new_zeros(mask.numel(), hidden.shape[-1])
    return padded.index_put((layout.places,), hidden).view(*mask.shape, -1)


def _positions(encoder: Any, ids: Tensor) -> Tensor:
    """The positions [N, T] that the encoder itself would count in a padded batch."""
    if encoder.config.model_type == "xlm-roberta":
        embeddings = (
            encoder.embeddings
        )  # from behind the padding id; where that stands in a text it is not counted
        positions: Tensor = embeddings.create_position_ids_from_input_ids(ids, embeddings.padding_idx)
        return positions
    return torch.arange(ids.shape[1], device=ids.device).expand_as(ids)


def _attention(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    *,
    dropout: float = 0.0,
    scaling: float | None = None,
    layout: Layout | None = None,
    **others: Any,
) -> tuple[Tensor, None]:
    """Attention [1, A, P, D] of a row inside each of its sequences, as [1, P, A, D]; of a padded batch as transformers has it."""
    if layout is None:
        return sdpa_attention_forward(
            module, query, key, value, attention_mask, dropout=dropout, scaling=scaling, **others
        )
    attended = scaled_dot_product_attention(
        _nested(query, layout), _nested(key, layout), _nested(value, layout), dropout_p=dropout, scale=scaling
    )
    return attended.transpose(1, 2).values().unsqueeze(0), None


def _nested(row: Tensor, layout: Layout) -> Tensor:
    """A row [1, A, P, D] as a nested tensor [N, A, (length), D]; without its lengths torch would ask the GPU for them."""
    return torch.nested.nested_tensor_from_jagged(
        row[0].transpose(0, 1), layout.offsets, min_seqlen=layout.shortest, max_seqlen=layout.longest
    ).transpose(1, 2)


AttentionInterface.register(PACKED, _attention)
AttentionMaskInterface.register(PACKED, sdpa_mask)  # a padded batch keeps its mask
