"""What a local run says that it does not do."""

from __future__ import annotations

from xstilts.local.ignored import ignored_fields
from xstilts.spec import parse_experiment

TEXT = """\
apiVersion: xstilts.dev/v1alpha1
kind: TransferExperiment
metadata: {name: small}
spec:
  models: [{name: base, pretrained: FacebookAI/xlm-roberta-base}%s]
  targets: [{task: xnli}]
  seeds: [1]
  resources: {cpu: 4}
"""


def test_nothing_is_said_of_what_counts_here():
    assert ignored_fields(parse_experiment(TEXT.replace("%s", ""))) == []


def test_a_models_own_resources_and_the_clusters_parallelism_are_named():
    large = ", {name: large, pretrained: FacebookAI/xlm-roberta-large, stageResources: {cpu: 8}}"
    text = TEXT.replace("%s", large) + "  parallelism: 3\n"
    assert ignored_fields(parse_experiment(text)) == ["spec.parallelism", "spec.models[1].stageResources"]
