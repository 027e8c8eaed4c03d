"""The report: one HTML page with an experiment's table, its languages, and where every number comes from."""

from xstilts.report.files import PAGE, report_files
from xstilts.report.page import render
from xstilts.report.provenance import Provenance, StageRecord, collect

__all__ = ["PAGE", "Provenance", "StageRecord", "collect", "render", "report_files"]
