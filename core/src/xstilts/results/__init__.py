"""Results: from the scores of evaluate stages to the table of model x intermediate x target.

The primary answer stands apart, in `results.primary`: its statistics load scipy, which whoever sums up does without.
"""

from xstilts.results.combinations import Combination, Estimate, best, combinations
from xstilts.results.gather import Numbers, gather, results_of, rows, stored_scores
from xstilts.results.rows import Evaluation, Results, ScoreRow
from xstilts.results.table import summary_table

__all__ = [
    "Combination",
    "Estimate",
    "Evaluation",
    "Numbers",
    "Results",
    "ScoreRow",
    "best",
    "combinations",
    "gather",
    "results_of",
    "rows",
    "stored_scores",
    "summary_table",
]
