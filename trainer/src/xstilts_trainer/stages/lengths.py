"""Whether a recipe's inputs fit the model."""

from __future__ import annotations

from transformers import PreTrainedConfig

from xstilts.errors import Problem, SpecError
from xstilts.stage import Hyperparameters
from xstilts_trainer.models.lengths import longest_input


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
