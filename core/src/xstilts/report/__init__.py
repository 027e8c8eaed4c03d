"""The report: one HTML page with an experiment's answer, figures and tables, and where every number comes from."""

from xstilts.report.contents import Contents, contents
from xstilts.report.files import PAGE, report_files
from xstilts.report.page import render
from xstilts.report.provenance import Provenance, StageRecord, collect

__all__ = [
    "PAGE",
    "Contents",
    "Provenance",
    "StageRecord",
    "collect",
    "contents",
    "render",
    "report_files",
]
