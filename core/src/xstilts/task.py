"""What a stage must know of a task: the part of a catalogue entry, or of an own task, that decides outputs."""

from __future__ import annotations

from enum import StrEnum

from xstilts.model import Model


class TaskType(StrEnum):
    """The shape of a task: its head, and how predictions are made from it."""

    CLASSIFICATION = "Classification"
    MULTIPLE_CHOICE = "MultipleChoice"
    TAGGING = "Tagging"
    SPAN_QA = "SpanQA"
    RETRIEVAL = "Retrieval"  # nearest neighbours (Tatoeba): no training data
    MINING = "Mining"  # BUCC: find the parallel pairs of two corpora; in the catalogue only


class Metric(StrEnum):
    """How a task is scored. Each gives one or more named numbers in percent, a language each."""

    ACCURACY = "Accuracy"  # accuracy
    ACCURACY_AND_F1 = "AccuracyAndF1"  # accuracy, f1 of label 1 (QQP)
    TAGGING_F1 = "TaggingF1"  # f1, precision, recall as seqeval 0.0.12, and token accuracy
    TOKEN_ACCURACY = "TokenAccuracy"  # accuracy over tokens (CCG)
    SQUAD = "Squad"  # f1, exact_match: SQuAD 1.1's normalisation (XQuAD, TyDiQA)
    SQUAD_V2 = "SquadV2"  # best f1, best exact match over null thresholds
    MLQA = "Mlqa"  # f1, exact_match: MLQA's normalisation a language
    MINING_F1 = "MiningF1"  # f1, precision, recall of extracted pairs


class Task(Model):
    """A task as a stage sees it. Part of stage keys: whatever stands here decides the output.

    `format` names the function of the trainer that turns a row of a data file into an example (its columns are
    documented there); `labels` are the class or tag names in the order of their numbers.
    """

    name: str
    type: TaskType
    format: str
    metric: Metric
    labels: tuple[str, ...] = ()
