"""The plan: an experiment -> its stages, each once, with the cells that need it and what sharing saves."""

from xstilts.plan.grid import plan, report_stage
from xstilts.plan.model import Cell, Naive, Plan, PlannedStage

__all__ = ["Cell", "Naive", "Plan", "PlannedStage", "plan", "report_stage"]
