"""Scores of predictions, pure: one metric a file; XTREME's submission form and its averages."""

from xstilts.scoring.compact import headline, main_scores, rounded, whole_scores
from xstilts.scoring.metrics import MAIN, main_score, score
from xstilts.scoring.squad_v2 import Guess
from xstilts.scoring.submission import read_gold, read_predictions, submission_path, write_predictions
from xstilts.scoring.xtreme import TASKS, XtremeScores, score_submission

__all__ = [
    "MAIN",
    "TASKS",
    "Guess",
    "XtremeScores",
    "headline",
    "main_score",
    "main_scores",
    "read_gold",
    "read_predictions",
    "rounded",
    "score",
    "score_submission",
    "submission_path",
    "whole_scores",
    "write_predictions",
]
