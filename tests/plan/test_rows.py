"""Files that stages read of the store's inputs are missed before anything is trained, all at once."""

from __future__ import annotations

from pathlib import Path

import pytest

from xstilts.errors import SpecError
from xstilts.plan import plan
from xstilts.plan.rows import check_files, stored_files
from xstilts.spec import parse_experiment
from xstilts.store import Store

FILE = """
apiVersion: xstilts.dev/v1alpha1
kind: TransferExperiment
metadata: {name: rows}
spec:
  models: [{name: mine, pretrained: MODEL, family: XLMR, layer: 7}]
  tasks:
    - {name: places, type: Classification, labels: [water, land], languages: [en, de, sw], data: PLACES}
    - {name: bucc2018, languages: [de], data: MINED}
  intermediates:
    - name: text
      tasks: [mnli]
      continuedPretraining: {objective: MLM, ratio: "0.5", languages: [de, sw], corpus: TEXT}
  targets: [{task: places}, {task: bucc2018}]
  seeds: [1]
"""
WHOLE = {
    "MODEL": ("config.json",),
    "PLACES": (
        "train.en.jsonl",
        "validation.en.csv",
        "test.en.jsonl",
        "test.de.tsv",
        "test.sw.parquet",
        "test.fr.txt",
    ),
    "MINED": ("validation.de.jsonl", "corpus_source.de.jsonl", "corpus_target.de.jsonl"),
    "TEXT": ("train.de.jsonl", "train.sw.jsonl"),
}


@pytest.fixture
def check(tmp_path: Path):
    """Check the experiment over inputs of those files."""
    store = Store.open(str(tmp_path / "store"))

    def checked(changed: dict[str, tuple[str, ...]], text: str = FILE) -> None:
        for number, (name, files) in enumerate((WHOLE | changed).items()):
            folder = tmp_path / name.lower()
            folder.mkdir()
            for file in files:
                (folder / file).write_text(f"{number} {file}")
            text = text.replace(name, f'"{store.put(folder.name, folder)}"')
        check_files([one.stage for one in plan(parse_experiment(text)).stages], stored_files(store))

    return checked


def test_nothing_is_missed_where_everything_is_there(check):
    check({})


def test_all_that_is_missing_is_named_at_once(check):
    with pytest.raises(SpecError) as refused:
        check(
            {
                "PLACES": ("train.en.jsonl", "train.en.csv", "test.en.jsonl", "test.de.jsonl"),
                "MINED": ("validation.de.jsonl", "corpus_source.de.jsonl"),
                "TEXT": ("train.de.jsonl",),
            }
        )
    ends = ".{jsonl,parquet,csv,tsv}: must be"
    there = "train.en.csv, train.en.jsonl"
    assert sorted(map(str, refused.value.problems)) == [
        f"bucc2018/corpus_target.de{ends} there: the folder holds corpus_source.de.jsonl, validation.de.jsonl",
        f"places/test.sw{ends} there: split test is there in de, en",
        f"places/train.en{ends} one file, was train.en.jsonl, train.en.csv",
        f"places/validation.en{ends} there: the folder holds test.de.jsonl, test.en.jsonl, {there}",
        f"text/train.sw{ends} there: split train is there in de",
    ]


def test_an_input_that_is_not_there_is_named(check):
    with pytest.raises(SpecError) as refused:
        check({}, FILE.replace("PLACES", f"store://gone@sha256:{'0' * 64}"))
    assert set(map(str, refused.value.problems)) == {
        f"store://gone@sha256:{'0' * 64}: must be in the store, is not; `xstilts put gone DIR` puts it there"
    }
