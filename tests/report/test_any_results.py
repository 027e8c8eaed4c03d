"""Whatever is missing, equal or alone: a report is made of it, and no number in it is silently none."""

from __future__ import annotations

import re
from random import Random

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from xstilts.catalogue.overlap import Relation, TrainingOverlap
from xstilts.report import Provenance, contents, render
from xstilts.report.pictures import pictures
from xstilts.results import Evaluation, Results, ScoreRow
from xstilts.results.rows import Answers, IntermediateTraits
from xstilts.results.text import to_json, to_markdown
from xstilts.spec import Analysis
from xstilts.stage import Family
from xstilts.task import Metric

METRICS = {"xnli": Metric.ACCURACY, "xquad": Metric.SQUAD, "tatoeba": Metric.ACCURACY}
NUMBERS = {Metric.ACCURACY: ["accuracy"], Metric.SQUAD: ["exact_match", "f1"]}
CODES = ("ar", "de", "en", "sw")
NO_NUMBER = re.compile(r"\b(nan|NaN|inf|Infinity|None)\b")


@st.composite
def results(draw) -> Results:
    """Some models, intermediates, targets and seeds, of which some cells, languages or answers are not there."""
    chance: Random = draw(st.randoms(use_true_random=False))
    models = ("a", "b", "c")[: draw(st.integers(1, 3))]
    names = (*(["none"] if draw(st.booleans()) else []), *("i", "j", "mix", "k")[: draw(st.integers(1, 4))])
    targets = draw(st.lists(st.sampled_from(list(METRICS)), min_size=1, unique=True))
    lacks = [draw(st.sampled_from([0.0, 0.0, 0.3])) for _ in range(3)]  # cells, languages, answers
    rows, answers, missing = [], {}, []
    for target in targets:
        codes = draw(st.lists(st.sampled_from(CODES), min_size=1, unique=True))
        items = draw(st.sampled_from([1, 2, 30]))
        clusters = tuple(
            draw(st.sampled_from([[0] * items, range(items), [item // 3 for item in range(items)]]))
        )
        share = draw(st.sampled_from([0.0, 0.5, 1.0]))
        seeds = range(draw(st.integers(1, 4)))
        cells = {
            Evaluation(model, name, target, None if (target, name) == ("tatoeba", "none") else seed)
            for model in models
            for name in names
            for seed in seeds
        }
        for cell in sorted(cells, key=str):
            if chance.random() < lacks[0]:
                missing.append(cell)
                continue
            right = {
                code: [chance.random() < share for _ in range(items)]
                for code in codes
                if code == codes[0] or chance.random() >= lacks[1]
            }
            rows += [
                ScoreRow(
                    cell.model, cell.intermediate, target, cell.seed, code, number, 100 * sum(of) / items
                )
                for code, of in right.items()
                for number in NUMBERS[METRICS[target]]
            ]
            if METRICS[target] is Metric.ACCURACY and chance.random() >= lacks[2]:
                answers[cell] = {
                    code: Answers("".join("01"[one] for one in of), clusters) for code, of in right.items()
                }
    return Results(
        experiment="any",
        models=dict.fromkeys(models, Family.MT5),
        intermediates=names,
        targets={target: METRICS[target] for target in targets},
        rows=tuple(rows),
        untrained=("tatoeba",),
        missing=tuple(missing),
        answers=answers,
        chance={"xnli": dict.fromkeys(CODES, 100 / 3)},
        relations={
            (name, target, code): Relation(TrainingOverlap.SAME, language_seen=code == "de")
            for name in ("i", "mix")
            for target in targets
            for code in CODES
        },
        traits={name: IntermediateTraits(("i", "j") if name == "mix" else (name,)) for name in names},
    )


@settings(max_examples=40)
@given(results(), st.sampled_from(["Holm", "BH"]))
def test_there_is_a_report_and_every_number_in_it_is_one(made, correction):
    analysis = Analysis(primary=("meanZeroShot", "transferGap", "worstLanguage"), correction=correction)
    with np.errstate(all="raise"):
        found = contents(made, analysis)
    assert found.answer.headlines
    page = render(found, Provenance({}, (), (), ()))
    tables = [found.summary, *found.primary_tables.values(), *found.tables.values()]
    for text in [
        re.sub("<(style|head)>.*?</(style|head)>", "", page, flags=re.DOTALL),
        to_json(made, found.primary),
        *map(to_markdown, tables),
        *pictures(found).values(),
    ]:
        assert not NO_NUMBER.search(text)
