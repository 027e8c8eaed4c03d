"""Multiple choice: HellaSwag, CosmosQA and CommonsenseQA. One scalar a choice, softmax over the choices."""

from __future__ import annotations

from xstilts.catalogue.entry import ENGLISH, Counts, Entry, english
from xstilts.task import Metric, Task, TaskType


def _choice(name: str) -> Task:
    return Task(name=name, type=TaskType.MULTIPLE_CHOICE, format=name, metric=Metric.ACCURACY)


HELLASWAG = Entry(
    task=_choice("hellaswag"),
    title="HellaSwag",
    role="intermediate",
    languages=(ENGLISH,),
    trains_on="hellaswag",
    sources=frozenset({"hellaswag-train"}),
    files=english("Rowan/hellaswag"),
    licence="MIT",
    citation="Zellers et al. (2019), arXiv:1905.07830",
    notes="39,905 train and 10,042 dev rows (from memory). A = ctx_a, B = ctx_b + ' ' + ending; labels are strings.",
    counts=Counts(train=39_905, dev=10_042, pieces=54, choices=4, joined=111),
)

COSMOS_QA = Entry(
    task=_choice("cosmos_qa"),
    title="CosmosQA",
    role="intermediate",
    languages=(ENGLISH,),
    trains_on="cosmos_qa",
    sources=frozenset({"cosmos-qa-train"}),
    files=english("allenai/cosmos_qa", reference="refs/convert/parquet"),
    licence="CC BY 4.0",
    citation="Huang et al. (2019), arXiv:1909.00277",
    notes="25,262 train rows (from memory) and 2,985 dev rows. A = context + ' ' + question, B = an answer. The "
    "repository's main branch holds a script, so it is read from its branch refs/convert/parquet.",
    counts=Counts(train=25_262, dev=2_985, pieces=117, choices=4, joined=148),
)

COMMONSENSE_QA = Entry(
    task=_choice("commonsense_qa"),
    title="CommonsenseQA",
    role="intermediate",
    languages=(ENGLISH,),
    trains_on="commonsense_qa",
    sources=frozenset({"commonsense-qa-train"}),
    files=english("tau/commonsense_qa"),
    licence="MIT (from memory)",
    citation="Talmor et al. (2019), arXiv:1811.00937",
    notes="9,741 train and 1,221 dev rows. A = question, B = one of five choices.",
    counts=Counts(train=9_741, dev=1_221, pieces=22, choices=5, joined=27),
)

ENTRIES = (HELLASWAG, COSMOS_QA, COMMONSENSE_QA)
