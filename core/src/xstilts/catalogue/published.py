"""Scores that others have published for the tasks without an intermediate task, to stand beside an experiment's own.

No delta of any paper is here, and nothing of an experiment is computed from these numbers. A score is XTREME's of a task: the
mean over all its languages, exact match and F1 averaged for question answering.
"""

from __future__ import annotations

from dataclasses import dataclass
from statistics import fmean

XTREME = "Hu et al. 2020, arXiv:2003.11080"
MT5 = "multilingual-t5's README, with Xue et al. 2021, arXiv:2010.11934"
PHANG = "Phang et al. 2020, arXiv:2005.13013v2"


@dataclass(frozen=True)
class Published:
    """A published score.

    Attributes:
        source: who gives it.
        pretrained: the model's hub id.
        target: the task.
        score: in percent.
        split: `test` or `dev`.
        from_memory: whether all or a part of it was not read in the source but remembered.
        caveat: why a number of an experiment differs from it even where all else is equal; nothing where nothing is known.
    """

    source: str
    pretrained: str
    target: str
    score: float
    split: str = "test"
    from_memory: bool = False
    caveat: str = ""


_ENGLISH_ONLY = "its checkpoints were probably not selected on English alone"
_XLMR = "FacebookAI/xlm-roberta-large"


def _xlmr(target: str, *numbers: float) -> Published:
    return Published(XTREME, _XLMR, target, fmean(numbers))


def _phang(target: str, *numbers: float) -> Published:
    return Published(PHANG, _XLMR, target, fmean(numbers), split="dev", from_memory=True)


def _mt5(size: str, target: str, *numbers: float) -> Published:
    memory = len(numbers) > 1  # exact match is remembered
    return Published(
        MT5, f"google/mt5-{size}", target, fmean(numbers), from_memory=memory, caveat=_ENGLISH_ONLY
    )


PUBLISHED: tuple[Published, ...] = (
    _xlmr("xnli", 79.2),
    _xlmr("pawsx", 86.4),
    _xlmr("udpos", 72.6),
    _xlmr("panx", 65.4),
    _xlmr("xquad", 76.6, 60.8),
    _xlmr("mlqa", 71.6, 53.2),
    _xlmr("tydiqa", 65.1, 45.0),
    _xlmr("bucc2018", 66.0),
    _xlmr("tatoeba", 57.3),
    _phang("xnli", 80.1),
    _phang("pawsx", 86.5),
    _phang("udpos", 75.7),
    _phang("panx", 62.8),
    _phang("xquad", 76.1, 60.0),
    _phang("mlqa", 70.1, 51.5),
    _phang("tydiqa", 65.6, 48.2),
    _phang("bucc2018", 71.5),
    _phang("tatoeba", 31.0),
    _mt5("base", "xnli", 75.4),
    _mt5("base", "pawsx", 86.4),
    _mt5("base", "panx", 55.7),
    _mt5("base", "xquad", 67.0, 49.0),
    _mt5("base", "mlqa", 64.6, 45.0),
    _mt5("base", "tydiqa", 59.1, 42.4),
    _mt5("large", "xnli", 81.1),
    _mt5("large", "pawsx", 88.9),
    _mt5("large", "panx", 58.5),
    _mt5("large", "xquad", 77.8, 61.5),
    _mt5("large", "mlqa", 71.2, 51.7),
    _mt5("large", "tydiqa", 68.4, 50.9),
)
