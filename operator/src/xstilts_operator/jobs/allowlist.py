"""What an experiment asks for of nodes, within what the administrator allows."""

from __future__ import annotations

from collections.abc import Iterator

from xstilts.errors import Problem
from xstilts.spec import Resources, Toleration
from xstilts_operator.settings import PlacementSettings


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


def _may(name: str | None, names: tuple[str, ...] | None) -> bool:
    return name is None or names is None or name in names


def _tolerable(toleration: Toleration, keys: tuple[str, ...] | None) -> bool:
    """A toleration without a key is one of every taint: only where any key is allowed."""
    return keys is None or toleration.key in keys


def _sentence(was: str | None, names: tuple[str, ...] | None) -> str:
    known = ", ".join(names or ())
    return f"must be one that the administrator allows ({known or 'none'}), was {was!r}"
