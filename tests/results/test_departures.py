"""In what an experiment trains or uses a model otherwise than the catalogue: only what departs is said."""

from __future__ import annotations

import pytest

from xstilts.plan import plan
from xstilts.results.departures import departures
from xstilts.results.gather import results_of
from xstilts.spec import parse_experiment

HUB = "FacebookAI/xlm-roberta-large"
BASE = """
apiVersion: xstilts.dev/v1alpha1
kind: TransferExperiment
metadata: {name: made}
spec:
  models: [MODEL]
  intermediates: [{name: squad, tasks: [squad]}]
  targets: [{task: xnli}, {task: xquad}, {task: tatoeba, probeLayers: true}]
  seeds: [1, 2]
  training: TRAINING
"""


def departed(training: str = "{}", model: str = ""):
    entry = f"{{name: ours, pretrained: {HUB}{', ' * bool(model)}{model}}}"
    text = BASE.replace("MODEL", entry).replace("TRAINING", training)
    experiment = parse_experiment(text, source="made.yaml")
    planned = plan(experiment)
    found = departures(planned, {"ours": HUB})
    assert results_of(experiment, planned, {}).departures == found
    return {target: list(said) for (_, target), said in found.items()}


@pytest.mark.parametrize(
    "training",
    [
        "{}",
        "{defaults: {precision: FP32}}",  # what the device is best at is left open by the recipe
        '{learningRate: "1e-5", defaults: {maxLength: 256}, overrides: [{match: {task: xquad}, maxLength: 384}]}',
        "{overrides: [{match: {phase: intermediate}, epochs: 9}]}",  # published scores have no intermediate
        '{overrides: [{match: {task: mnli, phase: intermediate}, sweep: {learningRate: ["1e-5", "2e-5"]}}]}',
    ],
)
def test_the_recipe_unchanged_departs_in_nothing(training):
    assert departed(training) == {}


@pytest.mark.parametrize(
    ("training", "xnli"),
    [
        (
            "{defaults: {epochs: 1, maxExamples: 500}}",
            ["epochs 1 instead of 2", "max examples 500 instead of all"],
        ),
        ('{learningRate: "3e-5"}', ["learning rate 3e-5 instead of 1e-5"]),
        (
            "{overrides: [{match: {task: xnli}, optimizer: Adafactor}]}",
            ["optimizer Adafactor instead of AdamW"],
        ),
        (
            '{sweep: {learningRate: ["3e-5", "1e-5"]}}',
            ["learning rate chosen of 1e-5 3e-5 instead of 1e-5"],
        ),
    ],
)
def test_what_the_file_says_of_training_is_named_beside_the_recipes(training, xnli):
    found = departed(training)
    assert found["xnli"] == xnli
    assert ("xquad" in found) == ("xnli" not in training)
    assert "tatoeba" not in found  # nothing is trained for it


def test_what_the_file_says_of_a_model_is_named_too():
    adapted = ["low-rank adapters of rank 8 instead of all weights"]
    assert departed(model="lora: {rank: 8}") == {"xnli": adapted, "xquad": adapted}
    assert departed(model="pooling: Mean")["xnli"] == ["pooling Mean instead of First"]
    assert departed(model='layer: 7, prefix: "query:"') == {
        "tatoeba": ["layer 7 instead of 14", "prefix query: instead of none"]
    }
    assert departed(model="layer: 14") == {}
