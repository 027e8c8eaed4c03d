"""Every task as text to text: what a sequence-to-sequence model (mT5) reads, and what it answers.

A format stands beside the format of the rows (`Task.format`), so XNLI is read as MNLI is, and XQuAD and MLQA as SQuAD:
what was trained on one is asked the same way of the other. What is answered follows from the task's type:

- Classification: the text of the label. The answer is the label of which the model thinks the whole text, end
  included, most probable; nothing else can be answered, and no length is normalised: the texts with their ends are
  disjoint events, whose probabilities compare as they are.
- Multiple choice: all choices stand in the input, numbered from 0, and the number is the answer, chosen likewise.
- Span QA: the first answer, generated. A question that the context does not answer (SQuAD 2) is answered by the
  first sentinel alone: own; no text holds that piece, so the best real answer and the probability of none are both
  read from one generation.
- Tagging: `<extra_id_0> tag <extra_id_1> tag …` for `<extra_id_0> word <extra_id_1> word …`, the format "sentinel +
  tag" of Raman et al. (2022), arXiv:2203.08378: no word is left out or repeated. Where `mentions` is set, mT5's own:
  `PER: a $$ LOC: b`, the mentions in their order.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from xstilts.task import Task, TaskType

_MT5 = "google-research/multilingual-t5"
_OWN = "this project's own"


@dataclass(frozen=True)
class TextFormat:
    """How the texts of an example become one text.

    Attributes:
        fields: what stands before each text of an example, in their order; before the choices `choice{number}:`.
        source: where the format comes from.
        labels: the text of a label, by its name; a label that is not there is written as its name.
        mentions: whether tags are answered as a list of mentions.
    """

    fields: tuple[str, ...]
    source: str
    labels: Mapping[str, str] = field(default_factory=dict)
    mentions: bool = False

    def label(self, name: str) -> str:
        """The text of a label."""
        return self.labels.get(name, name)


_SQUAD = TextFormat(("question:", "context:"), f"{_MT5} (xquad), without its spaces around punctuation")

TEXT_FORMATS: Mapping[str, TextFormat] = {
    "nli": TextFormat(
        ("xnli: premise:", "hypothesis:"),
        f"{_MT5} (process_mnli, process_xnli)",
        labels={"entailment": "0", "neutral": "1", "contradiction": "2"},
    ),
    "qqp": TextFormat(
        ("qqp question1:", "question2:"), "google-research/text-to-text-transfer-transformer (glue)"
    ),
    "pawsx": TextFormat(
        ("paws sentence1:", "sentence2:"),
        f"{_MT5} (tasks.py, glue)",
        labels={"0": "different_meaning", "1": "paraphrase"},
    ),
    "squad": _SQUAD,
    "span_qa": _SQUAD,
    "hellaswag": TextFormat(("hellaswag context:",), _OWN),
    "cosmos_qa": TextFormat(("cosmos_qa context:",), _OWN),
    "commonsense_qa": TextFormat(("commonsense_qa question:",), _OWN),
    "ccg": TextFormat(("ccg:",), "Raman et al. (2022), arXiv:2203.08378; the prefix is own"),
    "udpos": TextFormat(("pos:",), "Raman et al. (2022), arXiv:2203.08378; the prefix is own"),
    "panx": TextFormat(("tag:",), f"{_MT5} (NER)", mentions=True),
}

_OWN_TASKS: Mapping[TaskType, tuple[str, ...]] = {
    TaskType.CLASSIFICATION: ("text:", "text_pair:"),
    TaskType.MULTIPLE_CHOICE: ("text:",),
    TaskType.TAGGING: ("",),
}


def text_format(task: Task) -> TextFormat:
    """The format of a task; an experiment's own task is told apart by its name.

    Raises:
        ValueError: retrieval and mining, which ask nothing.
    """
    if task.format in TEXT_FORMATS:
        return TEXT_FORMATS[task.format]
    if task.type not in _OWN_TASKS:
        raise ValueError(f"{task.name}: a task of type {task.type} has no text format")
    first, *others = _OWN_TASKS[task.type]
    return TextFormat((f"{task.name}: {first}".strip(), *others), _OWN)


def choice_field(number: int) -> str:
    """What stands before a choice (numbered from 0)."""
    return f"choice{number}:"
