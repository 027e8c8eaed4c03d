"""Where a stage may run and with what: what its experiment asks for, within what the administrator allows."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from typing import Final

from xstilts.errors import Problem
from xstilts.spec import ExperimentSpec, Resources, StageResources, Toleration
from xstilts.stage import Kind
from xstilts_operator.settings import PlacementSettings

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


def allowed(resources: Resources, rules: PlacementSettings) -> Resources:
    """The same resources without what the administrator does not allow: no pod has more, whoever asked for it."""
    priority, runtime = resources.priority_class_name, resources.runtime_class_name
    return resources.model_copy(
        update={
            "node_selector": {
                key: value
                for key, value in resources.node_selector.items()
                if _may(key, rules.node_selector_keys)
            },
            "tolerations": tuple(
                one for one in resources.tolerations if _tolerable(one, rules.toleration_keys)
            ),
            "priority_class_name": priority if _may(priority, rules.priority_class_names) else None,
            "runtime_class_name": runtime if _may(runtime, rules.runtime_class_names) else None,
        }
    )


def problems(resources: Resources, rules: PlacementSettings) -> Iterator[Problem]:
    """What an experiment asks for in `spec.resources`, and the administrator does not allow."""
    field = "spec.resources"
    for key in resources.node_selector:
        if not _may(key, rules.node_selector_keys):
            yield Problem(f"{field}.nodeSelector", _sentence(key, rules.node_selector_keys))
    for index, one in enumerate(resources.tolerations):
        if not _tolerable(one, rules.toleration_keys):
            was = one.key or "every key"
            yield Problem(f"{field}.tolerations[{index}].key", _sentence(was, rules.toleration_keys))
    if not _may(resources.priority_class_name, rules.priority_class_names):
        sentence = _sentence(resources.priority_class_name, rules.priority_class_names)
        yield Problem(f"{field}.priorityClassName", sentence)
    if not _may(resources.runtime_class_name, rules.runtime_class_names):
        sentence = _sentence(resources.runtime_class_name, rules.runtime_class_names)
        yield Problem(f"{field}.runtimeClassName", sentence)


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


def _may(name: str | None, names: tuple[str, ...] | None) -> bool:
    return name is None or names is None or name in names


def _tolerable(toleration: Toleration, keys: tuple[str, ...] | None) -> bool:
    """A toleration without a key is one of every taint: only where any key is allowed."""
    return keys is None or toleration.key in keys


def _sentence(was: str | None, names: tuple[str, ...] | None) -> str:
    known = ", ".join(names or ())
    return f"must be one that the administrator allows ({known or 'none'}), was {was!r}"
