"""The catalogue's lengths against the tasks' real slices, in the pieces of XLM-R's vocabulary, as the trainer cuts them."""

from __future__ import annotations

import re
from statistics import fmean

import pytest

from xstilts.catalogue import CATALOGUE, ENGLISH

SLICES = {  # task: folder, split that is or stands for train, and for test; a slice has not each of them
    "mnli": ("mnli", "train", None),
    "qqp": ("qqp", "train", None),
    "squad": ("squad", "train", None),
    "hellaswag": ("hellaswag", "validation", None),
    "cosmos_qa": ("cosmos_qa", "validation", None),
    "commonsense_qa": ("commonsense_qa", "validation", None),
    "xnli": ("xnli", None, "test"),
    "pawsx": ("paws-x", None, "test"),
    "mlqa": ("mlqa", None, "validation"),
    "tydiqa": ("tydiqa", "train", "validation"),
    "udpos": ("udpos_xtreme", "train", "test"),
    "panx": ("panx", "train", "test_from_dev"),
}


@pytest.fixture(scope="module")
def pieces(encoder_dir):
    from xstilts.stage import Family
    from xstilts_trainer.data.pieces import PieceTokenizer
    from xstilts_trainer.models.backbone import ENCODERS
    from xstilts_trainer.models.folders import load_tokenizer, read_config

    return PieceTokenizer(load_tokenizer(encoder_dir, read_config(encoder_dir, Family.E5, ENCODERS)))


def measured(name, folder, split, languages, pieces):
    """Sequences a row and their mean pieces, over languages."""
    from xstilts.catalogue.recipes import recipe
    from xstilts.stage import Family, TaskData
    from xstilts_trainer.data.encode import HeadFeatures
    from xstilts_trainer.evaluation.test_sets import load_task

    task = CATALOGUE[name].task
    data = TaskData(task=task, role="data", split=split, languages=languages)
    features = HeadFeatures(pieces, recipe(Family.XLMR, "target", [task]))
    sequences, lengths = [], []
    for examples in load_task(data, folder)[1].values():
        read = [len(one) for feature in features.training(task, examples).features for one in feature.inputs]
        sequences.append(len(read) / len(examples))
        lengths.append(fmean(read))
    return fmean(sequences), fmean(lengths)


@pytest.mark.data
@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(SLICES))
def test_the_catalogue_has_the_lengths_of_the_slices(name, data_dir, pieces):
    folder, train, test = SLICES[name]
    entry = CATALOGUE[name]
    counts = entry.counts
    if train is not None:
        sequences, length = measured(name, data_dir / folder, train, (ENGLISH,), pieces)
        assert length == pytest.approx(counts.pieces, rel=0.04)
        assert sequences == pytest.approx(counts.windows * counts.choices, rel=0.02)
    if test is not None:
        there = {path.name.split(".")[1] for path in (data_dir / folder).glob(f"{test}.*.jsonl")}
        languages = tuple(sorted(there & set(entry.languages)))
        sequences, length = measured(name, data_dir / folder, test, languages, pieces)
        assert length == pytest.approx(counts.test_pieces, rel=0.04)
        assert sequences == pytest.approx(counts.test_windows * counts.choices, rel=0.02)


@pytest.mark.parametrize("name", sorted(CATALOGUE))
def test_counts_are_those_that_a_task_needs_and_its_notes_say(name):
    entry = CATALOGUE[name]
    counts = entry.counts
    assert counts is not None
    assert bool(counts.train) == (entry.trains_on == name)
    assert bool(counts.test) == entry.is_target
    assert (counts.pieces > 0) == (counts.train > 0)
    assert (counts.test_pieces > 0) == (counts.test > 0)
    if entry.trains_on == name:
        has_dev = entry.own_dev
        assert bool(counts.dev) == has_dev
    said = {int(number.replace(",", "")) for number in re.findall(r"\d[\d,]*\d{3}", entry.notes)}
    if counts.train and said and name != "tydiqa":  # whose notes count the hub's table of nine languages
        assert counts.train in said
