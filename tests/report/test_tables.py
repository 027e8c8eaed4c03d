"""The report's tables: published scores beside ours with the reasons against it, and what a mix lacks."""

from __future__ import annotations

import csv
import io
import re
from dataclasses import replace

import pyarrow.parquet
import pytest

from xstilts.catalogue import CATALOGUE, INTERMEDIATES
from xstilts.catalogue.published import PUBLISHED
from xstilts.plan import plan
from xstilts.report import report_files
from xstilts.report.contents import contents
from xstilts.report.published import comparable
from xstilts.report.tables import report_tables
from xstilts.results import Results, ScoreRow, summary_table
from xstilts.results.measured import Measured
from xstilts.results.pivot import pivot_tables
from xstilts.results.primary import Cells, primary
from xstilts.results.primary_table import primary_table
from xstilts.results.rows import ChosenRate, IntermediateTraits
from xstilts.results.text import to_latex
from xstilts.spec import Analysis, parse_experiment
from xstilts.stage import Family
from xstilts.store import Store
from xstilts.task import Metric

from .made import results as results_with_every_part


def results(model="google/mt5-base", languages=CATALOGUE["xnli"].languages, **changes):
    rows = [
        ScoreRow("ours", name, "xnli", 1, code, "accuracy", 70.0 + 2 * (name != "none"))
        for name in ("none", "all-eight")
        for code in languages
    ]
    made = Results(
        experiment="made",
        models={"ours": Family.MT5},
        intermediates=("none", "all-eight"),
        targets={"xnli": Metric.ACCURACY},
        rows=tuple(rows),
        traits={"all-eight": IntermediateTraits(tuple(name for name in INTERMEDIATES if name != "ccg"))},
        pretrained={"ours": model},
    )
    return replace(made, **changes)


def of(source, made, model):
    return next(
        one
        for one in comparable(made)
        if source in one.published.source and one.published.pretrained == model
    )


def test_a_published_score_stands_beside_ours_only_of_the_same_model():
    made = results("FacebookAI/xlm-roberta-large")
    same = of("Hu et al", made, "FacebookAI/xlm-roberta-large")
    assert (same.ours, same.published.score, same.reasons) == (pytest.approx(70.0), 79.2, ())
    other = of("multilingual-t5", made, "google/mt5-base")
    assert other.ours is None
    assert other.reasons[0] == "another model"


def test_what_cannot_be_compared_says_why():
    made = results("FacebookAI/xlm-roberta-large", languages=("de", "en"), from_files=("xnli",))
    assert of("Hu et al", made, "FacebookAI/xlm-roberta-large").reasons == (
        "2 of 15 languages here",
        "rows from files here",
    )
    assert "dev there, test here" in of("Phang", made, "FacebookAI/xlm-roberta-large").reasons
    assert any(
        "not selected on English" in reason
        for reason in of("multilingual-t5", results(), "google/mt5-base").reasons
    )
    unscored = results("google/mt5-base", rows=())
    assert "not scored here yet" in of("multilingual-t5", unscored, "google/mt5-base").reasons


def test_what_was_trained_otherwise_cannot_be_compared():
    hub = "FacebookAI/xlm-roberta-large"
    departures = {("ours", "xnli"): ("epochs 1 instead of 2", "max examples 500 instead of all")}
    said = "trained otherwise: epochs 1 instead of 2, max examples 500 instead of all"
    assert of("Hu et al", results(hub, departures=departures), hub).reasons == (said,)
    used = results(hub, departures={("ours", "xnli"): ("layer 7 instead of 14",)}, untrained=("xnli",))
    assert of("Hu et al", used, hub).reasons == ("used otherwise: layer 7 instead of 14",)
    assert of("Hu et al", results(hub, departures={("ours", "xquad"): ("epochs 1",)}), hub).reasons == ()


def test_of_two_models_of_one_checkpoint_that_stands_beside_which_can_be_compared():
    hub = "FacebookAI/xlm-roberta-large"
    made = results(hub)
    adapted = [replace(row, model="adapted", value=60.0) for row in made.rows]
    both = replace(
        made,
        models={"ours": Family.XLMR, "adapted": Family.XLMR},
        pretrained={"ours": hub, "adapted": hub},
        rows=(*made.rows, *adapted),
        departures={("adapted", "xnli"): ("low-rank adapters of rank 8 instead of all weights",)},
    )
    found = of("Hu et al", both, hub)
    assert (found.model, found.ours, found.reasons) == ("ours", pytest.approx(70.0), ())


def test_published_scores_are_of_targets_of_the_catalogue():
    assert {one.target for one in PUBLISHED} <= {name for name, entry in CATALOGUE.items() if entry.is_target}
    assert all(0 < one.score < 100 and one.split in {"test", "dev"} for one in PUBLISHED)
    assert len({(one.source, one.pretrained, one.target) for one in PUBLISHED}) == len(PUBLISHED)


def test_a_mix_without_ccg_says_that_it_is_one_of_eight():
    tables = report_tables(Measured(results()))
    assert "a mix of eight" in " ".join(tables["means"].notes)
    assert tables["languages"].rows[0][3:6] == ("en English", "+2.0", "–")  # noqa: RUF001


def test_a_comparison_names_what_both_sides_have_seen():
    made = results_with_every_part()
    [row, _] = report_tables(Measured(made))["comparisons"].rows
    assert row[-1] == "mnli on xnli (in-task, seen: de)"
    assert row[1:3] == ("mnli-mlm", "mnli")


def test_results_without_none_have_a_report_too():
    made = results(intermediates=("all-eight",))
    made = replace(made, rows=tuple(row for row in made.rows if row.intermediate != "none"))
    found = contents(made, Analysis())
    assert "no none to compare with" in found.answer.headlines[0]
    assert not found.heatmaps
    assert not found.forests
    assert found.bars


def test_every_table_is_latex_for_any_font_encoding():
    """What is not ASCII, and < and >, which are other characters in TeX's own encoding, stand as commands or as mathematics."""
    made = results_with_every_part()
    shown = contents(made, Analysis())
    sure = [replace(row, adjusted=1e-5) for row in primary(made, Analysis())]
    tables = [
        shown.summary,
        *shown.tables.values(),
        *shown.primary_tables.values(),
        primary_table(sure, made, Analysis()),
        summary_table(made, ci=True),
        *pivot_tables(made),
    ]
    text = "\n".join(map(to_latex, tables))
    lines = [line for line in text.splitlines() if not line.startswith("%")]
    assert r"$\Delta$ mt5-large - $\Delta$ mt5-base" in text
    assert "$<$ 0.001" in text
    for line in lines:
        assert line.isascii(), line
        assert not {"<", ">", "|"} & set(line.replace("$<$", "").replace("$>$", "")), line


@pytest.fixture
def make_files(tmp_path):
    """The files of a report over some results, of whose stages the store holds none."""
    manifest = f"""
apiVersion: xstilts.dev/v1alpha1
kind: TransferExperiment
metadata: {{name: made}}
spec:
  models: [{{name: ours, pretrained: "store://ours@sha256:{"a" * 64}", family: MT5}}]
  targets: [{{task: xnli}}]
  seeds: [1]
"""
    planned = plan(parse_experiment(manifest, source="made.yaml"))
    store = Store.open(str(tmp_path), planned.namespace)
    titles = {one.key: one.key for one in planned.stages}
    return lambda made: report_files(made, planned, store, analysis=Analysis(), titles=titles)


RATES = tuple(
    ChosenRate("ours", "none", "target", ("xnli",), seed, "1e-5", {"1e-5": 72.0 + seed, "3e-5": 70.0})
    for seed in (1, 2)
)


def test_the_file_of_the_primary_answer_has_all_that_its_table_shows(make_files):
    made = results_with_every_part()
    found = pyarrow.parquet.read_table(io.BytesIO(make_files(made)["primary.parquet"])).to_pylist()
    rows = primary(made, Analysis())
    assert len(found) == len(rows)
    for one, row in zip(found, rows, strict=True):
        log_odds = row.log_odds and (row.log_odds.estimate, row.log_odds.low, row.log_odds.high)
        assert (one["log_odds"], one["log_odds_low"], one["log_odds_high"]) == (log_odds or (None,) * 3)
        assert (one["bootstrap_low"], one["bootstrap_high"]) == (row.bootstrap or (None, None))
        assert (one["seeds"], one["reference_seeds"]) == row.seeds
        related = (row.target, row.intermediate) == ("xnli", "mnli") and row.cells is not Cells.UNRELATED
        assert one["relation"] == ("in-task, seen: de" if related else "")
    assert {one["log_odds"] is None for one in found} == {True, False}  # question answering has none
    assert any(one["relation"] for one in found)
    [of_one_model, *_] = pyarrow.parquet.read_table(
        io.BytesIO(make_files(results())["primary.parquet"])
    ).to_pylist()
    assert (of_one_model["seeds"], of_one_model["reference_seeds"]) == (1, None)


def test_every_table_is_parquet_with_the_cells_of_its_csv(make_files):
    """But for that of rates, whose file has every rate that was tried, typed."""
    files = make_files(results_with_every_part())
    names = {name.removesuffix(".csv") for name in files if name.endswith(".csv")} - {"results", "rates"}
    assert {"summary", "primary-all", "means", "comparisons", "best-of", "published"} <= names
    for name in names:
        found = pyarrow.parquet.read_table(io.BytesIO(files[f"{name}.parquet"]))
        head, *rows = csv.reader(io.StringIO(files[f"{name}.csv"]))
        assert found.column_names == head
        assert [list(row.values()) for row in found.to_pylist()] == rows


def test_chosen_rates_have_a_table_and_files_of_their_own(make_files):
    files = make_files(results(rates=RATES))
    assert "Chosen learning rates" in files["report.html"]
    assert "2 of 2 learning rates that sweeps chose are the smallest or the largest" in files["answer.md"]
    assert files["rates.csv"].splitlines()[1] == (
        "ours,none,xnli,target,1,1e-5,73.00,3e-5,70.00,1e-5 3e-5,smallest"
    )
    assert "made: chosen learning rates" in files["tables.md"]
    assert "smallest" in files["tables.tex"]
    rows = pyarrow.parquet.read_table(io.BytesIO(files["rates.parquet"])).to_pylist()
    assert [(row["seed"], row["learning_rate"], row["dev"], row["chosen"]) for row in rows] == [
        (1, "1e-5", 73.0, True),
        (1, "3e-5", 70.0, False),
        (2, "1e-5", 74.0, True),
        (2, "3e-5", 70.0, False),
    ]


def test_the_file_of_the_primary_answer_has_the_delta_of_each_model(make_files):
    of_one = make_files(results())["primary.parquet"]
    [one, *_] = pyarrow.parquet.read_table(io.BytesIO(of_one)).to_pylist()
    assert (one["delta"], one["reference_delta"]) == (one["estimate"], None)
    of_two = make_files(results_with_every_part())["primary.parquet"]
    for row in pyarrow.parquet.read_table(io.BytesIO(of_two)).to_pylist():
        assert row["delta"] - row["reference_delta"] == pytest.approx(row["estimate"])


@pytest.mark.parametrize("partial", [True, False])
def test_tables_of_the_primary_answer_are_told_apart_by_their_titles(make_files, partial):
    """They stand one after another, and have no column that says which cells they are over."""
    made = results_with_every_part()
    files = make_files(made if partial else replace(made, missing=()))
    over = (
        "over all cells",
        "without in-task, overlap and seen languages",
        "without collapsed seeds",
    )
    titles = [f"made: primary answer {words}{' (partial)' if partial else ''}" for words in over]
    assert re.findall(r"^\*\*(made: primary .*)\*\*$", files["tables.md"], re.MULTILINE) == titles
    assert re.findall(r"^% (made: primary .*)$", files["tables.tex"], re.MULTILINE) == titles


def test_every_caption_of_scores_says_that_they_are_partial(make_files):
    made = results_with_every_part()
    for found, is_partial in ((made, True), (replace(made, missing=()), False)):
        page = make_files(found)["report.html"]
        captions = re.findall("<caption><span>(.*?)</span></caption>", page)
        shown = [one for one in captions if not one.startswith("Stages")]
        assert len(shown) > 10
        assert {one.endswith("(partial)") for one in shown} == {is_partial}


def test_without_a_sweep_no_rates_are_spoken_of(make_files):
    files = make_files(results())
    assert not {"rates.csv", "rates.parquet"} & files.keys()
    assert "learning rate" not in files["report.html"] + files["answer.md"] + files["tables.md"]
