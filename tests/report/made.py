"""Results with every part that a report can show."""

from __future__ import annotations

import numpy as np

from xstilts.catalogue.overlap import Relation, TrainingOverlap
from xstilts.results import Evaluation, Results, ScoreRow
from xstilts.results.rows import Answers, ChosenRate, IntermediateTraits
from xstilts.stage import Family
from xstilts.task import Metric

LANGUAGES = ("ar", "de", "en", "sw", "ur")
NAMES = ("none", "mnli", "squad", "mnli-mlm")


def results() -> Results:
    """Two models, three seeds, answers, relations, a collapsed seed, swept rates, something missing."""
    draw = np.random.default_rng(0)
    answers, rows = {}, []
    for model in ("mt5-base", "mt5-large"):
        for name in NAMES:
            for seed in (1, 2, 3):
                share = 1 / 3 if (model, name, seed) == ("mt5-large", "squad", 2) else 0.7
                cell = Evaluation(model, name, "xnli", seed)
                right = {code: draw.random(90) < share for code in LANGUAGES}
                answers[cell] = {
                    code: Answers(
                        "".join("01"[int(one)] for one in of), tuple(np.repeat(np.arange(30), 3).tolist())
                    )
                    for code, of in right.items()
                }
                rows += [
                    ScoreRow(model, name, "xnli", seed, code, "accuracy", 100 * float(of.mean()))
                    for code, of in right.items()
                ]
                rows += [
                    ScoreRow(model, name, "xquad", seed, code, metric, float(40 + 9 * draw.random()))
                    for code in ("ar", "de", "en")
                    for metric in ("exact_match", "f1")
                ]
    return Results(
        experiment="made",
        models={"mt5-base": Family.MT5, "mt5-large": Family.MT5},
        intermediates=NAMES,
        targets={"xnli": Metric.ACCURACY, "xquad": Metric.SQUAD},
        rows=tuple(rows),
        answers=answers,
        missing=(Evaluation("mt5-large", "squad", "xquad", 4),),
        chance={"xnli": dict.fromkeys(LANGUAGES, 100 / 3)},
        relations={
            ("mnli", "xnli", code): Relation(TrainingOverlap.SAME, language_seen=code == "de")
            for code in LANGUAGES
        },
        traits={
            "mnli": IntermediateTraits(("mnli",)),
            "squad": IntermediateTraits(("squad",)),
            "mnli-mlm": IntermediateTraits(("mnli",), "continued MLM"),
        },
        rates=tuple(
            ChosenRate(
                model, name, "target", ("xnli",), seed, "5e-4", {"5e-4": 71.5, "0.001": 71.0, "0.003": 60.0}
            )
            for model in ("mt5-base", "mt5-large")
            for name in NAMES
            for seed in (1, 2, 3)
        ),
        pretrained={"mt5-base": "google/mt5-base", "mt5-large": "google/mt5-large"},
    )
