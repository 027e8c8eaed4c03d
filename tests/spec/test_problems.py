"""Bad manifests and the exact sentences that they are answered with."""

from __future__ import annotations

import pytest

from xstilts.errors import SpecError
from xstilts.spec import parse_experiment

NAME = "1 to 63 lower-case letters, digits or '-', with a letter or digit at both ends"
DIGEST = "ab" * 32
COMMIT = "0123456789" * 4
RATE = "a decimal above 0 and at most 1, in quotes"

# field of the spec, its YAML, the problem's field and sentence (without the file and line)
TABLE = [
    # names
    (
        "models",
        "[{name: Base, pretrained: ./m, family: BERT}]",
        "spec.models[0].name",
        f"must be {NAME}, was 'Base'",
    ),
    (
        "models",
        "[{name: 7, pretrained: ./m, family: BERT}]",
        "spec.models[0].name",
        f'must be {NAME}, was the number 7; put it in quotes: "7"',
    ),
    (
        "queueName",
        "no",
        "spec.queueName",
        f'must be {NAME}, was the boolean false (written no); put it in quotes: "no"',
    ),
    (
        "models",
        "[{name: a, pretrained: ./m, family: BERT}, {name: a, pretrained: ./n, family: BERT}]",
        "spec.models[1].name",
        "must be unique, was 'a' as in entry [0]",
    ),
    (
        "intermediates",
        "[{name: none, tasks: [mnli]}]",
        "spec.intermediates[0].name",
        f"must be {NAME}, and not 'none', which is the baseline (`spec.baseline`), was 'none'",
    ),
    (
        "intermediates",
        "[{name: a, tasks: [mnli]}, {name: b, tasks: [qqp]}, {name: a, tasks: [squad]}]",
        "spec.intermediates[2].name",
        "must be unique, was 'a' as in entry [0]",
    ),
    (
        "intermediates",
        "[{name: a, tasks: [mnli, qqp, mnli]}]",
        "spec.intermediates[0].tasks[2]",
        "must be unique, was 'mnli' as in entry [0]",
    ),
    (
        "targets",
        "[{task: xnli}, {task: xnli}]",
        "spec.targets[1].task",
        "must be unique, was 'xnli' as in entry [0]",
    ),
    ("seeds", "[4, 4]", "spec.seeds[1]", "must be unique, was the number 4 as in entry [0]"),
    # models and revisions
    (
        "models",
        "[{name: a, pretrained: xlmr, family: XLMR}]",
        "spec.models[0].pretrained",
        (
            "must be a hub id `organisation/name`, `store://NAME@sha256:DIGEST` with 64 hexadecimal digits, or a path that "
            "begins with '.' or '/' (for a local run), was 'xlmr'"
        ),
    ),
    (
        "models",
        "[{name: a, pretrained: google/mt5-base, revision: main}]",
        "spec.models[0].revision",
        "must be a full commit: 40 hexadecimal digits (0-9, a-f), in quotes, was 'main'",
    ),
    (
        "models",
        f"[{{name: a, pretrained: google/mt5-base, revision: {COMMIT}}}]",
        "spec.models[0].revision",
        (
            f"must be a full commit: 40 hexadecimal digits (0-9, a-f), in quotes, was the number {COMMIT}; "
            f'put it in quotes: "{COMMIT}"'
        ),
    ),
    (
        "models",
        f"[{{name: a, pretrained: 'store://m@sha256:{DIGEST}', family: E5, revision: '{COMMIT}'}}]",
        "spec.models[0].revision",
        f"must not be set: only a hub id has commits, and `pretrained` was 'store://m@sha256:{DIGEST}'; leave it out",
    ),
    (
        "models",
        "[{name: a, pretrained: ./m, famly: E5}]",
        "spec.models[0].famly",
        "must not be set: there is no such field; did you mean 'family'?",
    ),
    (
        "models",
        "[{pretrained: google/mt5-base}]",
        "spec.models[0].name",
        f"must be set to {NAME}, was absent",
    ),
    (
        "models",
        "[{name: a, pretrained: google/mt5-base, form: Encoder}]",
        "spec.models[0].form",
        "must be one of EncoderHead, TextToText, was 'Encoder'",
    ),
    (
        "models",
        "[google/mt5-base]",
        "spec.models[0]",
        "must be a mapping with name, pretrained, was 'google/mt5-base'",
    ),
    # empty and overlong grids
    ("models", "[]", "spec.models", "must be a list of 1 to 32 entries, was an empty list"),
    ("targets", "", "spec.targets", "must be a list of 1 to 32 entries, was null"),
    ("seeds", "[]", "spec.seeds", "must be a list of 1 to 64 entries, was an empty list"),
    (
        "seeds",
        f"[{', '.join(map(str, range(65)))}]",
        "spec.seeds",
        "must be a list of 1 to 64 entries, was a list of 65",
    ),
    (
        "baseline",
        "false",
        "spec.intermediates",
        "must have at least 1 entry where baseline is false, was empty: nothing would be run",
    ),
    (
        "training",
        "{sweep: {learningRate: []}}",
        "spec.training.sweep.learningRate",
        "must be a list of 1 to 16 entries, was an empty list",
    ),
    (
        "intermediates",
        "[{name: a, tasks: []}]",
        "spec.intermediates[0].tasks",
        "must be a list of 1 to 64 entries, was an empty list",
    ),
    # numbers
    ("seeds", "[-1]", "spec.seeds[0]", "must be a whole number from 0 to 4,294,967,295, was the number -1"),
    ("seeds", "[1.5]", "spec.seeds[0]", "must be a whole number from 0 to 4,294,967,295, was the number 1.5"),
    (
        "seeds",
        "[true]",
        "spec.seeds[0]",
        "must be a whole number from 0 to 4,294,967,295, was the boolean true",
    ),
    (
        "seeds",
        '["3"]',
        "spec.seeds[0]",
        "must be a whole number from 0 to 4,294,967,295, was '3'; leave out the quotes",
    ),
    ("suspend", "'yes'", "spec.suspend", "must be true or false, was 'yes'"),
    (
        "training",
        "{defaults: {epochs: 0}}",
        "spec.training.defaults.epochs",
        "must be a whole number from 1 to 1,000, was the number 0",
    ),
    (
        "training",
        "{defaults: {epochs: .nan}}",
        "spec.training.defaults.epochs",
        "must be a whole number from 1 to 1,000, was the number .nan",
    ),
    (
        "training",
        "{learningRate: 1e-5}",
        "spec.training.learningRate",
        f'must be {RATE}, was the number 1e-5; put it in quotes: "1e-5"',
    ),
    (
        "training",
        "{learningRate: 0.1}",
        "spec.training.learningRate",
        f'must be {RATE}, was the number 0.1; put it in quotes: "0.1"',
    ),
    (
        "training",
        "{learningRate: .nan}",
        "spec.training.learningRate",
        f"must be {RATE}, was the number .nan",
    ),
    ("training", "{learningRate: NaN}", "spec.training.learningRate", f"must be {RATE}, was 'NaN'"),
    (
        "training",
        "{learningRate: -1e-5}",
        "spec.training.learningRate",
        f"must be {RATE}, was the number -1e-5",
    ),
    ("training", "{learningRate: '-1e-5'}", "spec.training.learningRate", f"must be {RATE}, was '-1e-5'"),
    ("training", "{learningRate: '0'}", "spec.training.learningRate", f"must be {RATE}, was '0'"),
    ("training", "{learningRate: '0.0e-9'}", "spec.training.learningRate", f"must be {RATE}, was '0.0e-9'"),
    ("training", "{learningRate: '1e-5 '}", "spec.training.learningRate", f"must be {RATE}, was '1e-5 '"),
    (
        "training",
        "{defaults: {warmupRatio: '1'}}",
        "spec.training.defaults.warmupRatio",
        "must be a decimal of at least 0 and below 1, in quotes, was '1'",
    ),
    (
        "training",
        "{sweep: {learningRate: ['1e-5', '0.00001']}}",
        "spec.training.sweep.learningRate[1]",
        "must be unique, was '1e-5' as in entry [0]",
    ),
    # fields that exclude or need each other
    (
        "training",
        "{learningRate: '1e-5', sweep: {learningRate: ['2e-5']}}",
        "spec.training.learningRate",
        "must not be set beside sweep.learningRate; keep one of them",
    ),
    (
        "training",
        "{defaults: {learningRate: '1e-5'}, sweep: {learningRate: ['2e-5']}}",
        "spec.training.defaults.learningRate",
        "must not be set beside sweep.learningRate; keep one of them",
    ),
    (
        "training",
        "{overrides: [{match: {task: xnli}, learningRate: '1e-5', sweep: {learningRate: ['2e-5']}}]}",
        "spec.training.overrides[0].learningRate",
        "must not be set beside sweep.learningRate; keep one of them",
    ),
    (
        "training",
        "{overrides: [{match: {}, epochs: 2}]}",
        "spec.training.overrides[0].match",
        "must set phase, task, model or family, was empty; what is for all stages stands in defaults",
    ),
    (
        "training",
        "{overrides: [{match: {task: xnli}}]}",
        "spec.training.overrides[0]",
        "must set a hyperparameter beside match, was match alone",
    ),
    (
        "intermediates",
        "[{name: a, tasks: [mnli], mixing: {}}]",
        "spec.intermediates[0].mixing",
        "must not be set: there is one task, and nothing to mix; leave it out",
    ),
    (
        "intermediates",
        "[{name: a, tasks: [mnli, qqp], mixing: {strategy: Temperature}}]",
        "spec.intermediates[0].mixing.temperature",
        "must be set for strategy Temperature, was absent",
    ),
    (
        "intermediates",
        "[{name: a, tasks: [mnli, qqp], mixing: {temperature: '2'}}]",
        "spec.intermediates[0].mixing.temperature",
        "must not be set: strategy Proportional has none; leave it out",
    ),
    (
        "intermediates",
        "[{name: a, tasks: [mnli, qqp], mixing: {strategy: Uniform, examplesCap: 9}}]",
        "spec.intermediates[0].mixing.examplesCap",
        "must not be set: strategy Uniform looks at no sizes; leave it out",
    ),
    (
        "intermediates",
        "[{name: a, tasks: [mnli], translatedTo: [de, en]}]",
        "spec.intermediates[0].translatedTo[1]",
        "must be another language than 'en', from which is translated",
    ),
    (
        "intermediates",
        "[{name: a, tasks: [mnli], continuedPretraining: {objective: MLM, ratio: '1', corpus: wikipedia, languages: [de]}}]",
        "spec.intermediates[0].continuedPretraining.ratio",
        "must be a decimal above 0 and below 1, in quotes, was '1'",
    ),
    (
        "resources",
        "{tolerations: [{key: gpu, operator: Exists, value: x}]}",
        "spec.resources.tolerations[0].value",
        "must not be set for operator Exists; leave it out",
    ),
    (
        "resources",
        "{tolerations: [{operator: Equal}]}",
        "spec.resources.tolerations[0].key",
        "must be set for operator Equal, was absent",
    ),
    (
        "resources",
        "{tolerations: [{key: gpu, operator: Exists, tolerationSeconds: 3}]}",
        "spec.resources.tolerations[0].tolerationSeconds",
        "must not be set: only effect NoExecute has it; leave it out",
    ),
    # the rest
    (
        "resources",
        "{nodeSelector: {'bad key': x}}",
        'spec.resources.nodeSelector["bad key"]',
        "must have as its key a Kubernetes label key: [prefix/]name, was 'bad key'",
    ),
    (
        "resources",
        "{memory: lots}",
        "spec.resources.memory",
        "must be a Kubernetes quantity of bytes such as '32Gi' or '500M', was 'lots'",
    ),
    (
        "retryFailedAt",
        "2026-13-01T00:00:00Z",
        "spec.retryFailedAt",
        "must be a time as RFC 3339 writes it, such as '2026-01-31T08:00:00Z', was '2026-13-01T00:00:00Z'",
    ),
    (
        "retryFailedAt",
        "1700000000",
        "spec.retryFailedAt",
        (
            "must be a time as RFC 3339 writes it, such as '2026-01-31T08:00:00Z', was the number 1700000000; "
            'put it in quotes: "1700000000"'
        ),
    ),
    (
        "tasks",
        "[{name: mnli, data: slices/mnli}]",
        "spec.tasks[0].data",
        (
            "must be `store://NAME@sha256:DIGEST` with 64 hexadecimal digits, or a path that begins with '.' or '/' "
            "(for a local run), was 'slices/mnli'"
        ),
    ),
    (
        "tasks",
        "[{name: mnli, data: 'store://mnli@sha256:12'}]",
        "spec.tasks[0].data",
        (
            "must be `store://NAME@sha256:DIGEST` with 64 hexadecimal digits, or a path that begins with '.' or '/' "
            "(for a local run), was 'store://mnli@sha256:12'"
        ),
    ),
    (
        "queueName",
        f"{'q' * 200}",
        "spec.queueName",
        f"must be {NAME}, was '{'q' * 80}'… (200 characters)",
    ),
    (
        "sedes",
        "[1]",
        "spec.sedes",
        "must not be set: there is no such field; did you mean 'seeds'?",
    ),
    (
        "store",
        "{where: /tmp}",
        "spec.store.where",
        "must not be set: there is no such field; the fields here are name, keep",
    ),
]


@pytest.mark.parametrize(("name", "yaml", "field", "sentence"), TABLE)
def test_one_problem(manifest, name, yaml, field, sentence):
    text = manifest(**{name: yaml})
    line = next(number for number, line in enumerate(text.splitlines(), 1) if line.startswith(f"  {name}:"))
    absent = field == "spec.intermediates" and name == "baseline"  # named where it would stand: under spec
    with pytest.raises(SpecError) as caught:
        parse_experiment(text, "x.yaml")
    assert [str(problem) for problem in caught.value.problems] == [
        f"{field}: {sentence} (x.yaml, line {4 if absent else line})"
    ]


@pytest.mark.parametrize(
    ("line", "replacement", "field", "sentence"),
    [
        (0, "apiVersion: v1", "apiVersion", "must be 'xstilts.dev/v1alpha1', was 'v1' (x.yaml, line 1)"),
        (1, "kind: Job", "kind", "must be 'TransferExperiment', was 'Job' (x.yaml, line 2)"),
        (1, "", "kind", "must be set to 'TransferExperiment', was absent (x.yaml)"),
        (2, "metadata: {}", "metadata.name", f"must be set to {NAME}, was absent (x.yaml, line 3)"),
        (2, "metadata: small", "metadata", "must be a mapping with name, was 'small' (x.yaml, line 3)"),
    ],
)
def test_the_head_of_the_manifest(manifest, line, replacement, field, sentence):
    lines = manifest().splitlines()
    lines[line] = replacement
    with pytest.raises(SpecError) as caught:
        parse_experiment("\n".join(lines), "x.yaml")
    assert [str(problem) for problem in caught.value.problems] == [f"{field}: {sentence}"]
