"""What an estimate is made of on the command line: hardware, prices, and what is there already."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

import typer

from xstilts.cluster.place import ClusterPlace
from xstilts.estimate import (
    ACCELERATORS,
    CPU,
    DEFAULT,
    Accelerator,
    Facts,
    Found,
    Price,
    Took,
    parse_price,
    read_price,
)
from xstilts.estimate import accelerator as accelerator_of
from xstilts.estimate.stored import read_facts
from xstilts.local.schedule import required
from xstilts.plan import Plan
from xstilts.plan.placement import placement
from xstilts.plan.rows import check_files, stored_files
from xstilts.spec import Experiment
from xstilts.stage import Kind
from xstilts.store import Store

AcceleratorOption = Annotated[
    str | None,
    typer.Option(
        "--accelerator",
        metavar="NAME",
        help=f"What to estimate for: {', '.join(ACCELERATORS)}. Default: {DEFAULT.name}, or CPU if no GPU is asked for.",
    ),
]
InputsOption = Annotated[
    str | None,
    typer.Option(
        "--store", help="The cluster's store, if this machine reaches it: it tells how large inputs are."
    ),
]
PriceOption = Annotated[
    str | None,
    typer.Option("--price", metavar="PRICE", help="The price of an hour of one GPU: `1.80` or `1.80 EUR`."),
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


def on_cluster(planned: Plan, name: str, place: ClusterPlace, store: str | None) -> Found:
    """What a cluster has of a plan, in its store of that name; what of its inputs is known, if `store` says where they lie.

    Raises:
        SpecError: an input that the store has lacks files.
        UserError: the cluster or the store does not answer.
    """
    facts = Facts()
    if store is not None:
        opened = Store.open(store, place.namespace)
        check_files([one.stage for one in planned.stages], stored_files(opened), all_there=False)
        facts = read_facts(planned, opened)
    finished, dropped = place.finished(name)
    took = {key: Took(*paid) for key, paid in finished.items() if paid is not None}
    return needing(planned, Found(finished.keys() - dropped, dropped, facts=facts, took=took))


def needing(planned: Plan, found: Found) -> Found:
    """The same with the stages that must run; one whose weights were dropped is done where none of those needs it."""
    needed = required([one.stage for one in planned.stages], found.cached)
    done = {key for key in found.dropped if key not in needed}
    return replace(found, needed=needed, cached=frozenset(found.cached) | done)


def _asked_for(experiment: Experiment) -> Accelerator:
    """What the experiment's trainings ask for: GPUs of a usual kind, where any of them has one."""
    spec = experiment.spec
    return DEFAULT if any(placement(spec, Kind.TRAIN, [model.name]).gpus for model in spec.models) else CPU
