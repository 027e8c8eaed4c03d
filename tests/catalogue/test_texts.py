"""Every task that asks something has a format of texts, which says where it comes from."""

from __future__ import annotations

import pytest

from xstilts.catalogue import CATALOGUE
from xstilts.catalogue.texts import TEXT_FORMATS, text_format
from xstilts.task import Metric, Task, TaskType

ASKED = [entry.task for entry in CATALOGUE.values() if not entry.is_retrieval]


@pytest.mark.parametrize("task", ASKED, ids=lambda task: task.name)
def test_a_task_of_the_catalogue_has_a_format(task):
    format_ = text_format(task)
    assert format_ is TEXT_FORMATS[task.format]
    assert format_.source
    assert len(format_.fields) == (2 if task.type in {TaskType.CLASSIFICATION, TaskType.SPAN_QA} else 1)
    texts = [format_.label(name) for name in task.labels]
    assert len(set(texts)) == len(texts)


def test_formats_of_different_tasks_begin_differently():
    begins = {name: format_.fields[0] for name, format_ in TEXT_FORMATS.items() if name != "span_qa"}
    assert len(set(begins.values())) == len(begins)


@pytest.mark.parametrize("target", ["xnli", "xquad", "mlqa", "tydiqa"])
def test_a_target_is_asked_as_the_task_that_it_trains_on(target):
    entry = CATALOGUE[target]
    assert text_format(entry.task) is text_format(CATALOGUE[entry.trains_on].task)


def test_the_published_formats_of_nli():
    format_ = text_format(CATALOGUE["xnli"].task)
    assert format_.fields == ("xnli: premise:", "hypothesis:")
    assert [format_.label(name) for name in CATALOGUE["xnli"].task.labels] == ["0", "1", "2"]


def test_own_tasks_are_told_apart_by_name():
    def own(type_: TaskType) -> Task:
        return Task(name="mood", type=type_, format="its_own", metric=Metric.ACCURACY, labels=("a", "b"))

    assert text_format(own(TaskType.CLASSIFICATION)).fields == ("mood: text:", "text_pair:")
    assert text_format(own(TaskType.TAGGING)).fields == ("mood:",)
    assert text_format(own(TaskType.CLASSIFICATION)).label("a") == "a"
    with pytest.raises(ValueError, match="mood: a task of type Retrieval has no text format"):
        text_format(own(TaskType.RETRIEVAL))
