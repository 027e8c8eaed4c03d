"""What is made of a decision to run something: the bodies of Jobs and Services. Pure."""

from xstilts_operator.jobs.allowlist import problems
from xstilts_operator.jobs.lookup import Asked, indexes, lookup_job
from xstilts_operator.jobs.report import report_job, report_name
from xstilts_operator.jobs.service import stage_service
from xstilts_operator.jobs.stage import Attempt, stage_job

__all__ = [
    "Asked",
    "Attempt",
    "indexes",
    "lookup_job",
    "problems",
    "report_job",
    "report_name",
    "stage_job",
    "stage_service",
]
