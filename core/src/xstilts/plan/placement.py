"""What a stage is given to run with, of what its experiment asks for."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Final

from xstilts.spec import ExperimentSpec, Resources, StageResources
from xstilts.stage import Kind

_UNITS: Final[dict[str, int]] = {
    "": 1,
    **{unit: 1000**power for power, unit in enumerate("kMGT", 1)},
    **{f"{unit}i": 1024**power for power, unit in enumerate("KMGT", 1)},
}


def placement(spec: ExperimentSpec, kind: Kind, models: Collection[str]) -> Resources:
    """What one attempt of a stage is given.

    `models` are those whose cells need the stage: where they ask for different resources, it gets the most that any
    asks for. A preparation gets no GPU; it and an evaluation, which is one process, get one node.
    """
    own = [model.stage_resources for model in spec.models if model.name in models and model.stage_resources]
    merged = spec.resources.model_copy(update=_most(own))
    if kind is Kind.TRAIN:
        return merged
    most = 1 if kind is Kind.EVALUATE else 0
    return merged.model_copy(update={"nodes": 1, "gpus": min(merged.gpus, most)})


def gpus(resources: Resources) -> int:
    """The GPUs of all nodes together: what an attempt is charged for."""
    return resources.gpus * resources.nodes


def in_bytes(quantity: str) -> int:
    """The bytes of a quantity such as `32Gi` (`xstilts.spec.fields.Quantity`)."""
    number = quantity.rstrip("kKMGTi")
    unit = quantity.removeprefix(number)
    return int(number) * _UNITS[unit]


def _most(own: Iterable[StageResources]) -> dict[str, int | str]:
    most: dict[str, int | str] = {}
    for resources in own:
        for name, value in resources.model_dump(exclude_none=True, by_alias=False).items():
            there = most.get(name)
            if there is None or _size(value) > _size(there):
                most[name] = value
    return most


def _size(value: int | str) -> int:
    return in_bytes(value) if isinstance(value, str) else value
