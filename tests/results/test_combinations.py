"""From scores to the table: means, gap, worst language, deltas and spread, worked out by hand and in general."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xstilts.catalogue.overlap import Relation, TrainingOverlap
from xstilts.results import Estimate, Evaluation, Results, ScoreRow, best, combinations, summary_table
from xstilts.results.text import to_csv, to_json, to_latex, to_markdown
from xstilts.stage import Family
from xstilts.task import Metric

XNLI = {
    ("none", 1): {"en": 60.0, "sw": 40.0, "ur": 50.0},
    ("none", 2): {"en": 62.0, "sw": 44.0, "ur": 48.0},
    ("squad", 1): {"en": 61.0, "sw": 45.0, "ur": 51.0},
    ("squad", 2): {"en": 61.0, "sw": 43.0, "ur": 53.0},
}


def rows_of(scores, target="xnli", metric="accuracy"):
    return [
        ScoreRow("base", intermediate, target, seed, language, metric, value)
        for (intermediate, seed), languages in scores.items()
        for language, value in languages.items()
    ]


def make(rows, **changes) -> Results:
    results = Results(
        experiment="made",
        models={"base": Family.XLMR},
        intermediates=("none", "squad"),
        targets={"xnli": Metric.ACCURACY, "xquad": Metric.SQUAD, "tatoeba": Metric.ACCURACY},
        rows=tuple(rows),
    )
    return replace(results, **changes)


def test_the_best_is_the_highest_of_the_first_target():
    xquad = rows_of({("none", 1): {"en": 99.0}}, "xquad", "f1")
    exact = rows_of({("none", 1): {"en": 99.0}}, "xquad", "exact_match")
    assert best(combinations(make(rows_of(XNLI) + xquad + exact))) == "xnli 52.3 base/squad"
    assert best([]) == ""


def test_measures_over_languages_and_seeds():
    none, squad = combinations(make(rows_of(XNLI)))
    assert (none.model, none.intermediate, none.target, none.seeds) == ("base", "none", "xnli", (1, 2))
    assert none.score.mean == pytest.approx((50 + 154 / 3) / 2)
    assert none.english == Estimate(61.0, pytest.approx(2**0.5))
    assert none.zero_shot == Estimate(pytest.approx(45.5), pytest.approx(0.5**0.5))
    assert none.gap == Estimate(pytest.approx(15.5), pytest.approx(0.5**0.5))
    assert none.worst == "sw"
    assert none.languages["sw"].mean == 42.0
    assert list(none.languages) == ["en", "sw", "ur"]
    assert (none.delta, none.delta_zero_shot, none.delta_gap) == (None, None, None)
    assert squad.delta_zero_shot == Estimate(
        pytest.approx(2.5), pytest.approx(0.5**0.5)
    )  # 3 and 2: seed by seed
    assert squad.delta_languages["sw"] == Estimate(2.0, pytest.approx(18**0.5))
    assert none.delta_languages == {}
    assert squad.delta_gap.mean == pytest.approx(-2.5)
    assert squad.delta.mean == pytest.approx((7 / 3 + 1) / 2)


def test_one_seed_has_no_spread():
    [none] = combinations(make(rows_of({("none", 1): XNLI["none", 1]})))
    assert none.score == Estimate(50.0, None)


def test_a_delta_needs_the_baseline_of_the_same_seed():
    scores = {key: XNLI[key] for key in [("none", 1), ("squad", 2)]}
    assert combinations(make(rows_of(scores)))[1].delta is None
    alone = make(rows_of({("squad", 1): XNLI["squad", 1]}), intermediates=("squad",))
    assert combinations(alone)[0].delta is None


def test_qa_is_the_mean_of_exact_match_and_f1():
    rows = rows_of({("none", 1): {"en": 70.0, "zh": 40.0}}, "xquad", "f1")
    rows += rows_of({("none", 1): {"en": 50.0, "zh": 20.0}}, "xquad", "exact_match")
    [xquad] = combinations(make(rows))
    assert xquad.english.mean == 60.0
    assert xquad.score.mean == 45.0


def test_the_main_score_of_tagging_leaves_token_accuracy_out():
    rows = rows_of({("none", 1): {"en": 70.0}}, "udpos", "f1")
    rows += rows_of({("none", 1): {"en": 90.0}}, "udpos", "token_accuracy")
    [udpos] = combinations(make(rows, targets={"udpos": Metric.TAGGING_F1}))
    assert udpos.score.mean == 70.0
    assert udpos.zero_shot is None
    assert udpos.worst is None


def test_deterministic_retrieval_is_the_baseline_of_every_seed():
    scores = {("none", None): {"de": 90.0}, ("squad", 1): {"de": 80.0}, ("squad", 2): {"de": 84.0}}
    none, squad = combinations(make(rows_of(scores, "tatoeba")))
    assert none.seeds == ()
    assert none.english is None
    assert none.gap is None
    assert none.zero_shot == none.score == Estimate(90.0)
    assert squad.delta == Estimate(-8.0, pytest.approx(8**0.5))


def test_chance_is_a_mean_over_the_same_languages():
    chance = {"xnli": {"en": 33.0, "sw": 34.0, "ur": 35.0, "de": 50.0}}
    assert combinations(make(rows_of(XNLI), chance=chance))[0].chance == 34.0
    assert combinations(make(rows_of(XNLI), chance={"xnli": {"en": 33.0}}))[0].chance is None


def test_the_order_is_the_experiments():
    rows = rows_of(XNLI) + rows_of({("none", 1): {"de": 5.0}}, "tatoeba")
    found = [(row.intermediate, row.target) for row in combinations(make(reversed(rows)))]
    assert found == [("none", "xnli"), ("squad", "xnli"), ("none", "tatoeba")]


def test_the_table_says_what_it_shows():
    relations = {
        ("squad", "xnli", "en"): Relation(TrainingOverlap.PARTIAL, language_seen=False),
        ("squad", "xnli", "sw"): Relation(TrainingOverlap.PARTIAL, language_seen=True),
    }
    missing = tuple(Evaluation("base", "squad", "xquad", seed) for seed in range(10))
    table = summary_table(
        make(
            rows_of(XNLI),
            relations=relations,
            missing=missing,
            chance={"xnli": dict.fromkeys(["en", "sw", "ur"], 33.3)},
        )
    )
    assert table.title == "made (partial)"
    assert dict(zip([column.title for column in table.columns], table.rows[1], strict=True)) == {
        "model": "base",
        "intermediate": "squad",
        "target": "xnli",
        "seeds": "2",
        "chance": "33.3",
        "score": "52.3 ±0.0",
        "delta": "+1.7 ±0.9",
        "English": "61.0 ±0.0",
        "zero-shot": "48.0 ±0.0",
        "zero-shot delta": "+2.5 ±0.7",
        "gap": "+13.0 ±0.0",
        "worst": "sw 44.0",
        "relation": "overlap, seen: sw",
    }
    assert "Partial: evaluations without scores: 10 (base / squad / xquad, seed 0;" in table.notes[-1]
    assert table.notes[-1].endswith("and 2 more).")


def test_notes_say_what_the_numbers_cannot():
    def notes(**changes):
        return " ".join(summary_table(make(rows_of({("none", 1): XNLI["none", 1]}), **changes)).notes)

    assert "One seed" in notes()
    assert "translation pairs" in notes(models={"base": Family.E5})
    assert "translation pairs" not in notes()
    assert "BUCC 2018: the validation split" in notes(
        targets={"xnli": Metric.ACCURACY, "bucc2018": Metric.MINING_F1}
    )


def test_csv_holds_every_number():
    rows = rows_of(XNLI) + rows_of({("none", None): {"de": 5.25}}, "tatoeba")
    lines = list(csv.DictReader(io.StringIO(to_csv(make(rows)))))
    assert lines[0] == {
        "model": "base",
        "intermediate": "none",
        "target": "xnli",
        "seed": "1",
        "language": "en",
        "metric": "accuracy",
        "value": "60.0",
    }
    assert len(lines) == 13
    assert (lines[-1]["seed"], lines[-1]["value"]) == ("", "5.25")


def test_json_holds_scores_and_combinations():
    document = json.loads(to_json(make(rows_of(XNLI), missing=(Evaluation("base", "none", "xquad", 1),))))
    assert document["partial"] is True
    assert document["missing"] == [{"model": "base", "intermediate": "none", "target": "xquad", "seed": 1}]
    assert len(document["scores"]) == 12
    squad = document["combinations"][1]
    assert squad["overlap"] == "none"
    assert squad["languages"]["sw"] == {"mean": 44.0, "spread": pytest.approx(2**0.5)}


def test_markdown_and_latex_escape_what_they_must():
    odd = make(
        [replace(row, model="a|b_c") for row in rows_of(XNLI)],
        models={"a|b_c": Family.BERT},
    )
    markdown, latex = to_markdown(summary_table(odd)), to_latex(summary_table(odd))
    assert r"| xnli | a\|b_c | none | 50.7 ±0.9 |" in markdown
    assert "| --- | --- | --- | ---: |" in markdown
    assert r"xnli & a\textbar{}b\_c & none & 50.7 $\pm$0.9 & -- &" in latex
    assert latex.count(r"\\") == 3


@given(
    st.dictionaries(
        st.tuples(st.sampled_from(["none", "squad"]), st.integers(0, 3)),
        st.fixed_dictionaries({code: st.floats(0, 100) for code in ["en", "sw", "ur"]}),
        min_size=1,
    ),
    st.randoms(use_true_random=False),
)
def test_the_table_does_not_depend_on_the_order_of_scores(scores, rng):
    rows = rows_of(scores)
    shuffled = rng.sample(rows, len(rows))
    assert summary_table(make(rows)).rows == summary_table(make(shuffled)).rows
    for row in combinations(make(rows)):
        lowest, highest = (pick(e.mean for e in row.languages.values()) for pick in (min, max))
        assert lowest - 1e-9 <= row.score.mean <= highest + 1e-9
        assert row.gap.mean == pytest.approx(row.english.mean - row.zero_shot.mean)
        assert row.languages[row.worst].mean <= row.zero_shot.mean + 1e-9
