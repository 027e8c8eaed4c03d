"""Span QA: question and context in overlapping windows, and scores of pieces back to a text of the context.

As BERT's run_squad and jiant do it: the context moves on by `doc_stride` pieces a window; a window without the whole
answer is labelled with the null place; at prediction a piece counts in the window where it has most context around it.
The null answer is place 0, XLM-R's and BERT's first piece. A tokenizer that puts no special piece first (mT5) gets its pad
piece there, to keep the place: what stands in it for the null answer is made by the head (`models.heads.SpanHead`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from xstilts_trainer.data.examples import SpanExample
from xstilts_trainer.data.features import Encoded, Feature
from xstilts_trainer.data.pieces import PieceIds, PieceTokenizer

NULL = 0
FloatArray = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class SpanFeature(Feature):
    """A window of a context, behind its question.

    Attributes:
        context: the place of the window's first context piece.
        offsets: [W, 2] the characters of the context that each of its W context pieces covers.
        most_context: [W] whether no other window shows the piece with more around it.
    """

    context: int
    offsets: PieceIds
    most_context: npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class SpanPrediction:
    """The best answer and how much the null answer outweighs it (SQuAD 2: above a threshold there is no answer)."""

    text: str
    null_score_difference: float


def encode_spans(
    pieces: PieceTokenizer,
    examples: Sequence[SpanExample],
    *,
    max_length: int,
    doc_stride: int,
    max_query_length: int,
) -> Encoded[SpanFeature]:
    """Windows of at most `max_length` pieces, `start_positions` and `end_positions` of the first answer.

    A question is cut to `max_query_length` pieces, and to half of what a window holds; cut examples are those.
    """
    template = pieces.pair
    if not template.before:
        template = replace(template, before=(pieces.pad_id,))
    query_limit = min(max_query_length, (max_length - template.special_pieces) // 2)
    contexts = dict.fromkeys(example.context for example in examples)
    encoded = dict(zip(contexts, pieces.ids_and_offsets(list(contexts)), strict=True))
    features: list[SpanFeature] = []
    cut = 0
    questions = pieces.ids([example.question for example in examples])
    for index, (example, whole_question) in enumerate(zip(examples, questions, strict=True)):
        question = whole_question[:query_limit]
        cut += len(question) < len(whole_question)
        ids, offsets = encoded[example.context]
        context = len(template.before) + len(question) + len(template.middle)
        answer = answer_pieces(example, offsets)
        windows = list(
            context_windows(len(ids), max_length - template.special_pieces - len(question), doc_stride)
        )
        for (start, end), most in zip(windows, _most_context(windows, len(ids)), strict=True):
            labels = {"start_positions": NULL, "end_positions": NULL}
            if answer and start <= answer[0] and answer[1] < end:
                labels = {
                    "start_positions": context + answer[0] - start,
                    "end_positions": context + answer[1] - start,
                }
            filled = template.fill(question, ids[start:end])
            features.append(SpanFeature(index, (filled,), labels, context, offsets[start:end], most))
    return Encoded(features, cut)


def predict_answers(
    examples: Sequence[SpanExample],
    features: Sequence[SpanFeature],
    logits: Sequence[FloatArray],
    *,
    n_best: int,
    max_answer_length: int,
) -> dict[str, SpanPrediction]:
    """The best answer of each question, by its id.

    In each window the `n_best` best starts are paired with the `n_best` best ends; a pair must lie in the context, start at a
    piece with most context, and be at most `max_answer_length` pieces long. The best sum of the two logits over all windows wins;
    the text between is taken from the context as it stands. Without any such pair the answer is the empty text, with score 0.

    Args:
        examples: the questions.
        features: their windows.
        logits: [T or more, 2] of each window: start and end.
        n_best: candidates considered for starts, and for ends.
        max_answer_length: in pieces.
    """
    best = [(-np.inf, "")] * len(examples)
    null = [np.inf] * len(examples)
    for feature, of_pieces in zip(features, logits, strict=True):
        scores = np.asarray(of_pieces, dtype=np.float64)[: len(feature)]
        null[feature.example] = min(null[feature.example], float(scores[NULL].sum()))
        found = _best_span(feature, scores, n_best, max_answer_length)
        if found and found[0] > best[feature.example][0]:
            score, first, last = found
            context = examples[feature.example].context
            best[feature.example] = score, context[feature.offsets[first, 0] : feature.offsets[last, 1]]
    predictions = {}
    for example, (score, text), null_score in zip(examples, best, null, strict=True):
        predictions[example.id] = SpanPrediction(text, null_score - (score if np.isfinite(score) else 0.0))
    return predictions


def _best_span(
    feature: SpanFeature, scores: npt.NDArray[np.float64], n_best: int, max_answer_length: int
) -> tuple[float, int, int] | None:
    """The best pair of a window: its score, its first and its last context piece."""
    # stable: of equal logits the first place comes first, on every machine
    starts = np.argsort(-scores[:, 0], kind="stable")[:n_best] - feature.context
    ends = np.argsort(-scores[:, 1], kind="stable")[:n_best] - feature.context
    inside = len(feature.offsets)
    starts = starts[(starts >= 0) & (starts < inside)]
    ends = ends[(ends >= 0) & (ends < inside)]
    starts = starts[feature.most_context[starts]]
    length = ends[None, :] - starts[:, None] + 1
    sums = scores[starts + feature.context, 0][:, None] + scores[ends + feature.context, 1][None, :]
    sums = np.where((length >= 1) & (length <= max_answer_length), sums, -np.inf)
    if not sums.size or not np.isfinite(sums).any():
        return None
    row, column = np.unravel_index(np.argmax(sums), sums.shape)
    return float(sums[row, column]), int(starts[row]), int(ends[column])


def answer_pieces(example: SpanExample, offsets: PieceIds) -> tuple[int, int] | None:
    """The first and the last context piece of the first answer; None if there is no answer, or no piece shows it."""
    if not example.answers:
        return None
    start, end = example.starts[0], example.starts[0] + len(example.answers[0])
    covers = (offsets[:, 1] > start) & (offsets[:, 0] < end) & (offsets[:, 0] < offsets[:, 1])
    found = np.flatnonzero(covers)
    return (int(found[0]), int(found[-1])) if len(found) else None


def context_windows(length: int, room: int, stride: int) -> Iterator[tuple[int, int]]:
    """The pieces [start, end) of each window. No step is wider than a window: every piece is in one.

    Room and stride are at least 1, or the windows would have no end.
    """
    start = 0
    while start + room < length:
        yield start, start + room
        start += min(stride, room)
    yield start, length


def _most_context(windows: Sequence[tuple[int, int]], length: int) -> list[npt.NDArray[np.bool_]]:
    """For each window, which pieces it shows best: most pieces on the scarcer side, and then the longer window.

    Of equals the first. In the memory of a text and a window: a long context has thousands of windows.
    """
    highest = np.full(length, -np.inf)
    best = np.zeros(length, dtype=np.int64)
    for window, (start, end) in enumerate(windows):
        places = np.arange(start, end)
        scores = np.minimum(places - start, end - 1 - places) + 0.01 * (end - start)
        better = places[scores > highest[start:end]]
        highest[better], best[better] = scores[better - start], window
    return [best[start:end] == window for window, (start, end) in enumerate(windows)]
