"""Paraphrase: QQP and PAWS-X. Two sentences that mean the same, or do not."""

from __future__ import annotations

from xstilts.catalogue import languages
from xstilts.catalogue.entry import ENGLISH, Counts, Entry, by_language, english, table
from xstilts.task import Metric, Task, TaskType

QQP = Entry(
    task=Task(
        name="qqp",
        type=TaskType.CLASSIFICATION,
        format="qqp",
        metric=Metric.ACCURACY_AND_F1,
        labels=("not_duplicate", "duplicate"),
    ),
    title="QQP",
    role="intermediate",
    languages=(ENGLISH,),
    trains_on="qqp",
    sources=frozenset({"qqp-train"}),
    files=english("nyu-mll/glue", config="qqp"),
    licence="Quora's terms of service: non-commercial use",
    citation="Iyer, Dandekar, Csernai (2017), First Quora Dataset Release: Question Pairs",
    notes="363,846 train and 40,430 dev rows (from memory). The dev score is the mean of accuracy and F1.",
    counts=Counts(train=363_846, dev=40_430, pieces=34),
)

PAWSX = Entry(
    task=Task(
        name="pawsx",
        type=TaskType.CLASSIFICATION,
        format="pawsx",
        metric=Metric.ACCURACY,
        labels=("0", "1"),
    ),
    title="PAWS-X",
    role="target",
    languages=languages.PAWSX,
    trains_on="pawsx",
    sources=frozenset({"pawsx-train"}),
    files=(
        table("train", ENGLISH, "google-research-datasets/paws-x", config=ENGLISH),
        *(
            file
            for split in ("validation", "test")
            for file in by_language(
                split, {code: code for code in languages.PAWSX}, "google-research-datasets/paws-x"
            )
        ),
    ),
    licence="free for any purpose, acknowledging Google LLC",
    citation="Yang et al. (2019), arXiv:1908.11828",
    notes="49,401 English train rows, about 2,000 dev and test rows a language (from memory). Rows that were not "
    "translated hold the text NS in some languages and count, as they do in XTREME.",
    counts=Counts(train=49_401, dev=2_000, test=2_000, pieces=64, test_pieces=68),
)

ENTRIES = (QQP, PAWSX)
