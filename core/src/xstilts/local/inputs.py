"""What an experiment file leaves open of its inputs: pinned before a run, so that every stage reads the same bytes."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path

from xstilts.errors import Problem, SpecError
from xstilts.plan import plan
from xstilts.plan.rows import check_files
from xstilts.spec import Experiment, is_path, is_unpinned_input, named_sources, with_sources
from xstilts.spec.words import spell
from xstilts.stage import InputRef
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
            if (base / source).is_dir():
                pinned[path] = str(refer(name, base / source))
            else:
                problems.append(_no_folder(path, source, base))
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


def check_folders(experiment: Experiment, base: Path) -> None:
    """Check that the folders which an experiment names by their paths are there, with every file that its stages read.

    Nothing is hashed and no store is asked.

    Raises:
        SpecError: it cannot be planned, or what is missing, all of it.
    """
    named = [one for one in named_sources(experiment) if is_path(one.source)]
    problems = [_no_folder(one.path, one.source, base) for one in named if not (base / one.source).is_dir()]
    if problems:
        raise SpecError(*problems)
    # any digest makes a path an input that can be planned with; the path's own tells two of one name apart
    refs = [InputRef(name=one.name, digest=sha256(one.source.encode()).hexdigest()) for one in named]
    folders = {ref: base / one.source for ref, one in zip(refs, named, strict=True)}
    planned = plan(
        with_sources(experiment, {one.path: str(ref) for ref, one in zip(refs, named, strict=True)})
    )

    def files(ref: InputRef) -> list[str] | None:
        return [one.name for one in folders[ref].iterdir()] if ref in folders else None

    check_files([one.stage for one in planned.stages], files, all_there=False)


def _no_folder(path: tuple[str | int, ...], source: str, base: Path) -> Problem:
    return Problem(spell(path), f"must be a folder, was {source!r} (looked at {base / source})")
