"""Well-formed manifests that could not run, and the sentences that say so."""

from __future__ import annotations

import pytest

from xstilts.catalogue import CATALOGUE
from xstilts.errors import SpecError
from xstilts.spec import Experiment, parse_experiment
from xstilts.spec.checks import check

OWN = "which is not in the catalogue, was absent"
INTERMEDIATES = "mnli, anli_plus, qqp, squad, squad_v2, hellaswag, cosmos_qa, commonsense_qa, ccg"
MINE = "name: mine, data: ./mine, languages: [en, de]"
MT5 = "[{name: a, pretrained: google/mt5-base}]"
MLM = "[{name: x, tasks: [mnli], continuedPretraining: {objective: MLM, ratio: '0.2', corpus: wikipedia, languages: [ar]}}]"

TABLE = [
    # tasks that are not there, or not for this
    (
        {"targets": "[{task: xnil}]"},
        "spec.targets[0].task: must be a task of the catalogue or of spec.tasks, was 'xnil'; did you mean 'xnli'?",
    ),
    (
        {"targets": "[{task: quite_other}]"},
        "spec.targets[0].task: must be a task of the catalogue or of spec.tasks, was 'quite_other'",
    ),
    (
        {"intermediates": "[{name: x, tasks: [mnli, sqad]}]"},
        ("spec.intermediates[0].tasks[1]: must be a task of the catalogue or of spec.tasks, was 'sqad'; "
        "did you mean 'squad'?"),
    ),
    (
        {"targets": "[{task: squad}]"},
        ("spec.targets[0].task: must be a task that can be a target (xnli, pawsx, xquad, mlqa, tydiqa, udpos, panx, "
        "tatoeba, bucc2018, or an own one), was the intermediate 'squad'; trained on it: xquad, mlqa"),
    ),
    (
        {"intermediates": "[{name: x, tasks: [xnli]}]"},
        (f"spec.intermediates[0].tasks[0]: must be a task that can be an intermediate ({INTERMEDIATES}, or an own one), "
        "was the target 'xnli'"),
    ),
    (
        {"tasks": f"[{{{MINE}, type: Retrieval}}]", "intermediates": "[{name: x, tasks: [mine]}]"},
        ("spec.intermediates[0].tasks[0]: must be a task that is trained, was 'mine' of type Retrieval, which only "
        "evaluates"),
    ),
    # what the catalogue knows, and what it does not
    (
        {"tasks": "[{name: xnli, type: Classification}]"},
        ("spec.tasks[0].type: must not be set: 'xnli' is in the catalogue, which knows its type; leave it out, or give "
        "your own task another name"),
    ),
    (
        {"tasks": "[{name: xnli, labels: [a, b]}]"},
        ("spec.tasks[0].labels: must not be set: 'xnli' is in the catalogue, which knows its labels; leave it out, or "
        "give your own task another name"),
    ),
    (
        {"tasks": "[{name: xnli, languages: [en, ja]}]"},
        ("spec.tasks[0].languages[1]: must be a language of xnli (ar, bg, de, el, en, es, fr, hi, ru, sw, th, tr, ur, "
        "vi, zh), was 'ja'"),
    ),
    (
        {"tasks": "[{name: xnli, splits: {test: dev}}]"},
        "spec.tasks[0].splits: must not be set without data, whose files it is about; leave it out",
    ),
    (
        {"tasks": "[{name: tydi_qa, data: ./x, languages: [en]}]"},
        ("spec.tasks[0].type: must be set to one of Classification, MultipleChoice, Tagging, SpanQA, Retrieval for "
        f"'tydi_qa', {OWN}; did you mean 'tydiqa'?"),
    ),
    (
        {"tasks": "[{name: mine, type: SpanQA, languages: [en]}]"},
        f"spec.tasks[0].data: must be set for 'mine', {OWN}: a folder of <split>.<language>.jsonl files",
    ),
    (
        {"tasks": "[{name: mine, type: SpanQA, data: ./x}]"},
        f"spec.tasks[0].languages: must be set for 'mine', {OWN}: those that it is evaluated in",
    ),
    (
        {"tasks": f"[{{{MINE}, type: Tagging}}]"},
        "spec.tasks[0].labels: must be set for type Tagging, was absent: the names in order of their numbers",
    ),
    (
        {"tasks": f"[{{{MINE}, type: MultipleChoice, labels: [a, b]}}]"},
        "spec.tasks[0].labels: must not be set: type MultipleChoice has none; leave it out",
    ),
    # data that nobody may or does carry
    (
        {"intermediates": "[{name: x, tasks: [ccg]}]"},
        "spec.intermediates[0].tasks[0]: must have its data named in spec.tasks, was 'ccg' without: "
        + CATALOGUE["ccg"].unavailable,
    ),
    (
        {"targets": "[{task: bucc2018}]"},
        "spec.targets[0].task: must have its data named in spec.tasks, was 'bucc2018' without: "
        + CATALOGUE["bucc2018"].unavailable,
    ),
    # translations and continued pretraining
    (
        {"intermediates": "[{name: x, tasks: [mnli], translatedTo: [de, ja]}]"},
        ("spec.intermediates[0].translatedTo[1]: must be a language of mnli's translations (ar, bg, de, el, es, fr, hi, "
        "ru, sw, th, tr, ur, vi, zh), was 'ja'"),
    ),
    (
        {"intermediates": "[{name: x, tasks: [qqp], translatedTo: [de]}]"},
        ("spec.intermediates[0].translatedTo[0]: must have a source of translations for each task, was 'de' for qqp, "
        "which has none: nothing is translated here; give the task `data` with train files of that language"),
    ),
    (
        {"models": MT5, "intermediates": MLM},
        ("spec.intermediates[0].continuedPretraining.objective: must suit every model, was MLM, which is for form "
        "EncoderHead and not for a; MLM is for EncoderHead, SpanCorruption for TextToText"),
    ),
    (
        {"intermediates": MLM.replace("MLM", "SpanCorruption")},
        ("spec.intermediates[0].continuedPretraining.objective: must suit every model, was SpanCorruption, which is for "
        "form TextToText and not for base; MLM is for EncoderHead, SpanCorruption for TextToText"),
    ),
    # models
    (
        {"models": "[{name: a, pretrained: FacebookAI/xlm-roberta-larg}]"},
        ("spec.models[0].family: must be set to one of XLMR, MBERT, MDeBERTa, BERT, E5, MT5, was absent: the catalogue "
        "does not know 'FacebookAI/xlm-roberta-larg'; did you mean 'FacebookAI/xlm-roberta-large'?"),
    ),
    (
        {"models": "[{name: a, pretrained: google/mt5-base, family: XLMR}]"},
        "spec.models[0].family: must be MT5 for 'google/mt5-base', was XLMR",
    ),
    (
        {"models": "[{name: a, pretrained: ./m, family: E5, form: TextToText}]"},
        "spec.models[0].form: must be EncoderHead for family E5, which has no decoder, was TextToText",
    ),
    (
        {"models": "[{name: a, pretrained: ./m, family: XLMR}]", "targets": "[{task: tatoeba}]"},
        ("spec.models[0].layer: must be set for a target that is retrieved, was absent: which hidden state is best for "
        "it differs between models of family XLMR; -1 is the last"),
    ),
    # names that refer
    (
        {"training": "{overrides: [{match: {model: bas}, epochs: 1}]}"},
        ("spec.training.overrides[0].match.model: must be the name of a model here (base), was 'bas'; "
        "did you mean 'base'?"),
    ),
    (
        {"training": "{overrides: [{match: {task: squad}, epochs: 1}]}"},
        "spec.training.overrides[0].match.task: must be a task of this experiment (mnli, xnli), was 'squad'",
    ),
    (
        {"targets": "[{task: xnli, probeLayers: true}]"},
        ("spec.targets[0].probeLayers: must not be true for 'xnli': only a task of type Retrieval is made of sentences "
        "and their translations"),
    ),
    (
        {"training": "{overrides: [{match: {family: BERT}, epochs: 1}]}"},
        "spec.training.overrides[0].match.family: must be the family of a model here (XLMR), was BERT",
    ),
    # size
    (
        {
            "models": f"[{', '.join(f'{{name: m{n}, pretrained: ./m{n}, family: E5}}' for n in range(32))}]",
            "intermediates": f"[{', '.join(f'{{name: i{n}, tasks: [mnli]}}' for n in range(60))}]",
            "seeds": str(list(range(60))),
        },
        ("spec: must hold at most 100,000 cells, was 117,120 (models x intermediates x targets x seeds x learning rates); "
        "split the experiment"),
    ),
    (
        {
            "models": f"[{', '.join(f'{{name: m{n}, pretrained: ./m{n}, family: E5}}' for n in range(32))}]",
            "intermediates": f"[{', '.join(f'{{name: i{n}, tasks: [mnli]}}' for n in range(60))}]",
            "seeds": str(list(range(30))),
            "training": "{overrides: [{match: {phase: target}, sweep: {learningRate: ['1e-5', '2e-5']}}]}",
        },
        ("spec: must hold at most 100,000 cells, was 117,120 (models x intermediates x targets x seeds x learning rates); "
        "split the experiment"),
    ),
]  # fmt: skip


@pytest.mark.parametrize(("fields", "problem"), TABLE)
def test_one_problem(manifest, fields, problem):
    with pytest.raises(SpecError) as caught:
        parse_experiment(manifest(**fields), "x.yaml")
    (found,) = map(str, caught.value.problems)
    assert found.partition(" (x.yaml, line ")[0] == problem
    assert found.endswith(")")


def test_checks_come_together_and_without_a_file(manifest):
    experiment = parse_experiment(manifest(intermediates="[{name: x, tasks: [mnli]}]"))
    wrong = experiment.model_dump()
    wrong["spec"]["targets"] = [{"task": "xnil"}, {"task": "mnli"}]
    assert [problem.field for problem in check(Experiment.model_validate(wrong))] == [
        "spec.targets[0].task",
        "spec.targets[1].task",
    ]
    assert check(experiment) == []


@pytest.mark.parametrize(
    "fields",
    [
        {"tasks": "[{name: ccg, data: ./ccg}]", "intermediates": "[{name: x, tasks: [ccg]}]"},
        {"tasks": "[{name: qqp, data: ./q}]", "intermediates": "[{name: x, tasks: [qqp], translatedTo: [de]}]"},
        {"intermediates": MLM},
        {"models": MT5, "intermediates": MLM.replace("MLM", "SpanCorruption")},
        {"models": "[{name: a, pretrained: google/mt5-base, form: EncoderHead}]", "intermediates": MLM},
        {"models": "[{name: a, pretrained: google/mt5-base, form: TextToText}]"},
        {"models": "[{name: a, pretrained: ./m, family: XLMR, layer: 8}]", "targets": "[{task: tatoeba}]"},
        {"models": "[{name: a, pretrained: ./m, family: E5}]", "targets": "[{task: tatoeba}]"},
        {"tasks": f"[{{{MINE}, type: Tagging, labels: [O, B]}}]", "targets": "[{task: mine}]"},
        {"training": "{overrides: [{match: {task: mnli, model: base, phase: target}, epochs: 1}]}"},
    ],
)  # fmt: skip
def test_what_is_right(manifest, fields):
    parse_experiment(manifest(**fields))
