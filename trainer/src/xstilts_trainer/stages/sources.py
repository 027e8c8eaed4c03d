"""What a stage reads: the folders behind its roles, verified, and their digests."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

from xstilts.errors import Problem, SpecError, StoreError
from xstilts.stage import EvaluateSpec, Stage, TrainSpec
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
        StoreError: a parent or an input is not in the store, or damaged.
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
            folders[role], digests[role] = _fetch_parent(stage.parents[role], role, store)
        else:
            folders[role], digests[role] = store.fetch_input(spec.inputs[role]), spec.inputs[role].digest
    return Sources(folders[model], folders, digests)


def _best_model(stage: Stage, store: Store) -> str:
    """The role of the model: after a sweep that with the highest dev score, of equals the smallest learning rate."""
    swept = {Decimal(role.removeprefix(SWEPT)): role for role in stage.parents if role.startswith(SWEPT)}
    if not swept:
        return MODEL
    scores = {
        rate: float(json.loads(store.read_bytes(stage.parents[role], DEV))["score"])
        for rate, role in sorted(swept.items())
    }
    return swept[max(scores, key=lambda rate: scores[rate])]


def _fetch_parent(key: str, role: str, store: Store) -> tuple[Path, str]:
    folder = store.fetch(key)
    manifest = store.lookup(key)
    if manifest is None:
        raise StoreError(
            Problem(f"parents.{role}", f"must be in the store, is not: {key}; run its stage again")
        )
    return folder, manifest.outputs_digest
