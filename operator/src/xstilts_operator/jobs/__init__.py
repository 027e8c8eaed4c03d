"""What is made of a decision to run something: the bodies of Jobs and Services. Pure."""

from xstilts_operator.jobs.lookup import Asked, indexes, lookup_job
from xstilts_operator.jobs.placement import gpus, placement, problems
from xstilts_operator.jobs.report import report_job, report_name
from xstilts_operator.jobs.service import stage_service
from xstilts_operator.jobs.stage import Attempt, stage_job

__all__ = [
    "Asked",
    "Attempt",
    "gpus",
    "indexes",
    "lookup_job",
    "placement",
    "problems",
    "report_job",
    "report_name",
    "stage_job",
    "stage_service",
]
