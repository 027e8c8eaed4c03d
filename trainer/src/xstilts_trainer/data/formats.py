"""What the columns of a task's data files mean: one function a format, from a row to an example.

The formats of the catalogue's tasks have the columns of the Hugging Face hub; more columns are ignored. The last five
are those of own tasks. How a label may be spelled stands in `rows.LabelSet`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from types import MappingProxyType

from xstilts_trainer.data.examples import (
    ChoiceExample,
    Example,
    PairExample,
    RetrievalExample,
    SpanExample,
    TagExample,
)
from xstilts_trainer.data.rows import ColumnError, LabelSet, Row, shown

Format = Callable[[Row], Example]


def nli(row: Row) -> PairExample:
    """MNLI, SNLI, ANLI, XNLI: `premise`, `hypothesis`, `label`."""
    return _pair(row, "premise", "hypothesis")


def qqp(row: Row) -> PairExample:
    """Quora question pairs: `question1`, `question2`, `label`."""
    return _pair(row, "question1", "question2")


def pawsx(row: Row) -> PairExample:
    """PAWS-X: `sentence1`, `sentence2`, `label`."""
    return _pair(row, "sentence1", "sentence2")


def squad(row: Row) -> SpanExample:
    """SQuAD, XQuAD, MLQA, TyDiQA-GoldP: `id`, `context`, `question`, `answers` {`text` [], `answer_start` []}.

    `answer_start` counts code points, and the context must hold the answer's text there, character by character: a
    shifted offset is an error, since a search for the text may find another occurrence.
    """
    context, question = row.text("context"), row.text("question")
    answers, starts = _answers(row)
    for place, (answer, start) in enumerate(zip(answers, starts, strict=True), start=1):
        if not answer.strip():
            raise ColumnError("answers.text", f"answer {place} must not be empty, was {shown(answer)}")
        found = context[start : start + len(answer)] if start >= 0 else ""
        if found != answer:
            raise ColumnError(
                "answers.answer_start",
                f"must be the place of answer {place} in the context, counted in code points, was {start}: "
                f"there stands {shown(found)}, not {shown(answer)}",
            )
    return SpanExample(_identifier(row), question, context, answers, starts)


def hellaswag(row: Row) -> ChoiceExample:
    """HellaSwag: `ctx_a`, `ctx_b`, `endings` [4], `label` (the hub has digits as strings).

    Each choice pairs ctx_a with ctx_b + " " + ending (jiant); ctx_b is empty in the WikiHow rows.
    """
    first, second = row.text("ctx_a"), row.text("ctx_b", may_be_empty=True)
    endings = _choices(row, "endings", row.texts("endings"))
    label = row.label("label", _numbered(len(endings)))
    return ChoiceExample(tuple((first, f"{second} {ending}") for ending in endings), label)


def cosmos_qa(row: Row) -> ChoiceExample:
    """CosmosQA: `context`, `question`, `answer0` to `answer3`, `label`.

    Each choice pairs context + " " + question with the answer (jiant).
    """
    passage = f"{row.text('context')} {row.text('question')}"
    answers = tuple(row.text(f"answer{number}") for number in range(4))
    return ChoiceExample(tuple((passage, answer) for answer in answers), row.label("label", _numbered(4)))


def commonsense_qa(row: Row) -> ChoiceExample:
    """CommonsenseQA: `question`, `choices` {`label` [], `text` []}, `answerKey`: one of the choices' letters."""
    question, choices = row.text("question"), row.mapping("choices")
    letters = choices.texts("choices.label")
    texts = _choices(choices, "choices.text", choices.texts("choices.text"))
    if len(letters) != len(texts) or len(set(letters)) != len(letters):
        raise ColumnError(
            "choices.label", f"must hold one letter a choice, each once, was {shown(list(letters))}"
        )
    return ChoiceExample(tuple((question, text) for text in texts), row.label("answerKey", LabelSet(letters)))


def ccg(row: Row) -> TagExample:
    """CCG supertags: `text` and `tags`, each split at single spaces (jiant)."""
    tokens = tuple(row.text("text").split(" "))
    return TagExample(tokens, row.tag_numbers("tags", list(row.text("tags").split(" ")), len(tokens)))


def udpos(row: Row) -> TagExample:
    """Universal Dependencies: `tokens`, `pos_tags`."""
    return _tagged(row, "pos_tags")


def panx(row: Row) -> TagExample:
    """PAN-X: `tokens`, `ner_tags`."""
    return _tagged(row, "ner_tags")


def tatoeba(row: Row) -> RetrievalExample:
    """Tatoeba: `source_sentence` (foreign), `target_sentence` (English)."""
    return RetrievalExample(row.text("source_sentence"), row.text("target_sentence"))


def text_classification(row: Row) -> PairExample:
    """An own task: `text`, `text_pair` (no such column: single texts), `label`."""
    text_pair = row.text("text_pair") if "text_pair" in row.values else None
    return PairExample(row.text("text"), text_pair, row.label("label"))


def multiple_choice(row: Row) -> ChoiceExample:
    """An own task: `text`, `choices` [two or more], `label` (the number of the right one)."""
    text, choices = row.text("text"), _choices(row, "choices", row.texts("choices"))
    return ChoiceExample(
        tuple((text, choice) for choice in choices), row.label("label", _numbered(len(choices)))
    )


def tagging(row: Row) -> TagExample:
    """An own task: `tokens`, `tags`."""
    return _tagged(row, "tags")


def retrieval(row: Row) -> RetrievalExample:
    """An own task: `source` (foreign), `target` (English)."""
    return RetrievalExample(row.text("source"), row.text("target"))


FORMATS: Mapping[str, Format] = MappingProxyType(
    {
        "nli": nli,
        "qqp": qqp,
        "pawsx": pawsx,
        "squad": squad,
        "hellaswag": hellaswag,
        "cosmos_qa": cosmos_qa,
        "commonsense_qa": commonsense_qa,
        "ccg": ccg,
        "udpos": udpos,
        "panx": panx,
        "tatoeba": tatoeba,
        "text_classification": text_classification,
        "multiple_choice": multiple_choice,
        "tagging": tagging,
        "span_qa": squad,
        "retrieval": retrieval,
    }
)
"""Format name -> row -> example. `bucc2018` has three files and no rows of this kind: see `load.load_corpora`."""


def _pair(row: Row, first: str, second: str) -> PairExample:
    """A catalogue task's pair. One side may be empty, as in a few rows of GLUE's QQP; with both, nothing is said."""
    text, text_pair = row.text(first, may_be_empty=True), row.text(second, may_be_empty=True)
    if not text.strip() and not text_pair.strip():
        raise ColumnError(first, f"must not be empty where {second} is empty too, was {shown(text)}")
    return PairExample(text, text_pair, row.label("label"))


def _tagged(row: Row, column: str) -> TagExample:
    tokens = row.texts("tokens")
    if not tokens:
        raise ColumnError("tokens", "must hold at least one token, was []")
    return TagExample(tokens, row.tags(column, len(tokens)))


def _choices(row: Row, column: str, texts: tuple[str, ...]) -> tuple[str, ...]:
    if len(texts) < 2:
        raise ColumnError(column, f"must hold two choices or more, was {shown(row.values[column])}")
    for place, text in enumerate(texts, start=1):
        if not text.strip():
            raise ColumnError(column, f"choice {place} must not be empty, was {shown(text)}")
    return texts


@cache
def _numbered(count: int) -> LabelSet:
    return LabelSet(tuple(map(str, range(count))))


def _identifier(row: Row) -> str:
    value = row.value("id")
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return row.text("id")


def _answers(row: Row) -> tuple[tuple[str, ...], tuple[int, ...]]:
    answers = row.mapping("answers")
    texts, starts = answers.texts("answers.text"), answers.integers("answers.answer_start")
    if len(texts) != len(starts):
        raise ColumnError(
            "answers.answer_start",
            f"must hold one place an answer, has {len(starts)} for {len(texts)} answers",
        )
    if not texts and not row.may_be_unanswerable:
        raise ColumnError("answers.text", "must hold at least one answer, was [] (only SQuAD 2 has none)")
    return texts, starts
