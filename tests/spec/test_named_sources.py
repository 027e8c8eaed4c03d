"""The sources that an experiment names: all are found, and any can be given another value."""

from __future__ import annotations

from xstilts.spec import named_sources, parse_experiment, with_sources

TEXT = """\
apiVersion: xstilts.dev/v1alpha1
kind: TransferExperiment
metadata: {name: everything}
spec:
  models: [{name: hub, pretrained: google/mt5-base, form: EncoderHead}, {name: mine, pretrained: ./m, family: XLMR}]
  tasks: [{name: xnli, languages: [sw]}, {name: mnli, data: ./rows}]
  intermediates:
    - {name: plain, tasks: [mnli]}
    - {name: more, tasks: [mnli], continuedPretraining: {objective: MLM, ratio: "0.2", corpus: ./text, languages: [sw]}}
  targets: [{task: xnli}]
  seeds: [1]
"""


def test_all_sources_are_found_with_their_fields():
    found = [(*one.path[1:], one.name, one.source) for one in named_sources(parse_experiment(TEXT))]
    assert found == [
        ("models", 0, "pretrained", "hub", "google/mt5-base"),
        ("models", 1, "pretrained", "mine", "./m"),
        ("tasks", 1, "data", "mnli", "./rows"),
        ("intermediates", 1, "continuedPretraining", "corpus", "more-corpus", "./text"),
    ]


def test_other_sources_make_the_experiment_that_names_them():
    sources = {
        one.path: f"./other-{index}" for index, one in enumerate(named_sources(parse_experiment(TEXT)))
    }
    del sources["spec", "models", 0, "pretrained"]
    expected = (
        TEXT.replace("./m,", "./other-1,").replace("./rows", "./other-2").replace("./text", "./other-3")
    )
    assert with_sources(parse_experiment(TEXT), sources) == parse_experiment(expected)
