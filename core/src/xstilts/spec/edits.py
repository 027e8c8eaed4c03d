"""What an edit may change of an experiment that has begun: its grid only grows, and what decides results stays.

The CRD holds the same rules, made from the names below; where they differ stands in tests/crds/verdicts.py.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from xstilts.errors import Problem
from xstilts.spec.experiment import ExperimentSpec
from xstilts.spec.words import Path, show, spell

FROZEN: Final = ("baseline", "training", "analysis", "store")
GROWING: Final = {
    "models": "name",
    "tasks": "name",
    "intermediates": "name",
    "targets": "task",
}  # list -> key
MUTABLE: Final = {"models": ("stageResources",)}  # of the entries of a list that grows: where they run
ORDERED: Final = frozenset({"labels"})  # every other list of scalars is a set

_INSTEAD: Final = "make another experiment, which finds what is done in the store"

Plain = Mapping[str, Any]


def edit_problems(old: ExperimentSpec, new: ExperimentSpec) -> list[Problem]:
    """What a new spec must not change of the one that has begun; empty for an edit that is allowed.

    Both are valid in themselves. How they are written does not matter: a default may be left out or written out.
    """
    before, after = _plain(old), _plain(new)
    return [
        *(problem for field in GROWING for problem in _grown(field, before, after)),
        *_described_late(before, after),
        *_revisions(before, after),
        *_seeds(before, after),
        *(problem for field in FROZEN for problem in _frozen((field,), before[field], after[field])),
    ]


def _plain(spec: ExperimentSpec) -> Plain:
    plain: dict[str, Any] = spec.model_dump(mode="json", exclude_none=True)
    return plain


def _problem(path: Path, sentence: str) -> Problem:
    return Problem(spell(("spec", *path)), f"{sentence}; {_INSTEAD}")


def _grown(field: str, before: Plain, after: Plain) -> Iterator[Problem]:
    """The entries of a list that are gone, or are not what they were."""
    key = GROWING[field]
    places = {entry[key]: (index, entry) for index, entry in enumerate(after[field])}
    mutable = MUTABLE.get(field, ())
    for entry in before[field]:
        if entry[key] not in places:
            yield _problem(
                (field,), f"must keep {entry[key]!r}, with which the experiment began, was without"
            )
            continue
        index, edited = places[entry[key]]
        yield from _frozen((field, index), _without(entry, mutable), _without(edited, mutable))


def _described_late(before: Plain, after: Plain) -> Iterator[Problem]:
    """Entries of `tasks` that would change what intermediates and targets have meant since the beginning."""
    described = {task["name"] for task in before["tasks"]}
    used = {target["task"] for target in before["targets"]}
    used.update(name for one in before["intermediates"] for name in one["tasks"])
    for index, task in enumerate(after["tasks"]):
        if task["name"] in used - described:
            sentence = (
                f"must not be added: the experiment began with {task['name']!r} as the catalogue has it"
            )
            yield _problem(("tasks", index), sentence)


def _revisions(before: Plain, after: Plain) -> Iterator[Problem]:
    for repository, commit in before["dataRevisions"].items():
        yield from _frozen(("dataRevisions", repository), commit, after["dataRevisions"].get(repository))


def _seeds(before: Plain, after: Plain) -> Iterator[Problem]:
    for seed in before["seeds"]:
        if seed not in after["seeds"]:
            yield _problem(("seeds",), f"must keep {seed}, with which the experiment began, was without")


def _frozen(path: Path, before: Any, after: Any) -> Iterator[Problem]:
    """The fields that have another value, each on its own."""
    if isinstance(before, dict) and isinstance(after, dict):
        for name in {**before, **after}:
            yield from _frozen((*path, name), before.get(name), after.get(name))
    elif _meaning(path, before) != _meaning(path, after):
        yield _problem(path, f"must stay {_shown(before)} once the experiment has begun, was {_shown(after)}")


def _meaning(path: Path, value: Any) -> Any:
    """The value with every list of scalars whose order says nothing as the set that it is."""
    if isinstance(value, dict):
        return {name: _meaning((*path, name), item) for name, item in value.items()}
    if not isinstance(value, list):
        return value
    if path[-1] not in ORDERED and all(isinstance(item, str) for item in value):
        return frozenset(value)
    return [_meaning((*path, index), item) for index, item in enumerate(value)]


def _shown(value: Any) -> str:
    if value is None:
        return "absent"
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return f"[{', '.join(value[:8])}{', …' if len(value) > 8 else ''}]"
    return show(value)


def _without(entry: Plain, fields: tuple[str, ...]) -> Plain:
    return {name: value for name, value in entry.items() if name not in fields}
