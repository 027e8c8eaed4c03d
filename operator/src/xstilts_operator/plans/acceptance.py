"""An experiment is planned once; what was accepted then stays, whatever a newer version would make of it."""

from __future__ import annotations

import gzip
from dataclasses import asdict
from importlib.metadata import version
from typing import Final

from xstilts.canonical import canonical_json
from xstilts.catalogue.recipes import RECIPE_VERSION
from xstilts.local.titles import title
from xstilts.plan import plan
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


def _freeze(experiment: Experiment, uid: str, image: str) -> PlanDocument:
    planned = plan(experiment, mark=f"{UNPINNED}{uid}")
    stages = [one for one in planned.stages if one.stage.kind is not Kind.REPORT]
    if len(stages) > STAGES_LIMIT:
        raise PlanError(
            "PlanTooLarge",
            f"an experiment must have at most {STAGES_LIMIT:,} stages, was {len(stages):,}; make several of it",
        )
    for one in stages:
        size = len(one.stage.to_json())
        if size > STAGE_LIMIT:
            raise PlanError(
                "PlanTooLarge",
                f"the stage '{title(one)}' must be at most {STAGE_LIMIT:,} bytes of JSON, was {size:,}: "
                "it names too many files or languages",
            )
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
