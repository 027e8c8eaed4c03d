"""Results: from the scores of evaluate stages to the table of model x intermediate x target.

The primary answer stands apart, in `results.primary`: its statistics load scipy, which whoever sums up does without.
"""

from xstilts.results.combinations import Combination, Estimate, combinations
from xstilts.results.gather import Numbers, gather, results_of, rows
from xstilts.results.rows import Evaluation, Results, ScoreRow
from xstilts.results.table import summary_table

__all__ = [
    "Combination",
    "Estimate",
    "Evaluation",
    "Numbers",
    "Results",
    "ScoreRow",
    "combinations",
    "gather",
    "results_of",
    "rows",
    "summary_table",
]
