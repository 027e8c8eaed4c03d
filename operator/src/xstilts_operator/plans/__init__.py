"""An experiment's plan, frozen: what was accepted stands in an immutable ConfigMap, and stages come from there alone.

So an upgrade with other defaults changes no key of an experiment that is under way.
"""

from xstilts_operator.plans.acceptance import accept
from xstilts_operator.plans.config_map import PLAN_FILE, config_map, thaw
from xstilts_operator.plans.document import FrozenStage, PlanDocument, PlanError, unpack

__all__ = [
    "PLAN_FILE",
    "FrozenStage",
    "PlanDocument",
    "PlanError",
    "accept",
    "config_map",
    "thaw",
    "unpack",
]
