"""The stages of a grid: how many, of what, and what each reads."""

from __future__ import annotations

import time

import pytest

from xstilts.catalogue import CATALOGUE, TARGETS
from xstilts.errors import SpecError
from xstilts.plan import Cell, plan, report_stage
from xstilts.spec import load_experiment
from xstilts.stage import Kind


def trainings(planned, phase):
    return [one for one in planned.of_kind(Kind.TRAIN) if one.stage.spec["phase"] == phase]


def of_cell(planned, phase, **wanted):
    """The trainings of a phase that cells with the wanted names need."""
    return [
        one.stage.spec
        for one in trainings(planned, phase)
        if any(all(getattr(cell, field) == value for field, value in wanted.items()) for cell in one.labels)
    ]


@pytest.fixture(scope="module")
def phang2020(repository):
    return plan(load_experiment(repository / "examples" / "phang2020.yaml"))


def test_the_papers_grid_trains_each_intermediate_model_once_a_seed(phang2020):
    assert len(phang2020.cells()) == 1 * 11 * 9 * 5
    assert dict(phang2020.counts) == {
        "prepare": 17,  # the model and sixteen data sets: CCG and BUCC are the user's own
        "train intermediate": 10 * 5,
        "train target": 11 * 5 * 6,  # XNLI, PAWS-X, POS, NER, TyDiQA, and SQuAD for XQuAD and MLQA
        "evaluate": 11 * 5 * 6 + 10 * 5 + 1,  # and retrieval, of the untrained model once for all seeds
        "report": 1,
    }
    assert (phang2020.naive.intermediate, phang2020.naive.target, phang2020.naive.evaluate) == (450, 385, 495)


def test_the_papers_grid_is_planned_in_no_time(repository):
    experiment = load_experiment(repository / "examples" / "phang2020.yaml")
    start = time.perf_counter()
    plan(experiment)
    seconds = time.perf_counter() - start
    print(f"phang2020 planned in {seconds:.3f} s")  # noqa: T201 - shown with `pytest -s`: it is under 1 s
    assert seconds < 10  # far more, so that a busy machine fails no test


def test_xquad_and_mlqa_share_one_squad_model_and_one_evaluation(phang2020):
    cells = [Cell("xlmr-large", "mnli", target, 3) for target in ("xquad", "mlqa")]
    assert len({phang2020.evaluate_key(cell) for cell in cells}) == 1
    stage = phang2020.by_key[phang2020.evaluate_key(cells[0])].stage
    assert [data["task"]["name"] for data in stage.spec["data"]] == ["mlqa", "xquad"]
    assert [data["head"] for data in stage.spec["data"]] == ["squad", "squad"]


def test_retrieval_of_the_untrained_model_is_one_stage_for_all_seeds(phang2020):
    none = {
        phang2020.evaluate_key(Cell("xlmr-large", "none", target, seed))
        for target in ("tatoeba", "bucc2018")
        for seed in (1, 2, 3, 4, 5)
    }
    (key,) = none
    stage = phang2020.by_key[key].stage
    use = {"version": 2, "layer": 14, "pooling": "Mean", "prefix": "", "maxLength": 512}
    assert stage.spec["retrieval"] == use
    assert "seed" not in stage.spec


def test_parents_come_first_and_are_in_the_plan(phang2020):
    seen: set[str] = set()
    for planned in phang2020.stages:
        assert set(planned.stage.parents.values()) <= seen
        seen.add(planned.key)
    assert len(seen) == len(phang2020.stages)


def test_labels_say_which_cells_need_a_stage(phang2020):
    cells = set(phang2020.cells())
    for planned in phang2020.stages[:-1]:  # the report needs all
        assert planned.labels <= cells
        for parent in planned.stage.parents.values():
            assert planned.labels <= phang2020.by_key[parent].labels
    for cell in cells:
        assert cell in phang2020.by_key[phang2020.evaluate_key(cell)].labels
    for one in trainings(phang2020, "intermediate"):
        assert len(one.labels) == 9


def test_the_report_covers_every_evaluation(phang2020):
    (report,) = phang2020.of_kind(Kind.REPORT)
    evaluations = {planned.key for planned in phang2020.of_kind(Kind.EVALUATE)}
    assert set(report.stage.parents.values()) == evaluations
    assert report.stage == report_stage(evaluations)
    assert report_stage(sorted(evaluations)[1:]).key != report.key


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("source", ["hub", "store"])
def test_no_row_that_is_not_english_reaches_a_zero_shot_training(target, source, make, store_source):
    tasks = [
        {"name": name, "data": store_source(name)}
        for name, entry in CATALOGUE.items()
        if source == "store" or entry.unavailable
    ]
    names = [name for name, entry in CATALOGUE.items() if entry.is_intermediate]
    intermediates = [{"name": name.replace("_", "-"), "tasks": [name]} for name in names]
    intermediates.append({"name": "all", "tasks": names})
    planned = plan(make(tasks=tasks, intermediates=intermediates, targets=[{"task": target}], seeds=[1]))
    for one in planned.of_kind(Kind.TRAIN):
        spec = one.stage.spec
        chosen = [selection["data"] for selection in spec["selection"] if "data" in selection]
        for data in [*spec["data"], *chosen]:
            assert data["languages"] == ["en"]
            parent = one.stage.parents.get(data["role"])
            if parent is None:
                assert data["role"] in spec["inputs"]
                continue
            (file,) = (
                file
                for file in planned.by_key[parent].stage.spec["files"]
                if (file["split"], file["language"]) == (data["split"], "en")
            )
            for rows in file["slices"]:
                assert rows.get("idPrefix", "english-") == "english-"
                assert (rows["config"].rsplit(".", 1)[-1] in _ENGLISH) if "config" in rows else True


# The configurations of the hub that hold English rows alone; TyDiQA's is filtered by its ids.
_ENGLISH = {"en", "English", "mnli", "qqp", "plain_text", "squad_v2", "tydiqa"}


def test_selection_never_reads_a_test(make, base):
    spec = base()
    spec["targets"] = [{"task": name} for name in ("xnli", "xquad", "mlqa", "tydiqa", "udpos", "tatoeba")]
    planned = plan(make(**spec))
    scored = {
        (data["role"], data["split"])
        for one in planned.of_kind(Kind.EVALUATE)
        for data in one.stage.spec["data"]
    }
    for one in planned.of_kind(Kind.TRAIN):
        for selection in one.stage.spec["selection"]:
            assert ("data" in selection) != ("holdout" in selection)
            if "data" in selection:
                assert (selection["data"]["role"], selection["data"]["split"]) not in scored
    for target in ("xquad", "tydiqa"):
        (spec,) = of_cell(planned, "target", model="small", intermediate="none", target=target, seed=1)
        assert spec["selection"] == [{"holdout": {"fraction": "0.1", "groupBy": "context"}}]


def test_xnli_trains_and_is_selected_on_mnli_in_english(make):
    (spec,) = of_cell(plan(make()), "target", model="small", intermediate="none", target="xnli", seed=1)
    (data,) = spec["data"]
    assert (data["task"]["name"], data["role"], data["split"], data["languages"]) == (
        "mnli",
        "data.mnli",
        "train",
        ["en"],
    )
    (selection,) = spec["selection"]
    assert (selection["data"]["role"], selection["data"]["split"]) == ("data.mnli", "validation")


def test_files_may_call_their_splits_otherwise(make, base):
    spec = base()
    renamed = {
        "mnli": {"validation": "validation_matched"},
        "mlqa": {"test": "validation"},
        "pawsx": {"train": "validation"},
    }
    for task in spec["tasks"]:
        if task["name"] in renamed:
            task["splits"] = renamed[task["name"]]
    spec["targets"] = [{"task": name} for name in ("xnli", "mlqa", "pawsx", "bucc2018")]
    planned = plan(make(**spec))
    splits = {
        data["task"]["name"]: (data["split"], data["languages"])
        for one in planned.of_kind(Kind.EVALUATE)
        for data in one.stage.spec["data"]
    }
    assert splits["mlqa"] == ("validation", list(CATALOGUE["mlqa"].languages))
    assert splits["pawsx"][0] == "test"
    assert splits["bucc2018"] == ("validation", ["zh"])  # BUCC's test gold is not public
    (xnli,) = of_cell(planned, "target", model="small", intermediate="none", target="xnli", seed=1)
    assert xnli["selection"][0]["data"]["split"] == "validation_matched"
    # What is trained on cannot choose the epoch as well: a part of it is held out.
    (pawsx,) = of_cell(planned, "target", model="small", intermediate="none", target="pawsx", seed=1)
    assert pawsx["data"][0]["split"] == "validation"
    assert pawsx["selection"] == [{"holdout": {"fraction": "0.1", "groupBy": "text"}}]


def test_a_mix_is_sorted_and_mixed_and_a_single_task_is_not(make):
    planned = plan(make())
    (mix,) = of_cell(planned, "intermediate", model="small", intermediate="mix", seed=1)
    assert [data["task"]["name"] for data in mix["data"]] == ["mnli", "qqp"]
    assert mix["mixing"] == {"strategy": "Proportional", "examplesCap": 100}
    (single,) = of_cell(planned, "intermediate", model="small", intermediate="squad", seed=1)
    assert "mixing" not in single


def test_without_the_baseline_there_is_no_none(make):
    planned = plan(make(baseline=False))
    assert {cell.intermediate for cell in planned.cells()} == {"squad", "mix"}


def test_cells_are_in_the_experiments_order(make):
    assert plan(make()).cells()[:5] == (
        Cell("small", "none", "xnli", 1),
        Cell("small", "none", "xquad", 1),
        Cell("small", "none", "mlqa", 1),
        Cell("small", "none", "tatoeba", 1),
        Cell("small", "none", "xnli", 2),
    )


def test_own_tasks_are_planned_like_any(make, base, store_source):
    spec = base()
    own = {"languages": ["sw", "en"], "data": store_source("own")}
    spec["tasks"] += [
        {"name": "topics", "type": "Classification", "labels": ["sport", "music"], **own},
        {"name": "names", "type": "Retrieval", "languages": ["sw"], "data": store_source("names")},
    ]
    spec["targets"] = [{"task": "topics"}, {"task": "names"}]
    spec["intermediates"] = [{"name": "topics", "tasks": ["topics"]}]
    planned = plan(make(**spec))
    assert len(trainings(planned, "target")) == 2 * 2 * 2  # models, intermediates with none, seeds
    scored = {
        data["task"]["name"]: data
        for one in planned.of_kind(Kind.EVALUATE)
        for data in one.stage.spec["data"]
    }
    assert scored["topics"]["languages"] == ["en", "sw"]
    assert scored["topics"]["task"]["format"] == "text_classification"
    assert scored["topics"]["task"]["labels"] == ["sport", "music"]
    assert scored["names"]["task"]["format"] == "retrieval"


def test_paths_are_put_into_the_store_before_they_are_planned(make, base):
    spec = base()
    spec["models"][1]["pretrained"] = "./checkpoint"
    spec["tasks"][0]["data"] = "/data/mnli"
    with pytest.raises(SpecError) as caught:
        plan(make(**spec))
    assert [problem.field for problem in caught.value.problems] == [
        "spec.models[1].pretrained",
        "spec.tasks[0].data",
    ]
    assert "xstilts put" in str(caught.value)


def test_what_has_no_commit_is_marked_with_all_that_depends_on_it(make, base):
    spec = base()
    hub = {"name": "hub", "pretrained": "FacebookAI/xlm-roberta-base"}
    spec["models"] = [spec["models"][0], hub]
    planned = plan(make(namespace="team", **spec))
    (prepared,) = planned.of_kind(Kind.PREPARE)
    assert prepared.stage.spec["unpinned"] == "unpinned:team/grid"
    for one in planned.stages:
        assert one.unpinned == (
            one.stage.kind is Kind.REPORT or {cell.model for cell in one.labels} == {"hub"}
        )
    pinned = plan(make(models=[spec["models"][0], {**hub, "revision": "0" * 39 + "1"}]))
    assert not any(one.unpinned for one in pinned.stages)


def test_a_commit_for_every_repository_pins_the_papers_grid(repository, phang2020):
    experiment = load_experiment(repository / "examples" / "phang2020.yaml")
    read = {
        rows["repository"]
        for one in phang2020.of_kind(Kind.PREPARE)
        if one.stage.spec["what"] == "data"
        for file in one.stage.spec["files"]
        for rows in file["slices"]
    }
    commits = dict.fromkeys(read, "f" * 40)
    models = [model.model_copy(update={"revision": "e" * 40}) for model in experiment.spec.models]
    tasks = [
        task.model_copy(update={"data": f"{task.data}@sha256:{'d' * 64}"}) for task in experiment.spec.tasks
    ]
    spec = experiment.spec.model_copy(
        update={"data_revisions": commits, "models": tuple(models), "tasks": tuple(tasks)}
    )
    pinned = plan(experiment.model_copy(update={"spec": spec}))
    assert not any(one.unpinned for one in pinned.stages)
    assert pinned.counts == phang2020.counts
    # With the commit the branch that it was read from decides nothing.
    assert not any("reference" in str(one.stage.spec) for one in pinned.of_kind(Kind.PREPARE))
    one_less = {name: commit for name, commit in commits.items() if name != "stanfordnlp/snli"}
    spec = spec.model_copy(update={"data_revisions": one_less})
    again = plan(experiment.model_copy(update={"spec": spec}))
    (missing,) = (one for one in again.of_kind(Kind.PREPARE) if one.unpinned)
    assert missing.stage.spec["task"] == "anli_plus"


def test_what_has_no_commit_is_not_shared_with_another_experiment(make):
    models = [{"name": "hub", "pretrained": "FacebookAI/xlm-roberta-base"}]
    first, second = plan(make(models=models, name="one")), plan(make(models=models, name="two"))
    assert not {one.key for one in first.stages} & {one.key for one in second.stages}


def test_translated_rows_stand_instead_of_the_english_ones(make, base):
    spec = base()
    spec["tasks"] = [task for task in spec["tasks"] if task["name"] != "mnli"]  # from the hub
    spec["intermediates"] = [{"name": "mnli-de", "tasks": ["mnli"], "translatedTo": ["sw", "de"]}]
    planned = plan(make(**spec))
    (stage,) = (
        one.stage
        for one in trainings(planned, "intermediate")
        if {c.model for c in one.labels} == {"small"} and {c.seed for c in one.labels} == {1}
    )
    (data,) = stage.spec["data"]
    assert (data["role"], data["languages"]) == ("translated.mnli", ["de", "sw"])
    files = planned.by_key[stage.parents["translated.mnli"]].stage.spec["files"]
    assert [(file["split"], file["language"]) for file in files] == [("train", "de"), ("train", "sw")]
    # Selection is on English dev still.
    assert stage.spec["selection"][0]["data"]["role"] == "data.mnli"
    assert stage.spec["selection"][0]["data"]["languages"] == ["en"]


def test_own_translations_are_files_of_the_tasks_folder(make):
    planned = plan(make(intermediates=[{"name": "squad-de", "tasks": ["squad"], "translatedTo": ["de"]}]))
    spec = of_cell(planned, "intermediate", model="small", seed=1)[0]
    assert (spec["data"][0]["role"], spec["data"][0]["languages"]) == ("data.squad", ["de"])


@pytest.mark.parametrize("corpus", ["wikipedia", "store"])
def test_continued_pretraining_reads_a_corpus_a_language(corpus, make, store_source):
    wish = {
        "objective": "MLM",
        "ratio": "0.20",
        "corpus": store_source("wiki") if corpus == "store" else corpus,
        "languages": ["ur", "ar"],
    }
    intermediates = [{"name": "mnli-mlm", "tasks": ["mnli"], "continuedPretraining": wish}]
    planned = plan(make(intermediates=intermediates))
    (spec,) = of_cell(planned, "intermediate", model="small", seed=1)
    continued = spec["continuedPretraining"]
    assert (continued["objective"], continued["ratio"], continued["masked"]) == ("MLM", "0.2", "0.15")
    assert [piece["language"] for piece in continued["corpora"]] == ["ar", "ur"]
    roles = {piece["role"] for piece in continued["corpora"]}
    assert roles == ({"corpus"} if corpus == "store" else {"corpus.ar", "corpus.ur"})
    for one in trainings(planned, "intermediate"):
        assert roles <= {*one.stage.parents, *one.stage.spec["inputs"]}
