"""An experiment is planned once; what was accepted then stays, whatever a newer version would make of it."""

from __future__ import annotations

import gzip
from dataclasses import asdict
from importlib.metadata import version
from typing import Final

from xstilts.canonical import canonical_json
from xstilts.catalogue.recipes import RECIPE_VERSION
from xstilts.local.titles import title
from xstilts.plan import PlannedStage, plan
from xstilts.plan.sources import UNPINNED
from xstilts.spec import Experiment
from xstilts.stage import Kind
from xstilts_operator.plans.document import (
    PLAN_SCHEMA,
    UNPACKED_LIMIT,
    PlanDocument,
    PlanError,
    manifest,
    unpack,
)

STAGES_LIMIT: Final = 5_000
STAGE_LIMIT: Final = 100_000  # bytes of one stage: it travels as an annotation of its pods
BYTES_LIMIT: Final = 16_000_000  # of all stages; 5,000 of an ordinary grid have 5 million
LABELS_LIMIT: Final = 500_000  # cells, in all stages that they need
PACKED_LIMIT: Final = 1_000_000  # bytes; a ConfigMap holds 1 MiB


def accept(experiment: Experiment, uid: str, image: str, before: PlanDocument | None = None) -> PlanDocument:
    """The plan of an experiment: the one that was accepted before, where it covers it, else a new one.

    Args:
        experiment: checked, in its namespace.
        uid: of the TransferExperiment: it stands in the keys of what is not pinned.
        image: of the trainer.
        before: the plan that its stages come from so far. A new one must hold every preparation and training of it.

    Raises:
        SpecError: the experiment cannot be planned.
        PlanError: PlanTooLarge, or PlanUnsupported where this version would make other stages of what was accepted.
    """
    if before is not None and before.covers(experiment):
        return before
    document = _freeze(experiment, uid, image)
    if before is not None:
        _refuse_other_stages(before, document)
    return document


class _Growth:
    """What a plan has come to so far.

    It is held against the limits while it grows, and not once it is there: an experiment may ask for many times of
    what can be run, and nothing else is done meanwhile, in no namespace.
    """

    def __init__(self) -> None:
        self._keys: set[str] = set()
        self._made = self._bytes = self._labels = 0

    def add(self, one: PlannedStage) -> None:
        """Count a stage that has been made.

        Raises:
            PlanError: it is too large, or the plan is with it.
        """
        self._keys.add(one.key)
        self._made += 1
        self._bytes += _size(one)
        self._labels += len(one.labels) * (1 + len(one.stage.parents))  # they need its parents, too
        _refuse_more_than(STAGES_LIMIT, len(self._keys), "stages")
        # Models or intermediates that differ in their names alone make equal stages, which are work each time.
        _refuse_more_than(2 * STAGES_LIMIT, self._made, "stages, equal ones counted each time")
        _refuse_more_than(BYTES_LIMIT, self._bytes, "bytes of JSON in them")
        _refuse_more_than(LABELS_LIMIT, self._labels, "cells in all stages, each where it is needed")


def _refuse_more_than(most: int, had: int, what: str) -> None:
    if had > most:
        raise PlanError(
            "PlanTooLarge", f"an experiment must have at most {most:,} {what}, was more; make several of it"
        )


def _size(one: PlannedStage) -> int:
    size = len(one.stage.to_json())
    if size > STAGE_LIMIT:
        raise PlanError(
            "PlanTooLarge",
            f"the stage '{title(one)}' must be at most {STAGE_LIMIT:,} bytes of JSON, was {size:,}: "
            "it names too many files or languages",
        )
    return size


def _freeze(experiment: Experiment, uid: str, image: str) -> PlanDocument:
    planned = plan(experiment, f"{UNPINNED}{uid}", watch=_Growth().add)
    stages = [one for one in planned.stages if one.stage.kind is not Kind.REPORT]
    _refuse_more_than(STAGES_LIMIT, len(stages), "stages")
    for one in planned.of_kind(Kind.PREPARE):
        _size(one)
    index = {cell: number for number, cell in enumerate(planned.cells())}
    numbers = {one.key: number for number, one in enumerate(stages)}
    text = canonical_json(
        {
            "schema": PLAN_SCHEMA,
            "version": version("xstilts"),
            "recipeVersion": RECIPE_VERSION,
            "image": image,
            "experiment": manifest(experiment),
            "stages": [
                {
                    "stage": one.stage.model_dump(mode="json"),
                    "title": title(one),
                    "cells": sorted(index[cell] for cell in one.labels),
                    "unpinned": one.unpinned,
                }
                for one in stages
            ],
            "cells": [[cell.model, cell.intermediate, cell.target, cell.seed] for cell in index],
            "evaluations": [numbers[key] for key in planned.evaluations.values()],
            "naive": asdict(planned.naive),
        }
    )
    packed = gzip.compress(text, mtime=0)
    if len(packed) > PACKED_LIMIT or len(text) > UNPACKED_LIMIT:
        raise PlanError(
            "PlanTooLarge",
            f"a plan must be at most {PACKED_LIMIT:,} bytes, packed, was {len(packed):,}; make several experiments",
        )
    return unpack(packed)


def _refuse_other_stages(before: PlanDocument, document: PlanDocument) -> None:
    kept = {stage.key for stage in before.stages.values() if stage.kind in {Kind.PREPARE, Kind.TRAIN}}
    other = kept - document.stages.keys()
    if other:
        raise PlanError(
            "PlanUnsupported",
            f"it was planned by version {before.version} (recipes {before.recipe_version}); version "
            f"{document.version} (recipes {document.recipe_version}) would do {len(other)} of its {len(kept)} "
            "preparations and trainings otherwise, so that new cells could not be compared with old ones: take them "
            "out again, and make a new experiment for them",
        )
