"""Low-rank adapters (Hu et al. 2021, arXiv:2106.09685) by peft: put into a model, trained, and merged into its weights.

Only the adapters are trained, and whatever lies outside the adapted model (heads). At the end of a stage they are merged, so that
what the stage leaves is an ordinary checkpoint, and the next stage begins with new ones.
"""

from __future__ import annotations

import math
import warnings
from typing import Any, Final

from torch import nn
from transformers import PreTrainedModel

from xstilts.errors import Problem, SpecError
from xstilts.stage import Lora
from xstilts_trainer.models.initialisation import generator_for
from xstilts_trainer.models.linear import use_onednn

_NAME: Final = "default"


class Adapters:
    """Adapters in a model, beside the linear layers that are called as `spec.target_modules` says."""

    def __init__(self, model: PreTrainedModel, spec: Lora, seed: int) -> None:
        """Put adapters into a model, in place: its own weights are frozen, and its outputs are at first the same.

        As peft begins them: A by Kaiming's uniform distribution, B with zeros; but each from a generator of its own.

        Raises:
            SpecError: the model has no such layers.
        """
        from peft import LoraConfig, LoraModel  # noqa: PLC0415 - takes a third of a second, and few stages need it

        _check_targets(model, spec)
        self._tuner: Any = LoraModel(  # its methods carry no types
            model,
            LoraConfig(
                r=spec.rank,
                lora_alpha=spec.alpha,
                lora_dropout=float(spec.dropout),
                target_modules=list(spec.target_modules),
            ),
            _NAME,
        )
        for name, parameter in model.named_parameters():
            if ".lora_A." in name:
                nn.init.kaiming_uniform_(parameter, a=math.sqrt(5), generator=generator_for(seed, name))
        use_onednn(model)
        pooler = getattr(model, "pooler", None)
        if pooler is not None:  # it may have begun anew: it is trained as a head is
            pooler.requires_grad_(requires_grad=True)

    def merge(self) -> None:
        """Add what the adapters have learnt to the model's own weights, and take them out of it."""
        with warnings.catch_warnings():
            # of mT5, whose config claims that they were tied: what is saved says what they are (text_to_text.save)
            warnings.filterwarnings("ignore", "Input and output embeddings are no longer tied", UserWarning)
            self._tuner.merge_and_unload()


def _check_targets(model: PreTrainedModel, spec: Lora) -> None:
    layers = [name for name, module in model.named_modules() if isinstance(module, nn.Linear)]
    ends = sorted({name.rpartition(".")[2] for name in layers} - {""})
    unknown = [
        target
        for target in spec.target_modules
        if not any(name == target or name.endswith(f".{target}") for name in layers)
    ]
    if unknown:
        raise SpecError(
            Problem(
                "spec.lora.targetModules",
                f"must be names of linear layers of the model ({', '.join(ends)}), was {', '.join(unknown)}",
            )
        )
