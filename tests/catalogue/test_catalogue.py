"""The catalogue is complete, and says of every task what the stages need."""

from __future__ import annotations

import json

import pytest

from xstilts.catalogue import CATALOGUE, INTERMEDIATES, TARGETS
from xstilts.catalogue.languages import LANGUAGES, language_name
from xstilts.task import TaskType

# XTREME's own numbers of languages a task (evaluate.py).
LANGUAGE_COUNTS = {
    "xnli": 15,
    "pawsx": 7,
    "udpos": 33,
    "panx": 40,
    "xquad": 11,
    "mlqa": 7,
    "tydiqa": 9,
    "bucc2018": 4,
    "tatoeba": 36,
}
# Where the folders of the real slices are not named by catalogue ids.
SLICE_FOLDERS = {"udpos": "udpos_xtreme"}


def test_all_eighteen_tasks_of_the_paper_are_there():
    assert set(INTERMEDIATES) == {
        "anli_plus",
        "mnli",
        "qqp",
        "squad",
        "squad_v2",
        "hellaswag",
        "ccg",
        "cosmos_qa",
        "commonsense_qa",
    }
    assert set(TARGETS) == set(LANGUAGE_COUNTS)
    assert len(CATALOGUE) == 18


@pytest.mark.parametrize(("target", "count"), LANGUAGE_COUNTS.items())
def test_targets_are_scored_in_xtremes_languages(target, count):
    languages = CATALOGUE[target].languages
    assert len(languages) == len(set(languages)) == count
    assert list(languages) == sorted(languages)
    assert set(languages) <= set(LANGUAGES)


@pytest.mark.parametrize("name", CATALOGUE)
def test_every_entry_is_whole(name):
    entry = CATALOGUE[name]
    assert entry.name == name == entry.task.name
    assert entry.title
    assert entry.licence
    assert entry.citation
    assert entry.notes
    assert bool(entry.files) != bool(entry.unavailable), "hub rows, or the reason why there are none"
    if entry.task.type is TaskType.CLASSIFICATION:
        assert entry.task.labels
    if entry.is_intermediate:
        assert entry.trains_on == name
        assert entry.sources


@pytest.mark.parametrize("name", [name for name in CATALOGUE if CATALOGUE[name].files])
def test_hub_files_cover_what_is_read(name):
    entry = CATALOGUE[name]
    files = [(file.split, file.language) for file in entry.files]
    assert len(files) == len(set(files)), "one file a split and language"
    if entry.is_target:
        assert {language for split, language in files if split == entry.evaluates} == set(entry.languages)
    if entry.trains_on == name:
        assert ("train", "en") in files
        assert not entry.own_dev or ("validation", "en") in files


@pytest.mark.parametrize("name", CATALOGUE)
def test_no_commit_is_written_that_nobody_has_read(name):
    entry = CATALOGUE[name]
    files = [*entry.files, *entry.translations.values()]
    assert {rows.revision for file in files for rows in file.slices} <= {None}


@pytest.mark.parametrize("name", CATALOGUE)
def test_train_files_are_english(name):
    assert {file.language for file in CATALOGUE[name].files if file.split == "train"} <= {"en"}


def test_tydiqa_takes_one_language_from_the_table_of_nine():
    for file in CATALOGUE["tydiqa"].files:
        (rows,) = file.slices
        assert rows.id_prefix == f"{language_name(file.language).lower()}-"


def test_nothing_is_selected_on_a_split_that_is_a_test():
    # XQuAD is a part of SQuAD's dev (SQuAD 2's holds it too), and XTREME's TyDiQA test is TyDi's dev.
    assert {name for name, entry in CATALOGUE.items() if not entry.own_dev} == {"squad", "squad_v2", "tydiqa"}


def test_ccg_says_why_it_is_not_on_the_hub():
    assert "licensed" in CATALOGUE["ccg"].unavailable


@pytest.mark.data
@pytest.mark.parametrize(("name", "column"), [("udpos", "pos_tags"), ("panx", "ner_tags")])
def test_the_tags_of_the_slices_are_the_catalogues(name, column, data_dir):
    labels = set(CATALOGUE[name].task.labels)
    with (data_dir / SLICE_FOLDERS.get(name, name) / "train.en.jsonl").open(encoding="utf-8") as lines:
        found = {tag for line in lines for tag in json.loads(line)[column]}
    assert found <= labels
