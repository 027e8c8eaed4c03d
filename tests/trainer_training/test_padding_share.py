"""What a training says of the padding that it computes."""

from __future__ import annotations

import numpy as np
import pytest

from xstilts.stage import Family, Form, Hyperparameters, ModelUse, Pooling, TaskData, TrainSpec
from xstilts.task import Metric, Task, TaskType
from xstilts_trainer.data.features import Encoded, Feature
from xstilts_trainer.data.pieces import ModelInput
from xstilts_trainer.training.feed import Feed
from xstilts_trainer.training.task_data import TrainingSet


def task(name: str) -> Task:
    return Task(name=name, type=TaskType.MULTIPLE_CHOICE, format="multiple_choice", metric=Metric.ACCURACY)


def training_set(name: str, *examples: tuple[int, ...]) -> TrainingSet:
    """Examples of choices of these lengths."""
    features = [
        Feature(
            index, tuple(ModelInput(np.ones(length, np.int32), None) for length in lengths), {"labels": 0}
        )
        for index, lengths in enumerate(examples)
    ]
    return TrainingSet(task(name), Encoded(features), [str(index) for index in range(len(features))], ())


@pytest.mark.parametrize(("packed", "share"), [([], 6 / 16), (["other"], 6 / 16), (["which"], 0)])
def test_padding_is_counted_between_choices_too_where_a_task_is_not_packed(packed, share):
    sets = {"which": training_set("which", (1, 3), (2, 4))}
    spec = TrainSpec(
        recipe_version=1,
        phase="target",
        model=ModelUse(family=Family.XLMR, form=Form.ENCODER_HEAD, pooling=Pooling.FIRST),
        data=tuple(TaskData(task=task(name), role=f"data.{name}", split="train") for name in sets),
        hyperparameters=Hyperparameters(
            learning_rate="1e-5", epochs=1, batch_size=2, max_length=8, warmup_ratio="0", weight_decay="0"
        ),
        seed=1,
    )
    feed = Feed(spec, sets, None, lambda batch: batch)
    assert feed.steps_per_epoch == 1
    assert feed.padding_share(packed) == pytest.approx(share)
