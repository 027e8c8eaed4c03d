"""Token tagging: CCG supertags, parts of speech (UD 2.5) and named entities (PAN-X)."""

from __future__ import annotations

from xstilts.catalogue import languages
from xstilts.catalogue.entry import ENGLISH, Counts, Entry, by_language, table
from xstilts.task import Metric, Task, TaskType

# In the order of their numbers in google/xtreme's data card.
UPOS_TAGS = (
    "ADJ",
    "ADP",
    "ADV",
    "AUX",
    "CCONJ",
    "DET",
    "INTJ",
    "NOUN",
    "NUM",
    "PART",
    "PRON",
    "PROPN",
    "PUNCT",
    "SCONJ",
    "SYM",
    "VERB",
    "X",
)
ENTITY_TAGS = ("O", "B-PER", "I-PER", "B-ORG", "I-ORG", "B-LOC", "I-LOC")

_UD_CONFIGS = {
    code: f"udpos.{languages.LANGUAGES[code].name}" for code in languages.UDPOS
}  # udpos.Afrikaans …
_PANX_CONFIGS = {code: f"PAN-X.{code}" for code in languages.PANX}

CCG = Entry(
    task=Task(name="ccg", type=TaskType.TAGGING, format="ccg", metric=Metric.TOKEN_ACCURACY),
    title="CCG",
    role="intermediate",
    languages=(ENGLISH,),
    trains_on="ccg",
    sources=frozenset({"ccgbank-train"}),
    unavailable="CCGbank is licensed by the Linguistic Data Consortium (LDC2005T13) and no hub may carry it: give "
    "your own copy as `data`, a folder of train.en.tsv and validation.en.tsv with lines of text, a tab and tags "
    "(both split at spaces), and tags_to_id.json",
    licence="LDC User Agreement",
    citation="Hockenmaier, Steedman (2007), CCGbank",
    notes="38,015 train and 5,484 dev sentences, 1,363 tags (from memory): the tags are those of tags_to_id.json.",
    counts=Counts(train=38_015, dev=5_484, pieces=32),  # pieces: a guess, from the length of such sentences
)

UDPOS = Entry(
    task=Task(
        name="udpos",
        type=TaskType.TAGGING,
        format="udpos",
        metric=Metric.TAGGING_F1,
        labels=UPOS_TAGS,
    ),
    title="POS",
    role="target",
    languages=languages.UDPOS,
    trains_on="udpos",
    sources=frozenset({"udpos-train"}),
    files=(
        table("train", ENGLISH, "google/xtreme", config="udpos.English"),
        *by_language("validation", _UD_CONFIGS, "google/xtreme", leave_out=("kk", "th", "tl", "yo")),
        *by_language("test", _UD_CONFIGS, "google/xtreme"),
    ),
    licence="a licence a treebank: CC BY-SA, CC BY-NC-SA, GPL and others",
    citation="Nivre et al. (2020), arXiv:2004.10643; Universal Dependencies 2.5",
    notes="All English treebanks of UD 2.5: 21,253 train and 3,974 dev sentences. Thai, Tagalog and Yoruba are "
    "test-only, Kazakh has no dev.",
    counts=Counts(train=21_253, dev=3_974, test=2_400, pieces=25, test_pieces=32),
)

PANX = Entry(
    task=Task(
        name="panx",
        type=TaskType.TAGGING,
        format="panx",
        metric=Metric.TAGGING_F1,
        labels=ENTITY_TAGS,
    ),
    title="NER",
    role="target",
    languages=languages.PANX,
    trains_on="panx",
    sources=frozenset({"panx-train"}),
    files=(
        table("train", ENGLISH, "google/xtreme", config="PAN-X.en"),
        *by_language("validation", _PANX_CONFIGS, "google/xtreme"),
        *by_language("test", _PANX_CONFIGS, "google/xtreme"),
    ),
    licence="unknown; the text is Wikipedia's (CC BY-SA)",
    citation="Pan et al. (2017); Rahimi, Li, Cohn (2019), arXiv:1902.00193",
    notes="20,000 English train and 10,000 dev sentences.",
    counts=Counts(train=20_000, dev=10_000, test=6_558, pieces=14, test_pieces=17),
)

ENTRIES = (CCG, UDPOS, PANX)
