"""Results: from the scores of evaluate stages to the table of model x intermediate x target."""

from xstilts.results.combinations import Combination, Estimate, combinations
from xstilts.results.gather import Numbers, gather, results_of, rows
from xstilts.results.primary import PrimaryRow, primary
from xstilts.results.primary_table import primary_table
from xstilts.results.rows import Evaluation, Results, ScoreRow
from xstilts.results.table import summary_table

__all__ = [
    "Combination",
    "Estimate",
    "Evaluation",
    "Numbers",
    "PrimaryRow",
    "Results",
    "ScoreRow",
    "combinations",
    "gather",
    "primary",
    "primary_table",
    "results_of",
    "rows",
    "summary_table",
]
