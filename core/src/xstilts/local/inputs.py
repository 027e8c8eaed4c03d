"""What an experiment file leaves open of its inputs: pinned before a run, so that every stage reads the same bytes."""

from __future__ import annotations

from pathlib import Path

from xstilts.errors import Problem, SpecError
from xstilts.spec import Experiment, is_path, is_unpinned_input, named_sources, with_sources
from xstilts.spec.words import spell
from xstilts.store import Store


def pin_inputs(experiment: Experiment, base: Path, store: Store, *, put: bool = True) -> Experiment:
    """The same experiment with every plain path put into the store, and every `store://NAME` with its newest digest.

    Paths are relative to `base`. Without `put` nothing is written: a path gets the digest that it would have, and a name
    of which the store has nothing stays as it is.

    Raises:
        SpecError: a path is no folder, or the store has nothing of a name; all such are named together.
        StoreError: a folder is empty or holds what cannot be stored.
    """
    refer = store.put if put else store.reference
    pinned = {}
    problems = []
    for path, name, source in named_sources(experiment):
        if is_path(source):
            folder = base / source
            if folder.is_dir():
                pinned[path] = str(refer(name, folder))
            else:
                sentence = f"must be a folder, was {source!r} (looked at {folder})"
                problems.append(Problem(spell(path), sentence))
        elif is_unpinned_input(source):
            stored = source.removeprefix("store://")
            latest = store.latest(stored)
            if latest is not None:
                pinned[path] = str(latest)
            elif put:
                sentence = f"must be in the store, was {source!r}; `xstilts put {stored} DIR` puts it there"
                problems.append(Problem(spell(path), sentence))
    if problems:
        raise SpecError(*problems)
    return with_sources(experiment, pinned)
