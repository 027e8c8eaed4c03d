"""Sentence retrieval: Tatoeba and BUCC 2018. Nothing is trained: a model is applied as phase (ii) left it."""

from __future__ import annotations

from xstilts.catalogue import languages
from xstilts.catalogue.entry import Counts, Entry, by_language
from xstilts.task import Metric, Task, TaskType

TATOEBA = Entry(
    task=Task(name="tatoeba", type=TaskType.RETRIEVAL, format="tatoeba", metric=Metric.ACCURACY),
    title="Tatoeba",
    role="target",
    languages=languages.TATOEBA,
    trains_on=None,
    files=by_language(
        "test",
        {code: f"tatoeba.{languages.LANGUAGES[code].tatoeba}" for code in languages.TATOEBA},
        "google/xtreme",
        hub_split="validation",
    ),
    licence="CC BY 2.0 FR",
    citation="Artetxe, Schwenk (2019), arXiv:1812.10464",
    notes="Up to 1,000 pairs a language; the nearest neighbour of each English sentence among the foreign ones. It "
    "has no dev of its own.",
    counts=Counts(test=1_760, test_pieces=12),
)

BUCC2018 = Entry(
    task=Task(name="bucc2018", type=TaskType.MINING, format="bucc2018", metric=Metric.MINING_F1),
    title="BUCC 2018",
    role="target",
    languages=languages.BUCC2018,
    trains_on=None,
    evaluates="validation",
    unavailable="the hub's copy (google/xtreme bucc18) holds the gold pairs alone, without the sentences that have "
    "no partner, which is another and easier task: give the corpora as `data`, a folder of corpus_source.LANG.jsonl, "
    "corpus_target.LANG.jsonl (id, sentence) and validation.LANG.jsonl (gold pairs)",
    licence="the shared task's terms",
    citation="Zweigenbaum, Sharoff, Rapp (2018), Overview of the Third BUCC Shared Task",
    notes="The gold of its test split is not public: the dev split is scored, with the threshold cross-fitted over "
    "two halves, and the number is labelled dev.",
    counts=Counts(  # the sample set's sentences, from memory but for Chinese, whose 22,213 were counted
        test=68_200, test_pieces=26
    ),
)

ENTRIES = (TATOEBA, BUCC2018)
