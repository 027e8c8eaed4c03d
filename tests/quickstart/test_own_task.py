"""The quickstart's tasks, made as files from packages: the same bytes every time, labelled, and without leaks."""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import sys
from collections import Counter
from itertools import pairwise
from pathlib import Path

import pytest

OWN_TASK = Path(__file__).parents[2] / "examples" / "own-task"
LANGUAGES = ("ar", "de", "en", "es", "fr", "hi", "ru", "sw", "tr", "zh")


def _make(folder: Path, hash_seed: str) -> Path:
    environment = os.environ | {"PYTHONHASHSEED": hash_seed}
    subprocess.run([sys.executable, OWN_TASK / "make.py", folder], check=True, env=environment)
    return folder


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return _make(tmp_path_factory.mktemp("made"), "1")


@pytest.fixture(scope="module")
def rows(made):
    return {
        f"{path.parent.name}/{path.stem}": [json.loads(line) for line in path.read_text("utf-8").splitlines()]
        for path in made.glob("*/*.jsonl")
    }


@pytest.mark.slow
def test_the_same_bytes_whatever_the_hash_seed(made, tmp_path):
    def digests(folder):
        return {
            str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in folder.rglob("*.jsonl")
        }

    assert digests(made) == digests(_make(tmp_path, "2"))


def test_english_trains_and_every_language_tests(rows):
    for task in ("line-tags", "name-kind"):
        expected = {"train.en", "validation.en", *(f"test.{language}" for language in LANGUAGES)}
        assert {name.split("/")[1] for name in rows if name.startswith(task)} == expected
    assert {name for name in rows if name.startswith("name-pairs")} == {
        f"name-pairs/test.{language}" for language in LANGUAGES if language != "en"
    }
    assert {name for name in rows if name.startswith("place-quiz")} == {
        "place-quiz/train.en",
        "place-quiz/validation.en",
    }


def test_the_kinds_are_balanced_so_that_chance_is_a_fifth(rows):
    for name in (name for name in rows if name.startswith("name-kind")):
        assert len(set(Counter(row["label"] for row in rows[name]).values())) == 1
        assert len({row["label"] for row in rows[name]}) == 5


def test_no_name_of_a_test_row_stands_in_an_english_training_row(rows):
    seen = {row["text"] for row in rows["name-kind/train.en"]}
    seen |= {choice for row in rows["place-quiz/train.en"] for choice in row["choices"]}
    question = r"(?:Which \w+ (?:is used|is official|lies) in|Where (?:is the|is|does)) (.*?)(?: used| an official language| lie)?\?"
    seen |= {re.fullmatch(question, row["text"])[1] for row in rows["place-quiz/train.en"]}
    tested = {row["text"] for row in rows["name-kind/test.en"]}
    tested |= {row["target"] for row in rows["name-pairs/test.de"]}
    assert not tested & seen


def test_no_person_or_day_of_a_test_line_stands_in_a_training_line(rows):
    def mentions(name, kind):
        found = set()
        for row in rows[name]:
            text = " ".join(
                token for token, tag in zip(row["tokens"], row["tags"], strict=True) if tag[2:] == kind
            )
            found.add(text)
        return found - {""}

    for kind in ("PER", "LOC", "DATE"):
        assert not mentions("line-tags/train.en", kind) & mentions("line-tags/test.en", kind)


def test_tags_are_iob2_one_a_token_of_text(rows):
    kinds = {"PER", "LOC", "DATE", "MONEY"}
    for name in (name for name in rows if name.startswith("line-tags")):
        for row in rows[name]:
            assert len(row["tokens"]) == len(row["tags"])
            assert all(token and token == "".join(token.split()) for token in row["tokens"])
            assert {tag[2:] for tag in row["tags"] if tag != "O"} <= kinds
            for before, tag in pairwise(["O", *row["tags"]]):
                assert not tag.startswith("I-") or before[2:] == tag[2:]


def test_test_lines_hold_the_same_items_in_every_language(rows):
    def outline(row):
        return [tag[2:] for tag in row["tags"] if tag.startswith("B-")]

    english = [outline(row) for row in rows["line-tags/test.en"]]
    for language in LANGUAGES:
        assert [outline(row) for row in rows[f"line-tags/test.{language}"]] == english


def test_a_pair_is_never_the_same_name_twice_and_no_name_comes_twice(rows):
    for name in (name for name in rows if name.startswith("name-pairs")):
        assert all(row["source"].casefold() != row["target"].casefold() for row in rows[name])
        assert len({row["source"] for row in rows[name]}) == len(rows[name]) == 100


def test_the_quiz_has_four_different_choices_and_no_favourite_place(rows):
    for row in rows["place-quiz/train.en"]:
        assert len(set(row["choices"])) == 4
    places = Counter(row["label"] for row in rows["place-quiz/train.en"])
    assert max(places.values()) < 0.3 * len(rows["place-quiz/train.en"])
