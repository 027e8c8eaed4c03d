"""What need not run: a stage that nothing which is still missing depends on."""

from __future__ import annotations

from collections.abc import Mapping

from xstilts.local.schedule import required
from xstilts_operator.plans import PlanDocument
from xstilts_operator.views import StageView


def needed(plan: PlanDocument, stages: Mapping[str, StageView]) -> frozenset[str]:
    """The keys that must run: evaluations without scores, and what they need that is not there.

    `stages` is by key.
    """
    done = {key for key, stage in stages.items() if stage.succeeded}
    return required(plan.stages.values(), done)
