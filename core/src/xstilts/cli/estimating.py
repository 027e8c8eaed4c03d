"""The options of what an estimate is made for: hardware and prices."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from xstilts.estimate import ACCELERATORS, CPU, DEFAULT, Accelerator, Price, parse_price, read_price
from xstilts.estimate import accelerator as accelerator_of
from xstilts.spec import Experiment

AcceleratorOption = Annotated[
    str | None,
    typer.Option(
        "--accelerator",
        metavar="NAME",
        help=f"What to estimate for: {', '.join(ACCELERATORS)}. Default: {DEFAULT.name}, or CPU where no GPU is asked for.",
    ),
]
PriceOption = Annotated[
    str | None,
    typer.Option("--price", metavar="PRICE", help="Of an hour of one GPU: `1.80` or `1.80 EUR`."),
]
PricesOption = Annotated[
    Path | None,
    typer.Option("--prices", metavar="FILE", help="A table of prices by accelerator, instead of --price."),
]


@dataclass(frozen=True)
class Terms:
    """The hardware that an estimate is for, and the price of its hour."""

    accelerator: Accelerator
    price: Price | None

    @classmethod
    def of(
        cls, experiment: Experiment, accelerator: str | None, price: str | None, prices: Path | None
    ) -> Terms:
        """What the options say, or the experiment where they say nothing.

        Raises:
            UserError: there is no such accelerator or price.
        """
        if price is not None and prices is not None:
            raise typer.BadParameter("only one of --price and --prices can be given", param_hint="--price")
        chosen = accelerator_of(accelerator) if accelerator else _asked_for(experiment)
        said = parse_price(price) if price is not None else None
        return cls(chosen, read_price(prices, chosen) if prices is not None else said)


def _asked_for(experiment: Experiment) -> Accelerator:
    spec = experiment.spec
    own = [model.stage_resources.gpus for model in spec.models if model.stage_resources]
    return DEFAULT if spec.resources.gpus or any(own) else CPU
