"""The Job that asks the store which stages of a plan it holds: as many indexes as their answers need."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from xstilts_operator.actions import Object, Reference
from xstilts_operator.jobs.companion import companion_job
from xstilts_operator.jobs.pod import Volume, completion_index
from xstilts_operator.plans import PLAN_FILE, PlanDocument
from xstilts_operator.settings import Settings, StoreSettings

LOOKUP: Final = "lookup"
ANSWER_BYTES: Final = 3_500  # of found stages in one answer; a message holds 4,096 bytes
_AT_ONCE: Final = 8
_FOLDER: Final = "/etc/xstilts/asked"


@dataclass(frozen=True)
class Asked:
    """A plan that the store has answered for, and the name of its ConfigMap."""

    plan: str
    document: PlanDocument


def indexes(document: PlanDocument, before: PlanDocument | None = None) -> int:
    """How many indexes a plan's answers need, if the store held all of its stages.

    Each asks for every n-th key of `document.questions(before)`, longest answers first: so no share is longer than the
    mean and one answer more. An answer that is too long by itself gets an index to share with as little as possible.
    """
    sizes = [document.stages[key].answer for key in document.questions(before)]
    number = max(1, -(-sum(sizes) // ANSWER_BYTES))
    while number < len(sizes) and max(sum(sizes[index::number]) for index in range(number)) > max(
        ANSWER_BYTES, sizes[0]
    ):
        number += 1
    return number


def lookup_job(
    experiment: Reference,
    plan: str,
    document: PlanDocument,
    store: StoreSettings,
    settings: Settings,
    queue: str | None = None,
    before: Asked | None = None,
) -> Object:
    """The lookup of a plan, which is the name of its ConfigMap; the experiment controls it.

    What is in the plan `before` too, for which the store has answered, is not asked for again.
    """
    number = indexes(document, before.document if before else None)
    return companion_job(
        experiment,
        plan,
        LOOKUP,
        LOOKUP,
        store,
        settings,
        arguments=(f"{_FOLDER}/{PLAN_FILE}",) if before else (),
        volumes=[Volume("asked", _FOLDER, {"configMap": {"name": before.plan}})] if before else (),
        environment={"XSTILTS_INDEX": completion_index(), "XSTILTS_INDEXES": str(number)},
        pods=number,
        parallel=_AT_ONCE,
        queue=queue,
    )
