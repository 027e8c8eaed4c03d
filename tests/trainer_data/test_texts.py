"""Text to text: what a task's examples are asked as, and that every answer is read back as what was written."""

from __future__ import annotations

import re

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from xstilts.catalogue import CATALOGUE
from xstilts.errors import DataError, SpecError
from xstilts.stage import Hyperparameters
from xstilts.task import Metric, Task, TaskType
from xstilts_trainer.data.batches import collate
from xstilts_trainer.data.examples import ChoiceExample, PairExample, SpanExample, TagExample
from xstilts_trainer.data.text_pieces import TextPieces
from xstilts_trainer.data.text_targets import MentionTargets, TagTargets, label_targets
from xstilts_trainer.data.texts import TextFeatures, cut_longest

RECIPE = Hyperparameters(
    learning_rate="1e-3", epochs=1, batch_size=4, max_length=64, warmup_ratio="0", weight_decay="0",
    doc_stride=8, max_query_length=8,
)  # fmt: skip
FIXTURES = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=20)
WORDS = st.integers(0, 59).map("w{}".format)
TEXTS = st.lists(WORDS, min_size=1, max_size=6).map(" ".join)
TAGGED = [entry.task for entry in CATALOGUE.values() if entry.task.type is TaskType.TAGGING]
CLASSIFIED = [entry.task for entry in CATALOGUE.values() if entry.task.type is TaskType.CLASSIFICATION]
CCG = ("N", "NP", "(S\\NP)/NP", "NP/N", ".")


@pytest.fixture(scope="module")
def pieces(mt5_tokenizer) -> TextPieces:
    return TextPieces(mt5_tokenizer)


def features(pieces, **changes) -> TextFeatures:
    return TextFeatures(pieces, RECIPE.model_copy(update=changes))


def source(pieces, feature) -> str:
    return pieces.text(feature.inputs[0].ids)


def with_labels(task: Task) -> Task:
    return task if task.labels else task.model_copy(update={"labels": CCG})


@FIXTURES
@given(first=TEXTS, second=TEXTS, data=st.data())
@pytest.mark.parametrize("task", CLASSIFIED, ids=lambda task: task.name)
def test_a_label_comes_back(pieces, task, first, second, data):
    label = data.draw(st.integers(0, len(task.labels) - 1))
    (feature,) = features(pieces).training(task, [PairExample(first, second, label)]).features
    targets = label_targets(pieces, task)
    found = [
        number for number, target in enumerate(targets) if np.array_equal(target, feature.labels["labels"])
    ]
    assert found == [label]


@FIXTURES
@given(first=TEXTS, second=TEXTS, label=st.integers(0, 2))
def test_nli_is_asked_as_mt5_asks_it(pieces, mt5_tokenizer, first, second, label):
    (feature,) = (
        features(pieces).training(CATALOGUE["mnli"].task, [PairExample(first, second, label)]).features
    )
    asked = mt5_tokenizer(f"xnli: premise: {first} hypothesis: {second}")["input_ids"]
    assert feature.inputs[0].ids.tolist() == asked
    assert feature.labels["labels"].tolist() == mt5_tokenizer(str(label))["input_ids"]


@FIXTURES
@given(data=st.data(), words=st.lists(WORDS, min_size=1, max_size=40))
@pytest.mark.parametrize("task", [task for task in TAGGED if task.name != "panx"], ids=lambda task: task.name)
def test_tags_come_back(pieces, task, words, data):
    task = with_labels(task)
    tags = tuple(
        data.draw(st.lists(st.integers(0, len(task.labels) - 1), min_size=len(words), max_size=len(words)))
    )
    windows = features(pieces).training(task, [TagExample(tuple(words), tags)]).features
    targets, read = TagTargets(pieces, task), []
    for window in windows:
        reader = targets.reader(len(window.words))
        for piece in window.labels["labels"].tolist():
            assert piece in reader.allowed
            reader.push(piece)
        assert reader.allowed == []
        read += reader.tags
    assert tuple(read) == tags


@FIXTURES
@given(data=st.data(), words=st.lists(st.integers(0, 59), min_size=1, max_size=12, unique=True))
def test_mentions_of_words_that_stand_once_come_back(pieces, words, data):
    task = CATALOGUE["panx"].task
    names: list[str] = []
    for _ in words:
        before = names[-1] if names else "O"
        goes_on = [f"I-{before[2:]}"] if before != "O" else []
        names.append(data.draw(st.sampled_from(["O", "B-PER", "B-ORG", "B-LOC", *goes_on])))
    tags = tuple(task.labels.index(name) for name in names)
    example = TagExample(tuple(f"w{word}" for word in words), tags)
    windows = features(pieces).training(task, [example]).features
    targets = MentionTargets(pieces, task)
    assert len(windows) == 1
    assert tuple(targets.read(windows[0].labels["labels"].tolist(), windows[0].words)) == tags


def test_mentions_are_written_as_mt5_writes_them(pieces):
    task = CATALOGUE["panx"].task
    tags = tuple(task.labels.index(name) for name in ("B-PER", "I-PER", "O", "B-LOC"))
    (feature,) = features(pieces).training(task, [TagExample(("w1", "w2", "w3", "w4"), tags)]).features
    assert source(pieces, feature) == "tag: w1 w2 w3 w4"
    assert pieces.text(feature.labels["labels"]) == "PER: w1 w2 $$ LOC: w4"


def test_what_is_no_mention_is_left_out(pieces):
    task = CATALOGUE["panx"].task
    words = [np.array(ids, np.int32) for ids in pieces.ids(["w1", "w2"])]
    for said in ("PER: w9 $$ LOC: w2", "w1 $$ LOC: w2", "PER: $$ $$ LOC: w2", "LOC: w2 $$ LOC: w2"):
        (answer,) = pieces.ids([said])
        names = [task.labels[tag] for tag in MentionTargets(pieces, task).read(answer.tolist(), words)]
        assert names == ["O", "B-LOC"], said


def test_choices_are_numbered(pieces):
    example = ChoiceExample((("w1 w2", "w3"), ("w1 w2", "w4 w5")), 1)
    (feature,) = features(pieces).training(CATALOGUE["commonsense_qa"].task, [example]).features
    assert source(pieces, feature) == "commonsense_qa question: w1 w2 choice0: w3 choice1: w4 w5"
    assert pieces.text(feature.labels["labels"]) == "1"
    assert feature.choices == 2


def span(context: str, answer: str | None) -> SpanExample:
    answers, starts = ((answer,), (context.index(answer),)) if answer else ((), ())
    return SpanExample("a", "w0 ?", context, answers, starts)


def test_an_answer_comes_back_and_only_windows_that_hold_it_are_trained_on(pieces):
    context = " ".join(f"w{number}" for number in range(60))
    made = features(pieces, max_length=40)
    task = CATALOGUE["squad"].task
    trained = made.training(task, [span(context, "w40 w41")]).features
    asked = made.test(task, [span(context, "w40 w41")]).features
    assert 0 < len(trained) < len(asked)
    for feature in trained:
        assert "w40 w41" in source(pieces, feature)
        assert pieces.text(feature.labels["labels"]) == "w40 w41"
    assert all(len(feature) <= 40 and not feature.labels for feature in asked)
    assert {word for feature in asked for word in source(pieces, feature).split()} >= set(context.split())


OWN_CHOICES = Task(
    name="own", type=TaskType.MULTIPLE_CHOICE, format="multiple_choice", metric=Metric.ACCURACY
)  # fmt: skip


@pytest.mark.parametrize(
    ("task", "asked", "least"),
    [
        (CATALOGUE["squad"].task, span("w1 w2 w3 w4 w5 w6 w7 w8 w9", "w2"), 2),
        (CATALOGUE["mnli"].task, PairExample("w1 w2", "w3 w4", 0), 2),
        (OWN_CHOICES, ChoiceExample((("w1 w2", "w3"), ("w1 w2", "w4")), 1), 3),
        (CATALOGUE["udpos"].task, TagExample(("w1", "w2"), (0, 1)), 2),
        (CATALOGUE["panx"].task, TagExample(("w1", "w2"), (0, 1)), 1),
    ],
    ids=["spans", "pairs", "choices", "tags", "mentions"],
)
def test_a_length_that_the_format_itself_fills_is_refused(pieces, task, asked, least):
    """With the least that is told every text has a piece, and the input that length."""
    with pytest.raises(
        SpecError, match=f"maxLength: must be at least .* for {task.name}, was 3: "
    ) as refused:
        features(pieces, max_length=3).training(task, [asked])
    shortest = int(re.search(r"at least (\d+) for", str(refused.value))[1])
    with pytest.raises(SpecError):
        features(pieces, max_length=shortest - 1).test(task, [asked])
    made = features(pieces, max_length=shortest).test(task, [asked]).features
    assert max(map(len, made)) == shortest
    own = int(re.search(r"(\d+) pieces of every input", str(refused.value))[1])
    assert shortest - own == least


def test_a_question_without_answer_is_answered_by_the_first_sentinel(pieces):
    (feature,) = features(pieces).training(CATALOGUE["squad_v2"].task, [span("w1 w2", None)]).features
    assert feature.labels["labels"].tolist() == [pieces.sentinels[0], pieces.end_id]


def test_more_words_than_sentinels_are_read_in_windows(pieces):
    words = tuple(f"w{number % 60}" for number in range(len(pieces.sentinels) + 3))
    task = with_labels(CATALOGUE["ccg"].task)
    windows = features(pieces, max_length=500).test(task, [TagExample(words, (0,) * len(words))]).features
    assert [len(window.words) for window in windows] == [len(pieces.sentinels), 3]


@example([2, 14, 14], 29)  # of two that are equal one is cut
@given(st.lists(st.integers(0, 30), min_size=1, max_size=6), st.integers(0, 90))
def test_the_longest_texts_are_cut(lengths, room):
    kept = cut_longest(lengths, room)
    assert sum(kept) == min(sum(lengths), room)
    cut = [now for now, before in zip(kept, lengths, strict=True) if now < before]
    assert all(now <= before for now, before in zip(kept, lengths, strict=True))
    if cut:
        assert max(kept) - min(cut) <= 1


def test_answers_are_padded_by_themselves(pieces):
    task = Task(
        name="own", type=TaskType.CLASSIFICATION, format="text_classification", metric=Metric.ACCURACY,
        labels=("red", "w1 w2 w3"),
    )  # fmt: skip
    made = features(pieces).training(task, [PairExample("w1", None, 0), PairExample("w1 w2", None, 1)])
    batch = collate(made.features, pieces)
    assert batch["labels"].shape == (2, 4)
    assert batch["labels"][0].tolist()[2:] == [-100, -100]


def test_labels_that_look_alike_are_named(pieces):
    task = Task(
        name="own", type=TaskType.CLASSIFICATION, format="text_classification", metric=Metric.ACCURACY,
        labels=("ß", "é"),
    )  # fmt: skip
    with pytest.raises(
        DataError, match="own: labels: must be told apart by the model's tokenizer: é has the pieces of ß"
    ):
        label_targets(pieces, task)


def test_a_tokenizer_without_sentinels_is_refused(mt5):
    with pytest.raises(DataError, match="must have sentinels"):
        TextPieces(mt5)
