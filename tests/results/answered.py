"""Results of XNLI whose answers to every item are drawn."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from xstilts.catalogue.overlap import Relation, TrainingOverlap
from xstilts.results import Evaluation, Results, ScoreRow
from xstilts.results.rows import Answers
from xstilts.stage import Family
from xstilts.statistics import (
    sample,
)
from xstilts.task import Metric

LANGUAGES = ("de", "en", "sw")
CLUSTERS = tuple(np.repeat(np.arange(20), 3).tolist())
RELATIONS = {
    ("mnli", "xnli", language): Relation(TrainingOverlap.SAME, language_seen=False) for language in LANGUAGES
}


def results(
    models=("base", "large"), seeds=(1, 2, 3), intermediates=("none", "mnli"), clusters=None, **changes
):
    draw = np.random.default_rng(0)
    answers = {
        Evaluation(model, intermediate, "xnli", seed): {
            language: Answers(
                "".join(map(str, draw.integers(0, 2, 60))), (clusters or {}).get(language, CLUSTERS)
            )
            for language in LANGUAGES
        }
        for model in models
        for intermediate in intermediates
        for seed in seeds
    }
    rows = tuple(
        ScoreRow(
            cell.model,
            cell.intermediate,
            cell.target,
            cell.seed,
            language,
            "accuracy",
            100 * of.right.count("1") / len(of.right),
        )
        for cell, languages in answers.items()
        for language, of in languages.items()
    )
    return Results(
        experiment="one",
        models=dict.fromkeys(models, Family.MT5),
        intermediates=intermediates,
        targets={"xnli": Metric.ACCURACY},
        rows=rows,
        **{"answers": answers, "relations": RELATIONS, **changes},
    )


def delta(made, model, weights, intermediate="mnli"):
    both = []
    for name in (intermediate, "none"):
        cells = [made.answers[Evaluation(model, name, "xnli", seed)] for seed in (1, 2, 3)]
        right = {
            language: np.array([[digit == "1" for digit in cell[language].right] for cell in cells])
            for language in LANGUAGES
        }
        both.append(sample(right, dict.fromkeys(LANGUAGES, np.array(CLUSTERS)), weights))
    return both[0] - both[1]


def without(made, *cells):
    """The results before some (model, intermediate) have been scored."""
    return replace(
        made,
        answers={
            cell: of for cell, of in made.answers.items() if (cell.model, cell.intermediate) not in cells
        },
        rows=tuple(row for row in made.rows if (row.model, row.intermediate) not in cells),
    )
