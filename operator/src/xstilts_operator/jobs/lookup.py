"""The Job that asks the store which stages of a plan it holds: as many indexes as their answers need."""

from __future__ import annotations

from typing import Final

from xstilts_operator.actions import Object, Reference
from xstilts_operator.jobs.companion import companion_job
from xstilts_operator.jobs.pod import completion_index
from xstilts_operator.plans import PlanDocument
from xstilts_operator.settings import Settings, StoreSettings

LOOKUP: Final = "lookup"
ANSWER_BYTES: Final = 3_500  # of found stages in one answer; a message holds 4,096 bytes
_AT_ONCE: Final = 8


def indexes(document: PlanDocument) -> int:
    """How many indexes a plan's answers need, if the store held all of its stages.

    Each asks for every n-th key of `document.by_answer`, longest answers first: so no share is longer than the mean and
    one answer more. An answer that is too long by itself gets an index to share with as little as possible.
    """
    sizes = [document.stages[key].answer for key in document.by_answer]
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
) -> Object:
    """The lookup of a plan, which is the name of its ConfigMap; the experiment controls it."""
    number = indexes(document)
    return companion_job(
        experiment,
        plan,
        LOOKUP,
        LOOKUP,
        store,
        settings,
        environment={"XSTILTS_INDEX": completion_index(), "XSTILTS_INDEXES": str(number)},
        pods=number,
        parallel=_AT_ONCE,
        queue=queue,
    )
