"""What decisions see: frozen, typed, and made of whatever stands in the cluster without ever raising."""

from xstilts_operator.views.claim import ClaimView, view_claim
from xstilts_operator.views.common import Condition, find_condition
from xstilts_operator.views.experiment import ExperimentView, view_experiment
from xstilts_operator.views.jobs import (
    JobView,
    PodView,
    Work,
    WorkloadView,
    view_job,
    view_pod,
    view_workload,
)
from xstilts_operator.views.stage import (
    AttemptView,
    Failure,
    Owner,
    StageState,
    StageView,
    Usage,
    view_stage,
)

__all__ = [
    "AttemptView",
    "ClaimView",
    "Condition",
    "ExperimentView",
    "Failure",
    "JobView",
    "Owner",
    "PodView",
    "StageState",
    "StageView",
    "Usage",
    "Work",
    "WorkloadView",
    "find_condition",
    "view_claim",
    "view_experiment",
    "view_job",
    "view_pod",
    "view_stage",
    "view_workload",
]
