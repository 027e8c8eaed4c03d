"""Statistics of transfer: intervals where seeds and test items are crossed, several tests at once, detectable effects."""

from xstilts.statistics.contrast import Interval, Term, interval, smallest_detectable
from xstilts.statistics.crossed_bootstrap import crossed_bootstrap, crossed_bootstraps
from xstilts.statistics.measures import LOG_ODDS, POINTS, Scale, Weights, mean_zero_shot, sample, transfer_gap
from xstilts.statistics.multiplicity import benjamini_hochberg, holm
from xstilts.statistics.sample import Sample, mean_over_tests

__all__ = [
    "LOG_ODDS",
    "POINTS",
    "Interval",
    "Sample",
    "Scale",
    "Term",
    "Weights",
    "benjamini_hochberg",
    "crossed_bootstrap",
    "crossed_bootstraps",
    "holm",
    "interval",
    "mean_over_tests",
    "mean_zero_shot",
    "sample",
    "smallest_detectable",
    "transfer_gap",
]
