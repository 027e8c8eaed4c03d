"""Extractive question answering: SQuAD 1.1 and 2, XQuAD, MLQA and TyDiQA-GoldP."""

from __future__ import annotations

from xstilts.catalogue import languages
from xstilts.catalogue.entry import ENGLISH, Counts, Entry, by_language, english, table
from xstilts.task import Metric, Task, TaskType

_TYDI_NAMES = {  # the id of a row begins with its language: the hub has one table of all nine
    "ar": "arabic",
    "bn": "bengali",
    "en": "english",
    "fi": "finnish",
    "id": "indonesian",
    "ko": "korean",
    "ru": "russian",
    "sw": "swahili",
    "te": "telugu",
}


def _span_qa(name: str, metric: Metric) -> Task:
    return Task(name=name, type=TaskType.SPAN_QA, format="squad", metric=metric)


SQUAD = Entry(
    task=_span_qa("squad", Metric.SQUAD),
    title="SQuAD 1.1",
    role="intermediate",
    languages=(ENGLISH,),
    trains_on="squad",
    own_dev=False,
    sources=frozenset({"squad-train"}),
    files=english("rajpurkar/squad", config="plain_text"),
    licence="CC BY-SA 4.0",
    citation="Rajpurkar et al. (2016), arXiv:1606.05250",
    notes="87,599 train and 10,570 dev rows. XQuAD is a translated part of the dev split, so nothing is ever "
    "selected on that: a tenth of train is held out, by context.",
    counts=Counts(train=87_599, pieces=200, windows=1.02),
)

SQUAD_V2 = Entry(
    task=_span_qa("squad_v2", Metric.SQUAD_V2),
    title="SQuAD 2",
    role="intermediate",
    languages=(ENGLISH,),
    trains_on="squad_v2",
    own_dev=False,
    sources=frozenset({"squad-train", "squad-v2-unanswerable"}),
    files=english("rajpurkar/squad_v2", config="squad_v2"),
    licence="CC BY-SA 4.0",
    citation="Rajpurkar, Jia, Liang (2018), arXiv:1806.03822",
    notes="130,319 train and 11,873 dev rows (from memory), unanswerable ones with empty answers. Its answerable "
    "rows are SQuAD 1.1's, dev included: held out like SQuAD.",
    counts=Counts(train=130_319, pieces=200, windows=1.02),
)

XQUAD = Entry(
    task=_span_qa("xquad", Metric.SQUAD),
    title="XQuAD",
    role="target",
    languages=languages.XQUAD,
    trains_on="squad",
    files=by_language(
        "test",
        {code: f"XQuAD.{code}" for code in languages.XQUAD},
        "google/xtreme",
        hub_split="validation",
    ),
    licence="CC BY-SA 4.0",
    citation="Artetxe, Ruder, Yogatama (2020), arXiv:1910.11856",
    notes="1,190 rows, the same in every language; it has no dev of its own.",
    counts=Counts(  # longer than in the slice, whose contexts are short on purpose: by the ratio of the English ones
        test=1_190, test_pieces=230, test_windows=1.2
    ),
)

MLQA = Entry(
    task=_span_qa("mlqa", Metric.MLQA),
    title="MLQA",
    role="target",
    languages=languages.MLQA,
    trains_on="squad",
    files=tuple(
        file
        for split in ("validation", "test")
        for file in by_language(
            split, {code: f"MLQA.{code}.{code}" for code in languages.MLQA}, "google/xtreme"
        )
    ),
    licence="CC BY-SA 3.0",
    citation="Lewis et al. (2020), arXiv:1910.07475",
    notes="Context and question in the same language, as XTREME scores it; 4,517 to 11,590 test rows.",
    counts=Counts(test=6_035, test_pieces=233, test_windows=1.33),
)

TYDIQA = Entry(
    task=_span_qa("tydiqa", Metric.SQUAD),
    title="TyDiQA-GoldP",
    role="target",
    languages=languages.TYDIQA,
    trains_on="tydiqa",
    own_dev=False,
    sources=frozenset({"tydiqa-train"}),
    files=(
        table("train", ENGLISH, "google/xtreme", config="tydiqa", id_prefix="english-"),
        *(
            table(
                "test",
                code,
                "google/xtreme",
                config="tydiqa",
                hub_split="validation",
                id_prefix=f"{name}-",
            )
            for code, name in _TYDI_NAMES.items()
        ),
    ),
    licence="Apache 2.0",
    citation="Clark et al. (2020), arXiv:2003.05002",
    notes="XTREME's test is TyDi's dev, so a tenth of the English train rows is held out, by passage. The hub's "
    "table holds nine languages (49,881 and 5,077 rows): the prefix of the id takes one.",
    counts=Counts(train=3_696, test=564, pieces=165, windows=1.04, test_pieces=167, test_windows=1.08),
)

ENTRIES = (SQUAD, SQUAD_V2, XQUAD, MLQA, TYDIQA)
