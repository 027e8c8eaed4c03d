"""How new weights begin: the distribution of the backbone's own config, drawn from a generator of their own.

The draw depends on the seed and a name alone, so a head begins equal whatever was made before it, and in which order.
"""

from __future__ import annotations

import torch
from torch import nn
from transformers import PreTrainedConfig

from xstilts.canonical import digest


def generator_for(seed: int, name: str) -> torch.Generator:
    """A generator whose numbers are decided by (seed, name) and nothing else."""
    number = int(digest([seed, name])[:15], 16)  # 60 bits: torch takes at most 64
    return torch.Generator().manual_seed(number)


def initial_std(config: PreTrainedConfig) -> float:
    """The standard deviation of a new linear layer's weights, as transformers has it for this kind of model.

    BERT, XLM-R and DeBERTa: `initializer_range`. mT5: `initializer_factor / sqrt(d_model)`, which is what
    transformers gives the dense layers of MT5ClassificationHead and MT5ForQuestionAnswering.
    """
    if config.model_type == "mt5":
        return float(config.initializer_factor * config.d_model**-0.5)
    return float(config.initializer_range)


@torch.no_grad()
def initialise(module: nn.Module, config: PreTrainedConfig, generator: torch.Generator) -> None:
    """Draw every weight of a new module anew: matrices and vectors normal, biases 0, norms 1.

    The order of drawing is the order of the parameters' names, so it does not hang on how the module was built.
    """
    std = initial_std(config)
    norms = {name for name, part in module.named_modules() if isinstance(part, nn.LayerNorm)}
    for name, parameter in sorted(module.named_parameters()):
        owner, _, kind = name.rpartition(".")
        if kind == "bias":
            parameter.zero_()
        elif owner in norms:
            parameter.fill_(1.0)
        else:
            parameter.copy_(torch.empty(parameter.shape).normal_(0.0, std, generator=generator))
