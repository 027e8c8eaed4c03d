"""Natural language inference: MNLI, ANLI+ and XNLI. One premise, one hypothesis, three labels."""

from __future__ import annotations

from xstilts.catalogue import languages
from xstilts.catalogue.entry import ENGLISH, Counts, Entry, by_language, english, table
from xstilts.stage import DataFile, Slice
from xstilts.task import Metric, Task, TaskType

NLI_LABELS = ("entailment", "neutral", "contradiction")  # 0, 1, 2 in GLUE, SNLI, ANLI and XNLI alike


def _nli(name: str) -> Task:
    return Task(
        name=name, type=TaskType.CLASSIFICATION, format="nli", metric=Metric.ACCURACY, labels=NLI_LABELS
    )


def _anli_plus_file(split: str, glue_split: str, anli_prefix: str) -> DataFile:
    """MNLI, SNLI and the three rounds of ANLI one after the other: drawn from evenly, they are proportional."""
    rounds = (
        Slice(
            repository="facebook/anli",
            revision=None,
            config="plain_text",
            split=f"{anli_prefix}_r{number}",
        )
        for number in (1, 2, 3)
    )
    mnli = Slice(repository="nyu-mll/glue", revision=None, config="mnli", split=glue_split)
    snli = Slice(
        repository="stanfordnlp/snli",
        revision=None,
        config="plain_text",
        split=split,
        drop_label=-1,  # no gold label: the annotators did not agree
    )
    return DataFile(split=split, language=ENGLISH, slices=(mnli, snli, *rounds))


MNLI = Entry(
    task=_nli("mnli"),
    title="MNLI",
    role="intermediate",
    languages=(ENGLISH,),
    trains_on="mnli",
    sources=frozenset({"mnli-train"}),
    files=english("nyu-mll/glue", config="mnli", dev="validation_matched"),
    translations={
        language: table("train", language, "facebook/xnli", config=language)
        for language in languages.XNLI
        if language != ENGLISH
    },
    licence="OANC, parts CC BY 3.0 and CC BY-SA 3.0",
    citation="Williams, Nangia, Bowman (2018), arXiv:1704.05426",
    notes="392,702 train and 9,815 matched dev rows (from memory). The translations are facebook/xnli's "
    "machine-translated train split.",
    counts=Counts(train=392_702, dev=9_815, pieces=45),
)

ANLI_PLUS = Entry(
    task=_nli("anli_plus"),
    title="ANLI+",
    role="intermediate",
    languages=(ENGLISH,),
    trains_on="anli_plus",
    sources=frozenset({"mnli-train", "snli-train", "anli-train"}),
    files=(
        _anli_plus_file("train", "train", "train"),
        _anli_plus_file("validation", "validation_matched", "dev"),
    ),
    licence="ANLI CC BY-NC 4.0, SNLI CC BY-SA 4.0, MNLI as above",
    citation="Nie et al. (2020), arXiv:1910.14599; Bowman et al. (2015), arXiv:1508.05326",
    notes="1,104,934 train rows: MNLI + SNLI + ANLI rounds 1 to 3 (from memory), one shared head. As files: one "
    "train.en table of all of them.",
    counts=Counts(  # the pieces of its parts, by their shares: MNLI 45, SNLI 30, ANLI 98
        train=1_104_934, dev=22_857, pieces=45
    ),
)

XNLI = Entry(
    task=_nli("xnli"),
    title="XNLI",
    role="target",
    languages=languages.XNLI,
    trains_on="mnli",
    files=tuple(
        file
        for split in ("validation", "test")
        for file in by_language(split, {code: code for code in languages.XNLI}, "facebook/xnli")
    ),
    licence="CC BY-NC 4.0",
    citation="Conneau et al. (2018), arXiv:1809.05053",
    notes="2,490 dev and 5,010 test rows a language, the same items in all fifteen, three hypotheses a premise. "
    "Trained and selected on MNLI, as jiant's XTREME runs are (TRAIN_TASK_DICT).",
    counts=Counts(test=5_010, test_pieces=46),
)

ENTRIES = (MNLI, ANLI_PLUS, XNLI)
