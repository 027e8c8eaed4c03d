"""How long an input a model takes."""

from __future__ import annotations

from transformers import PreTrainedConfig


def longest_input(config: PreTrainedConfig) -> int | None:
    """The number of tokens that the model has positions for; None where positions are relative (DeBERTa, mT5)."""
    match config.model_type:
        case "bert":
            return int(config.max_position_embeddings)
        case "xlm-roberta":  # positions are counted from behind the padding id
            return int(config.max_position_embeddings) - int(config.pad_token_id) - 1
        case _:
            return None
