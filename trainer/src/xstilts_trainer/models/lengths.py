"""How long an input a model takes, and whether a recipe's fit it."""

from __future__ import annotations

from transformers import PreTrainedConfig

from xstilts.errors import Problem, SpecError
from xstilts.stage import Hyperparameters


def longest_input(config: PreTrainedConfig) -> int | None:
    """The number of tokens that the model has positions for; None where positions are relative (DeBERTa, mT5)."""
    match config.model_type:
        case "bert":
            return int(config.max_position_embeddings)
        case "xlm-roberta":  # positions are counted from behind the padding id
            return int(config.max_position_embeddings) - int(config.pad_token_id) - 1
        case _:
            return None


def check_length(config: PreTrainedConfig, recipe: Hyperparameters) -> None:
    """See that no input can be longer than the model's positions.

    Raises:
        SpecError: the recipe's length is.
    """
    limit = longest_input(config)
    if limit is not None and recipe.max_length > limit:
        raise SpecError(
            Problem(
                "spec.hyperparameters.maxLength",
                f"must be at most {limit}, the model's longest input, was {recipe.max_length}",
            )
        )
