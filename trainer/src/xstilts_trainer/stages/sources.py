"""What a stage reads: the folders behind its roles, verified, and their digests."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

from xstilts.decimals import canonical_decimal
from xstilts.errors import ParentError, Problem, SpecError, StoreError
from xstilts.plan.sources import is_unpinned
from xstilts.stage import EvaluateSpec, InputRef, Stage, TrainSpec
from xstilts.store import Store

MODEL = "model"
SWEPT = "model."  # then the learning rate of the stage that made it
DEV = "dev.json"
SELECTION = "selection.json"


@dataclass(frozen=True)
class Candidate:
    """A training of a sweep: the key of its stage, and its English dev score as dev.json spells it."""

    key: str
    score: str


@dataclass(frozen=True)
class Choice:
    """Which training of a sweep is begun from, and all that it was chosen from, by learning rate."""

    learning_rate: Decimal
    candidates: Mapping[Decimal, Candidate]

    @classmethod
    def of(cls, candidates: Mapping[Decimal, Candidate]) -> Choice:
        """The highest score; of equals the smallest learning rate."""
        return cls(max(sorted(candidates), key=lambda rate: float(candidates[rate].score)), candidates)

    def to_json(self) -> dict[str, Any]:
        """`selection.json`: the rate that was chosen, and of each rate the stage and its English dev score."""
        return {
            "learningRate": _spelt(self.learning_rate),
            "candidates": [
                {"learningRate": _spelt(rate), "dev": candidate.score, "stage": candidate.key}
                for rate, candidate in sorted(self.candidates.items())
            ],
        }


@dataclass(frozen=True)
class Sources:
    """The model's folder; the folder of each role of data; the digest of what each role names.

    `choice` is how the model was chosen, where it comes from a sweep.
    """

    model: Path
    folders: Mapping[str, Path]
    digests: Mapping[str, str]
    choice: Choice | None = None

    def write_choice(self, folder: Path) -> None:
        """Write `selection.json`, where there was something to choose."""
        if self.choice is not None:
            text = json.dumps(self.choice.to_json(), indent=2) + "\n"
            (folder / SELECTION).write_text(text, encoding="utf-8")


def fetch_sources(stage: Stage, spec: TrainSpec | EvaluateSpec, store: Store) -> Sources:
    """Fetch all that a stage names, every file's hash verified. Of several models the best on dev is taken.

    Raises:
        SpecError: a role that the spec uses is neither a parent nor an input.
        ParentError: a parent is not in the store, or was damaged and is set aside.
        StoreError: an input is not in the store, or was damaged and is set aside.
    """
    choice = _choice(stage, store)
    model = MODEL if choice is None else _swept(stage)[choice.learning_rate]
    roles = {model: "spec.model"}
    for index, data in enumerate(spec.data):
        roles.setdefault(data.role, f"spec.data[{index}].role")
    if isinstance(spec, TrainSpec):
        for index, selection in enumerate(spec.selection):
            if selection.data is not None:
                roles.setdefault(selection.data.role, f"spec.selection[{index}].data.role")
        if spec.continued_pretraining is not None:
            for index, corpus in enumerate(spec.continued_pretraining.corpora):
                roles.setdefault(corpus.role, f"spec.continuedPretraining.corpora[{index}].role")
    unknown = [
        Problem(place, f"must be a parent or an input of the stage, was {role}")
        for role, place in roles.items()
        if role not in stage.parents and role not in spec.inputs
    ]
    if unknown:
        raise SpecError(*unknown)
    folders, digests = {}, {}
    for role in roles:
        if role in stage.parents:
            with _of_parent(stage, role):
                folders[role], digests[role] = _fetch_parent(stage.parents[role], store)
        else:
            folders[role], digests[role] = _fetch_input(spec.inputs[role], store)
    return Sources(folders[model], folders, digests, choice)


def _swept(stage: Stage) -> dict[Decimal, str]:
    """The roles of a sweep's models by their learning rates."""
    return {Decimal(role.removeprefix(SWEPT)): role for role in stage.parents if role.startswith(SWEPT)}


def _choice(stage: Stage, store: Store) -> Choice | None:
    """What a sweep comes to; None where there was none.

    Raises:
        SpecError: a training of it has not been scored on dev.
    """
    candidates = {}
    for rate, role in _swept(stage).items():
        key = stage.parents[role]
        with _of_parent(stage, role):
            score = json.loads(store.read_bytes(key, DEV))["score"]
        if score is None:
            raise SpecError(
                Problem(f"parents.{role}", "must have a dev score to be chosen by: set its spec.selection")
            )
        candidates[rate] = Candidate(key, score)
    return Choice.of(candidates) if candidates else None


def _spelt(rate: Decimal) -> str:
    return canonical_decimal(str(rate))


def _fetch_input(ref: InputRef, store: Store) -> tuple[Path, str]:
    """One without a digest is what was put last of its name when a stage of the experiment first read it."""
    found = store.pinned(ref.name, ref.digest) if is_unpinned(ref.digest) else ref
    if found is None:
        raise StoreError(
            f"store://{ref.name} must be in the store, is not; put it with `xstilts put {ref.name} FOLDER`"
        )
    return store.fetch_input(found), found.digest


def _fetch_parent(key: str, store: Store) -> tuple[Path, str]:
    folder = store.fetch(key)
    manifest = store.lookup(key)
    if manifest is None:
        raise StoreError(f"artifact {key} must be in the store, is not (any more); run its stage again")
    return folder, manifest.outputs_digest


@contextmanager
def _of_parent(stage: Stage, role: str) -> Iterator[None]:
    """What the store says in here against an artifact is said of the stage's parent."""
    try:
        yield
    except StoreError as error:
        problems = (
            Problem(problem.field or f"parents.{role}", problem.message) for problem in error.problems
        )
        raise ParentError(stage.parents[role], *problems) from None
