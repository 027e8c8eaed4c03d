"""What the evaluations of a run have scored so far, in the words that a cluster has for it too."""

from __future__ import annotations

from collections.abc import Mapping

from xstilts.plan import Plan
from xstilts.results import Numbers, best, combinations, results_of, stored_scores
from xstilts.scoring import headline
from xstilts.spec import Experiment
from xstilts.stage import EvaluateSpec, Kind, Stage
from xstilts.store import Store

Scores = Mapping[str, Mapping[str, Mapping[str, str]]]  # task -> metric -> language -> decimal in percent


class Scored:
    """The scores of a plan's evaluations, by their keys: those that the store has, and those that come."""

    def __init__(self, experiment: Experiment, plan: Plan, store: Store) -> None:
        self._experiment = experiment
        self._plan = plan
        self._scores: dict[str, Scores] = dict(stored_scores(plan, store))

    def add(self, stage: Stage, scores: Scores) -> None:
        """Take what a stage has scored; most stages score nothing."""
        if stage.kind is Kind.EVALUATE:
            self._scores[stage.key] = scores

    def words(self, stage: Stage) -> str:
        """What a stage has scored; "" where nothing."""
        return score_words(stage, self._scores.get(stage.key, {}))

    @property
    def best(self) -> str:
        """The best score so far; "" where there is none."""
        numbers = {key: Numbers(scores=scores) for key, scores in self._scores.items()}
        return best(combinations(results_of(self._experiment, self._plan, numbers)))


def score_words(stage: Stage, scores: Scores) -> str:
    """The main scores of an evaluation: `xquad 60.2, xnli 71.3`; "" of other stages."""
    return headline(scores, EvaluateSpec.model_validate(stage.spec).data) if scores else ""
