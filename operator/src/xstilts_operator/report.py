"""`python -m xstilts_operator.report PLAN OUTPUTS [DROPS]`: an experiment's page and tables, from what its store holds.

OUTPUTS says what the evaluations have answered: the first digits of their keys and outputs digests. What the store holds must
be that. DROPS lists the first digits of the keys of those trainings of the plan that give up their weights once it is written.
"""

from __future__ import annotations

import json
import sys
import traceback
from collections.abc import Collection, Iterator, Mapping
from datetime import datetime
from pathlib import Path

from xstilts.errors import Problem, StoreError
from xstilts.report import PAGE, report_files
from xstilts.results import gather
from xstilts.stage import Kind, StageFailure
from xstilts.store import Store
from xstilts_operator.answers import PREFIX, REPORT_SCHEMA, ReportAnswer, to_message
from xstilts_operator.companion import Task, run
from xstilts_operator.plans import PlanDocument


def write(task: Task) -> bytes:
    """Write the report; returns the message.

    Raises:
        StoreError: the store does not hold what the evaluations have answered.
    """
    document, store = task.document, task.store
    problems = list(differences(document, store, json.loads(Path(task.arguments[0]).read_bytes())))
    if problems:
        raise StoreError(*problems)
    plan = document.plan()
    experiment = document.experiment()
    results = gather(experiment, plan, store)
    titles = {stage.key: stage.title for stage in document.stages.values()}
    began = datetime.fromisoformat(task.environment["XSTILTS_STARTED"])
    files = report_files(
        results,
        plan,
        store,
        analysis=experiment.spec.analysis,
        titles=titles,
        ran=_made_since(began, document, store),
    )
    store.write_report(document.name, files)
    if len(task.arguments) > 1:
        drop(document, store, json.loads(Path(task.arguments[1]).read_bytes()))
    return to_message(
        ReportAnswer(
            schema_=REPORT_SCHEMA,
            plan=task.plan,
            path=f"reports/{document.name}/{PAGE}",
            partial=results.partial,
        )
    )


def drop(document: PlanDocument, store: Store, prefixes: Collection[str]) -> None:
    """Drop the weights of these trainings of the plan.

    Where one cannot be dropped it stays, and those after it: the report is written, and does not fail by it.
    """
    try:
        for stage in document.of_kind(Kind.TRAIN):
            if stage.key[:PREFIX] in prefixes:
                store.drop(stage.key)
    except Exception:  # noqa: BLE001 - whatever it was: see above
        traceback.print_exc()


def differences(document: PlanDocument, store: Store, outputs: Mapping[str, str]) -> Iterator[Problem]:
    """The evaluations whose artifacts are not those that were answered; `outputs` is prefix -> prefix."""
    for stage in document.of_kind(Kind.EVALUATE):
        said = outputs.get(stage.key[:PREFIX])
        if said is None:
            continue
        manifest = store.lookup(stage.key)
        if manifest is None:
            yield Problem(stage.title, f"must be in the store as artifact {stage.key}, is not (any more)")
        elif not manifest.outputs_digest.startswith(said):
            yield Problem(
                stage.title,
                f"must have the outputs digest that its stage answered, {said}…, has {manifest.outputs_digest} "
                f"(artifact {stage.key})",
            )


def _made_since(began: datetime, document: PlanDocument, store: Store) -> set[str]:
    """The stages that were not in the store when the experiment began."""
    found = (store.record(key) for key in document.stages)
    return {one.manifest.key for one in found if one is not None and one.manifest.created_at >= began}


def _failed(plan: str, error: StageFailure) -> bytes:
    return to_message(ReportAnswer(schema_=REPORT_SCHEMA, plan=plan, error=error))


if __name__ == "__main__":
    sys.exit(run(write, _failed, sys.argv[1:]))
