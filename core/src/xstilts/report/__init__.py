"""The report: one HTML page with an experiment's table, its languages, and where every number comes from."""

from xstilts.report.page import render
from xstilts.report.provenance import Provenance, StageRecord, collect

__all__ = ["Provenance", "StageRecord", "collect", "render"]
