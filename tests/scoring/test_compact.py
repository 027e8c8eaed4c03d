"""An evaluation's scores in a few words."""

from __future__ import annotations

from xstilts.catalogue import CATALOGUE
from xstilts.scoring import headline, whole_scores
from xstilts.stage import TaskData
from xstilts.task import Metric

XNLI, POS, XQUAD = (
    TaskData(task=CATALOGUE[name].task, role="data", split="test", languages=("de", "en"))
    for name in ("xnli", "udpos", "xquad")
)
SCORES = {
    "xnli": {"accuracy": {"en": "80.0", "de": "70.0"}},
    "udpos": {"f1": {"en": "90.0", "de": "60.0"}, "token_accuracy": {"en": "95.0", "de": "71.0"}},
    "xquad": {"f1": {"en": "70.0", "de": "60.0"}, "exact_match": {"en": "50.0"}},
}


def test_a_headline_has_the_main_score_of_each_task_over_the_languages_that_have_all_of_it():
    assert XQUAD.task.metric is Metric.SQUAD
    assert headline(SCORES, [XNLI, POS, XQUAD]) == "xnli 75.0, udpos 75.0, xquad 60.0"
    assert headline({}, [XNLI]) == headline(SCORES, []) == ""


def test_languages_and_tasks_that_lack_a_number_are_left_out():
    assert whole_scores(SCORES, [XQUAD])["xquad"] == {"f1": {"en": "70.0"}, "exact_match": {"en": "50.0"}}
    assert whole_scores(SCORES, [POS])["udpos"] == SCORES["udpos"]
    assert whole_scores({"xquad": {"f1": {"en": "70.0"}}}, [XQUAD, XNLI]) == {}
