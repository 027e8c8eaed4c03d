"""What a stage reads: the folders behind its roles, verified, and their digests."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

from xstilts.errors import ParentError, Problem, SpecError, StoreError
from xstilts.plan.sources import is_unpinned
from xstilts.stage import EvaluateSpec, InputRef, Stage, TrainSpec
from xstilts.store import Store

MODEL = "model"
SWEPT = "model."  # then the learning rate of the stage that made it
DEV = "dev.json"


@dataclass(frozen=True)
class Sources:
    """The model's folder; the folder of each role of data; the digest of what each role names."""

    model: Path
    folders: Mapping[str, Path]
    digests: Mapping[str, str]


def fetch_sources(stage: Stage, spec: TrainSpec | EvaluateSpec, store: Store) -> Sources:
    """Fetch all that a stage names, every file's hash verified. Of several models the best on dev is taken.

    Raises:
        SpecError: a role that the spec uses is neither a parent nor an input.
        ParentError: a parent is not in the store, or was damaged and is set aside.
        StoreError: an input is not in the store, or was damaged and is set aside.
    """
    model = _best_model(stage, store)
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
    return Sources(folders[model], folders, digests)


def _best_model(stage: Stage, store: Store) -> str:
    """The role of the model: after a sweep that with the highest dev score, of equals the smallest learning rate."""
    swept = {Decimal(role.removeprefix(SWEPT)): role for role in stage.parents if role.startswith(SWEPT)}
    if not swept:
        return MODEL
    scores = {}
    for rate, role in sorted(swept.items()):
        with _of_parent(stage, role):
            scores[rate] = float(json.loads(store.read_bytes(stage.parents[role], DEV))["score"])
    return swept[max(scores, key=lambda rate: scores[rate])]


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
