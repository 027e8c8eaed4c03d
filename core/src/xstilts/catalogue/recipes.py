"""How a model family is fine-tuned on a task, where the experiment says nothing else.

XLMR, MBERT, MDeBERTa and BERT follow the paper's code (nyu-mll/jiant at daa5a258: the XTREME run
configurations for targets, proj/simple/runscript.py's defaults for intermediate tasks). Beside it, not used:
XTREME's own numbers for XLM-R Large (google-research/xtreme at 838c13b6), max length 128 where jiant has 256:

    XNLI 3e-5, 5 epochs · PAWS-X 2e-5, 5 · POS and NER 2e-5, 10 · XQuAD, MLQA and TyDiQA 3e-5, 3 epochs of 384
    tokens, warm-up 500 steps, weight decay 1e-4; batch 32 everywhere

E5's recipe is this project's own, for multilingual-e5-small. MT5's is google-research/multilingual-t5's
fine-tuning (constant 1e-3 with Adafactor, dropout 0.1, 2^17 tokens a batch); its epochs, lengths and the 128
sequences that stand for those tokens are this project's own.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from xstilts.stage import Family, Form, Hyperparameters
from xstilts.task import Task, TaskType

# The newest. Raise it when a recipe or the meaning of a field changes, and say in `recipe_version` whose.
RECIPE_VERSION = 2

Phase = Literal["intermediate", "target"]

_JIANT = Hyperparameters(
    learning_rate="1e-5",
    epochs=3,
    batch_size=32,
    max_length=256,
    warmup_ratio="0.1",
    weight_decay="0.01",
)
# Epochs, batch size and length of the targets, by the task that is trained on; XQuAD and MLQA train on SQuAD.
_JIANT_TARGETS = {
    "mnli": (2, 32, 256),
    "pawsx": (5, 32, 256),
    "udpos": (10, 32, 256),
    "panx": (10, 32, 256),
    "squad": (2, 16, 384),
    "tydiqa": (2, 16, 384),
}
_JIANT_TARGET_TYPES = {  # own tasks: as the targets of their type
    TaskType.CLASSIFICATION: (5, 32, 256),
    TaskType.MULTIPLE_CHOICE: (3, 32, 256),
    TaskType.TAGGING: (10, 32, 256),
    TaskType.SPAN_QA: (2, 16, 384),
}
_WITH_MLM = "5e-6"  # the paper's learning rate beside continued MLM: from memory, not read

_E5 = Hyperparameters(
    learning_rate="5e-5",
    epochs=2,
    batch_size=32,
    max_length=128,
    warmup_ratio="0.1",
    weight_decay="0.01",
)
_E5_BY_TYPE: dict[TaskType, dict[str, Any]] = {
    TaskType.TAGGING: {"learning_rate": "1e-4", "epochs": 3},
    TaskType.SPAN_QA: {"max_length": 384},
}

_MT5 = Hyperparameters(
    learning_rate="0.001",
    epochs=3,
    batch_size=128,
    max_length=256,
    warmup_ratio="0",
    weight_decay="0",
    optimizer="Adafactor",
    schedule="Constant",
    dropout="0.1",
)
_MT5_BY_TYPE: dict[TaskType, dict[str, Any]] = {TaskType.SPAN_QA: {"max_length": 384}}


def recipe_version(form: Form, tasks: Sequence[Task]) -> int:
    """The version of what these tasks' stages mean: a part of their keys, so that a change leaves all other keys as they are.

    2: the loss of a head that finds spans no longer runs over padding.
    """
    finds_spans = form is Form.ENCODER_HEAD and any(task.type is TaskType.SPAN_QA for task in tasks)
    return 2 if finds_spans else 1


def recipe(
    family: Family, phase: Phase, tasks: Sequence[Task], *, continued_mlm: bool = False
) -> Hyperparameters:
    """The hyperparameters of a training on one task or a mix.

    A mix has one optimiser, so its tasks share all but the length: the learning rate and epochs are those that
    every task of the mix has, else the family's general ones; the length is the longest.
    """
    single = [_single(family, phase, task) for task in tasks]
    shared = single[0]
    if any(_tuning(one) != _tuning(shared) for one in single):
        shared = _general(family)
    shared = shared.model_copy(update={"max_length": max(one.max_length for one in single)})
    if continued_mlm and _follows_jiant(family):
        shared = shared.model_copy(update={"learning_rate": _WITH_MLM})
    return shared


def _follows_jiant(family: Family) -> bool:
    return family not in {Family.E5, Family.MT5}


def _general(family: Family) -> Hyperparameters:
    return {Family.E5: _E5, Family.MT5: _MT5}.get(family, _JIANT)


def _tuning(one: Hyperparameters) -> tuple[str, int, int]:
    return one.learning_rate, one.epochs, one.batch_size


def _single(family: Family, phase: Phase, task: Task) -> Hyperparameters:
    general = _general(family)
    if family is Family.E5:
        return general.model_copy(update=_E5_BY_TYPE.get(task.type))
    if family is Family.MT5:
        return general.model_copy(update=_MT5_BY_TYPE.get(task.type))
    if phase == "intermediate":
        return general
    epochs, batch_size, max_length = _JIANT_TARGETS.get(task.name) or _JIANT_TARGET_TYPES[task.type]
    return general.model_copy(update={"epochs": epochs, "batch_size": batch_size, "max_length": max_length})
