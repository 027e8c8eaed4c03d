"""Bad manifests with more than one problem: which of them are told, and how many."""

from __future__ import annotations

from difflib import get_close_matches

import pytest

from xstilts.errors import SpecError
from xstilts.spec import parse_experiment


def test_several_problems_come_together(manifest):
    text = manifest(seeds="[1, x]", suspend="maybe", training="{learningRate: 0.1, epoch: 3}")
    with pytest.raises(SpecError) as caught:
        parse_experiment(text)
    assert [problem.field for problem in caught.value.problems] == [
        "spec.seeds[1]",
        "spec.training.learningRate",
        "spec.training.epoch",
        "spec.suspend",
    ]


EVERYTHING_WRONG = """\
apiVersion: xstilts.dev/v1
kind: TransferExperiment
metadata: {name: all, name: All}
spec:
  models: [{name: a, pretrained: google/mt5-base, revision: abc}]
  tasks: [{name: xnli, type: Tagging}]
  intermediates: [{name: x, tasks: [mnl]}]
  targets: [{task: xnil}]
  seeds: [1, 1]
  training: {learningRate: .nan, overrides: [{match: {model: b}, epochs: 1}]}
"""


def test_the_catalogue_is_asked_of_what_is_well_formed():
    with pytest.raises(SpecError) as caught:
        parse_experiment(EVERYTHING_WRONG)
    assert [problem.field for problem in caught.value.problems] == [
        "metadata.name",  # twice
        "apiVersion",
        "metadata.name",
        "spec.models[0].revision",
        "spec.seeds[1]",
        "spec.training.learningRate",
        "spec.tasks[0].type",
        "spec.intermediates[0].tasks[0]",
        "spec.targets[0].task",
    ]


@pytest.mark.parametrize(
    ("malformed", "fields"),
    [
        ("spec.tasks[0].typ", {"tasks": "[{name: mine, typ: SpanQA}]", "targets": "[{task: mine}]"}),
        (
            "spec.models[0].pretrained",
            {"models": "[{name: a}]", "training": "{overrides: [{match: {model: a}, epochs: 1}]}"},
        ),
        ("spec.intermediates[0].tasks", {"intermediates": "[{name: a}]", "baseline": "false"}),
    ],
)
def test_nothing_is_judged_by_what_is_malformed(manifest, malformed, fields):
    with pytest.raises(SpecError) as caught:
        parse_experiment(manifest(**fields))
    assert [problem.field for problem in caught.value.problems] == [malformed]


def test_a_flood_of_problems_is_cut(manifest):
    labels = ", ".join(f"l{number}: {number}" for number in range(60))
    text = manifest().replace("{name: small}", f"{{name: small, labels: {{{labels}}}}}")
    with pytest.raises(SpecError) as caught:
        parse_experiment(text)
    assert len(caught.value.problems) == 51
    assert str(caught.value.problems[-1]) == "and 10 more problems"


def test_a_flood_of_unknown_names_is_not_all_compared(manifest, monkeypatch):
    compared = []

    def counted(name, known, **how):
        compared.append(len(known))
        return get_close_matches(name, known, **how)

    monkeypatch.setattr("xstilts.spec.checks.get_close_matches", counted)
    mixes = (
        f"{{name: i{mix}, tasks: [{', '.join(f'unknown-{mix}-{one}' for one in range(64))}]}}"
        for mix in range(64)
    )
    overrides = ", ".join(f"{{match: {{task: other-{one}}}, epochs: 1}}" for one in range(64))
    fields = {"intermediates": f"[{', '.join(mixes)}]", "training": f"{{overrides: [{overrides}]}}"}
    with pytest.raises(SpecError) as caught:
        parse_experiment(manifest(**fields))
    assert len(caught.value.problems) == 51
    assert str(caught.value.problems[-1]) == "and more problems"
    assert sum(compared) <= 51 * 100
    with pytest.raises(SpecError) as caught:
        parse_experiment(
            manifest(**fields | {"intermediates": fields["intermediates"][:-1] + ", {name: 7}]"})
        )
    assert max(compared) <= 100
