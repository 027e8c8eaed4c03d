"""Span QA: windows, answer places and post-processing, held against independent readings of the same rules."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xstilts_trainer.data.examples import SpanExample
from xstilts_trainer.data.span import _most_context, context_windows, encode_spans, predict_answers

LENGTHS = {"max_length": 24, "doc_stride": 6, "max_query_length": 8}


def question(text="who", context="rio is big", answer=("big", 7), identifier="q"):
    answers, starts = ((answer[0],), (answer[1],)) if answer else ((), ())
    return SpanExample(identifier, text, context, answers, starts)


def logits_of(features, spans):
    """Logits [T, 2] of a model that is certain of one span (first, last context piece) in some windows."""
    scores = [np.zeros((len(feature), 2)) for feature in features]
    for window, (first, last) in spans.items():
        scores[window][features[window].context + first, 0] = 9.0
        scores[window][features[window].context + last, 1] = 9.0
    return scores


def answer(examples, features, scores, n_best=20, max_answer_length=30):
    return predict_answers(examples, features, scores, n_best=n_best, max_answer_length=max_answer_length)


def test_one_window_is_the_tokenizers_own_pair(xlmr, xlmr_pieces):
    example = question("Wie groß ist Rio?", "Rio ist sehr groß。你好", ("groß", 13))
    (feature,) = encode_spans(
        xlmr_pieces, [example], max_length=64, doc_stride=16, max_query_length=64
    ).features
    expected = xlmr(example.question, example.context, return_offsets_mapping=True)
    assert feature.inputs[0].ids.tolist() == expected["input_ids"]
    assert expected.sequence_ids()[feature.context - 1 : feature.context + 1] == [None, 1]
    start, end = feature.labels["start_positions"], feature.labels["end_positions"]
    assert xlmr.decode(feature.inputs[0].ids[start : end + 1]) == "groß"


def test_the_space_before_a_word_is_not_of_its_piece(xlmr_pieces):
    ((ids, offsets),) = xlmr_pieces.ids_and_offsets(["  Rio\u00a0is \n big."])
    assert [("  Rio\u00a0is \n big.")[start:end] for start, end in offsets] == ["Rio", "is", "big", "."]
    assert len(ids) == len(offsets)


def test_windows_move_by_the_stride_and_mark_the_answer(bert, bert_pieces):
    example = question("q", "abcdefghijklmnopqrst", ("no", 13))
    encoded = encode_spans(bert_pieces, [example], max_length=12, doc_stride=4, max_query_length=8)
    texts = [bert.decode(feature.inputs[0].ids).replace(" ", "") for feature in encoded.features]
    assert texts == [
        "[CLS]q[SEP]abcdefgh[SEP]",
        "[CLS]q[SEP]efghijkl[SEP]",
        "[CLS]q[SEP]ijklmnop[SEP]",
        "[CLS]q[SEP]mnopqrst[SEP]",
    ]
    assert [feature.labels for feature in encoded.features] == [
        {"start_positions": 0, "end_positions": 0},
        {"start_positions": 0, "end_positions": 0},
        {"start_positions": 8, "end_positions": 9},
        {"start_positions": 4, "end_positions": 5},
    ]


def test_a_long_question_is_cut_and_counted(bert, bert_pieces):
    examples = [question("abcdefghijkl", "rio"), question("abc", "rio", identifier="p")]
    encoded = encode_spans(bert_pieces, examples, **LENGTHS)
    assert encoded.cut == 1
    assert bert.decode(encoded.features[0].inputs[0].ids) == "[CLS] a b c d e f g h [SEP] r i o [SEP]"


def test_a_question_leaves_the_context_half_of_the_room(bert_pieces):
    (feature, *_) = encode_spans(
        bert_pieces, [question("a" * 50, "b" * 50)], max_length=23, doc_stride=64, max_query_length=64
    ).features
    assert (feature.context, len(feature.offsets)) == (12, 10)


def test_without_a_first_special_piece_the_null_place_is_the_pad_piece(mt5, mt5_pieces):
    (feature,) = encode_spans(mt5_pieces, [question(answer=None)], **LENGTHS).features
    assert mt5.decode(feature.inputs[0].ids) == "<pad> w h o </s> r i o i s b i g </s>"
    assert feature.context == 5
    assert feature.labels == {"start_positions": 0, "end_positions": 0}


contexts = st.text("abc ", min_size=1, max_size=90).filter(str.strip)


@given(contexts, st.integers(1, 40), st.integers(8, 30))
def test_windows_cover_every_piece_and_each_counts_in_one(bert_pieces, context, stride, max_length):
    example = question("abc", context, None)
    features = encode_spans(
        bert_pieces, [example], max_length=max_length, doc_stride=stride, max_query_length=8
    ).features
    assert max(map(len, features)) <= max_length
    places = [tuple(span) for feature in features for span in feature.offsets]
    letters = [(place, place + 1) for place, letter in enumerate(context) if letter != " "]
    assert set(places) == set(letters)
    counted = [tuple(span) for feature in features for span in feature.offsets[feature.most_context]]
    assert sorted(counted) == letters


def reference_most_context(windows, place):
    """BERT's _check_is_max_context (google-research/bert, run_squad.py), in words: the best window of a piece."""
    best_score, best_window = None, None
    for window, (start, end) in enumerate(windows):
        if not start <= place < end:
            continue
        score = min(place - start, end - 1 - place) + 0.01 * (end - start)
        if best_score is None or score > best_score:
            best_score, best_window = score, window
    return best_window


def reference_answer(example, features, logits, n_best, max_answer_length):
    """The loops of transformers' and jiant's compute_predictions_logits, with our offsets in place of their word maps."""
    starts = [feature.offsets[0][0] if len(feature.offsets) else 0 for feature in features]
    windows = [(start, start + len(feature.offsets)) for start, feature in zip(starts, features, strict=True)]
    candidates, null = [], float("inf")
    for window, (feature, scores) in enumerate(zip(features, logits, strict=True)):
        null = min(null, scores[0][0] + scores[0][1])
        order = range(len(feature))
        best_starts = sorted(order, key=lambda place: scores[place][0], reverse=True)[:n_best]
        best_ends = sorted(order, key=lambda place: scores[place][1], reverse=True)[:n_best]
        for start in best_starts:
            for end in best_ends:
                first, last = start - feature.context, end - feature.context
                if not (0 <= first < len(feature.offsets) and 0 <= last < len(feature.offsets)):
                    continue
                if reference_most_context(windows, windows[window][0] + first) != window:
                    continue
                if end < start or end - start + 1 > max_answer_length:
                    continue
                text = example.context[feature.offsets[first][0] : feature.offsets[last][1]]
                candidates.append((scores[start][0] + scores[end][1], text))
    if not candidates:
        return "", null
    best = max(candidates, key=lambda candidate: candidate[0])
    return best[1], null - best[0]


@settings(max_examples=60)
@given(
    st.text("abc", min_size=1, max_size=70),
    st.integers(1, 8),
    st.integers(1, 9),
    st.integers(0, 2**32 - 1),
)
def test_post_processing_is_the_reference(bert_pieces, context, n_best, max_answer_length, seed):
    example = question("ab", context, None)
    features = encode_spans(bert_pieces, [example], **LENGTHS).features
    random = np.random.default_rng(seed)
    logits = [random.normal(size=(len(feature), 2)) for feature in features]
    # padding behind the window is no candidate
    padded = [np.vstack([scores, np.full((3, 2), 50.0)]) for scores in logits]
    found = answer([example], features, padded, n_best, max_answer_length)["q"]
    expected = reference_answer(example, features, logits, n_best, max_answer_length)
    assert found.text == expected[0]
    assert found.null_score_difference == pytest.approx(expected[1])


def test_the_best_of_all_windows_wins(bert_pieces):
    example = question("q", "abcdefghijklmnopqrst", None)
    features = encode_spans(bert_pieces, [example], max_length=12, doc_stride=4, max_query_length=8).features
    scores = logits_of(features, {0: (1, 2), 3: (5, 6)})
    scores[3] += 1
    assert answer([example], features, scores)["q"].text == "rs"


def test_too_long_and_backward_spans_do_not_count(bert_pieces):
    example = question("q", "abcdefgh", None)
    features = encode_spans(bert_pieces, [example], **LENGTHS).features
    assert answer([example], features, logits_of(features, {0: (1, 6)}), 1, 5)["q"].text == ""
    assert answer([example], features, logits_of(features, {0: (6, 1)}), 1)["q"].text == ""
    assert answer([example], features, logits_of(features, {0: (1, 6)}), 1, 6)["q"].text == "bcdefg"


def test_the_null_score_is_the_smallest_of_the_windows(bert_pieces):
    example = question("q", "abcdefghijklmnopqrst", None)
    features = encode_spans(bert_pieces, [example], max_length=12, doc_stride=4, max_query_length=8).features
    scores = logits_of(features, {2: (2, 3)})
    for window, null in enumerate([5.0, 1.0, 3.0, 7.0]):
        scores[window][0] = null
    prediction = answer([example], features, scores)["q"]
    assert (prediction.text, prediction.null_score_difference) == ("kl", 2.0 - 18.0)


def test_a_long_context_takes_the_memory_of_its_pieces():
    """200,000 pieces have 1,563 windows: a table of both would take 2.5 GB."""
    windows = list(context_windows(200_000, 300, 128))
    tracemalloc.start()
    most = _most_context(windows, 200_000)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 20_000_000
    assert sum(int(of_window.sum()) for of_window in most) == 200_000


@given(st.integers(1, 60), st.integers(1, 12), st.integers(1, 12))
def test_a_piece_counts_in_the_window_with_most_around_it(length, room, stride):
    windows = list(context_windows(length, room, stride))
    most = _most_context(windows, length)
    for piece in range(length):
        around = [
            min(piece - start, end - 1 - piece) + 0.01 * (end - start) if start <= piece < end else -1.0
            for start, end in windows
        ]
        counted = [
            window
            for window, (start, end) in enumerate(windows)
            if start <= piece < end and most[window][piece - start]
        ]
        assert counted == [around.index(max(around))]
