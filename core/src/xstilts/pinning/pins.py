"""What an experiment file leaves open, and what it can be pinned to: commits of the hub, digests of the store."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path as FilePath

from xstilts.errors import Problem, SpecError
from xstilts.hub import current_commit
from xstilts.pinning.edit import Value, set_values
from xstilts.plan import plan
from xstilts.spec import Experiment, is_hub_id, is_path, named_sources, parse_experiment
from xstilts.spec.words import Path, spell
from xstilts.stage import InputRef, Kind
from xstilts.store import Store

_STORE_SOURCE = re.compile(r"store://(?P<name>[^@/]+)(@sha256:(?P<digest>[0-9a-f]{64}))?")
DATA_REVISIONS: Path = ("spec", "dataRevisions")


@dataclass(frozen=True)
class Pin:
    """A value that a field should have, and what it stands for; None: to be asked of the hub."""

    field: str
    what: str
    value: str | None


def find_pins(text: str, source: str, folder: FilePath, store: Store) -> list[Pin]:
    """What is not pinned, without asking the hub and without putting anything.

    Raises:
        SpecError: the experiment is not valid, or a folder or an input that it names is not there.
    """
    inputs = _Inputs(folder, store, put=False)
    values = inputs.pins(parse_experiment(text, source))
    pins = [Pin(spell(path), inputs.was[path], value) for path, value in values.items()]
    experiment = parse_experiment(set_values(text, values, source), source)
    pins += [Pin(spell(path), repository, None) for path, repository in _open_models(experiment)]
    pins += [
        Pin(spell((*DATA_REVISIONS, repository)), repository, None) for repository in _open_data(experiment)
    ]
    return pins


def pin(text: str, source: str, folder: FilePath, store: Store) -> tuple[str, list[Pin]]:
    """The text with everything pinned, and the pins that were set. Plain paths are put into the store.

    Raises:
        SpecError: the experiment is not valid, or something that it names is not there; all problems of a kind together.
        StoreError: a folder cannot be put into the store.
        UnavailableError: the hub does not answer.
    """
    inputs = _Inputs(folder, store, put=True)
    found: dict[Path, str] = inputs.pins(parse_experiment(text, source))
    pins = [Pin(spell(path), inputs.was[path], value) for path, value in found.items()]
    text = set_values(text, found, source)
    experiment = parse_experiment(text, source)
    values: dict[Path, Value] = {}
    for path, repository in _open_models(experiment):
        commit = current_commit("models", repository, "main", spell(path))
        values[path] = commit
        pins.append(Pin(spell(path), repository, commit))
    revisions: dict[str, str] = {}
    for repository, branch in _open_data(experiment).items():
        field = spell((*DATA_REVISIONS, repository))
        revisions[repository] = current_commit("datasets", repository, branch, field)
        pins.append(Pin(field, repository, revisions[repository]))
    if revisions:
        values[DATA_REVISIONS] = revisions
    text = set_values(text, values, source)
    parse_experiment(text, source)
    return text, pins


def _open_models(experiment: Experiment) -> Iterator[tuple[Path, str]]:
    for index, model in enumerate(experiment.spec.models):
        if model.revision is None and is_hub_id(model.pretrained):
            yield ("spec", "models", index, "revision"), model.pretrained


def _open_data(experiment: Experiment) -> dict[str, str]:
    """Repository -> branch of the hub's data sets that the experiment reads without a commit."""
    return {
        rows["repository"]: rows.get("reference") or "main"
        for planned in plan(experiment).of_kind(Kind.PREPARE)
        for file in planned.stage.spec.get("files", ())
        for rows in file["slices"]
        if rows.get("revision") is None
    }


class _Inputs:
    """Plain paths and `store://` sources of a file, and the inputs of the store that they are."""

    def __init__(self, folder: FilePath, store: Store, *, put: bool) -> None:
        self._folder = folder
        self._store = store
        self._ref_of: Callable[[str, FilePath], InputRef] = store.put if put else store.reference
        self._named: dict[str, InputRef] = {}
        self.was: dict[Path, str] = {}

    def pins(self, experiment: Experiment) -> dict[Path, str]:
        """The values that fields should have, for those that have another.

        Raises:
            SpecError: a source is not there; all such together.
        """
        pins: dict[Path, str] = {}
        problems: list[Problem] = []
        for path, name, source in named_sources(experiment):
            try:
                ref = self._ref(name, source)
                if ref is not None and str(ref) != source:
                    self._claim(ref)
                    pins[path] = str(ref)
                    self.was[path] = source
            except _FaultError as fault:
                problems.append(Problem(spell(path), str(fault)))
        if problems:
            raise SpecError(*problems)
        return pins

    def _ref(self, name: str, source: str) -> InputRef | None:
        """The input that a source is now; None where there is nothing to say."""
        if is_path(source):
            folder = self._folder / source
            if not folder.is_dir():
                raise _FaultError(f"must be a folder, was {source!r} (looked at {folder})")
            return self._ref_of(name, folder)
        stored = _STORE_SOURCE.fullmatch(source)
        if stored is None:
            return None
        latest = self._store.latest(stored["name"])
        if latest is None and stored["digest"] is None:
            raise _FaultError(
                f"must be in the store, was {source!r}; `xstilts put {stored['name']} DIR` puts it there"
            )
        return latest

    def _claim(self, ref: InputRef) -> None:
        if self._named.setdefault(ref.name, ref) != ref:
            raise _FaultError(f"must have a name of its own: {ref.name!r} is another source of this file")


class _FaultError(Exception):
    """What is wrong with one source."""
