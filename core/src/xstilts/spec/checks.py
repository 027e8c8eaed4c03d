"""What the fields of an experiment must be together, and by the catalogue: tasks, models, and names that refer."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from difflib import get_close_matches
from itertools import islice
from math import prod
from typing import Final, NamedTuple

from xstilts.catalogue import CATALOGUE, Entry
from xstilts.catalogue.models import FAMILY_RETRIEVAL, FORMS, MODELS
from xstilts.errors import Problem
from xstilts.spec.experiment import Experiment, ExperimentSpec
from xstilts.spec.models import ModelSpec
from xstilts.spec.sentences import first
from xstilts.spec.tasks import TaskSpec
from xstilts.spec.words import Path, spell
from xstilts.stage import Family, Form
from xstilts.task import TaskType

CELL_LIMIT: Final = 100_000
NAMES_LIMIT: Final = (
    100  # that a name is compared with, or that a sentence lists: an experiment can hold thousands
)
_LABELLED = (TaskType.CLASSIFICATION, TaskType.TAGGING)


class Fault(NamedTuple):
    """What is wrong with the value at a path."""

    path: Path
    sentence: str


def check(experiment: Experiment) -> list[Problem]:
    """What is wrong with a well-formed experiment, the first of very much; empty for one that can be planned."""
    return first(Problem(spell(fault.path), fault.sentence) for fault in faults(experiment.spec))


def faults(spec: ExperimentSpec, unknown: Collection[str] = ()) -> Iterator[Fault]:
    """The same, with paths from the manifest's root.

    `unknown` are fields of the spec that are not to be relied on: whatever hangs on one of them is not judged.
    """
    for needs, subject in _SUBJECTS:
        if needs.isdisjoint(unknown):
            yield from _below(("spec",), subject(spec))


def _below(path: Path, faults: Iterable[Fault]) -> Iterator[Fault]:
    return (Fault((*path, *fault.path), fault.sentence) for fault in faults)


def _did_you_mean(name: str, known: Iterable[str]) -> str:
    near = get_close_matches(name, list(islice(known, NAMES_LIMIT)), n=1)
    return f"; did you mean {near[0]!r}?" if near else ""


# Models


def _models(spec: ExperimentSpec) -> Iterator[Fault]:
    named = _named(spec)
    retrieves = any(_is_retrieval(target.task, named) for target in spec.targets)
    for index, model in enumerate(spec.models):
        yield from _below(("models", index), _model(model, retrieves=retrieves))


def _model(model: ModelSpec, *, retrieves: bool) -> Iterator[Fault]:
    known = MODELS.get(model.pretrained)
    if known is None and model.family is None:
        families = ", ".join(Family)
        sentence = (
            f"must be set to one of {families}, was absent: the catalogue does not know {model.pretrained!r}"
        )
        yield Fault(("family",), sentence + _did_you_mean(model.pretrained, MODELS))
        return
    if known is not None and model.family not in {None, known.family}:
        yield Fault(("family",), f"must be {known.family} for {model.pretrained!r}, was {model.family}")
        return
    family = _family(model)
    if model.form is Form.TEXT_TO_TEXT and family is not Family.MT5:
        sentence = f"must be EncoderHead for family {family}, which has no decoder, was TextToText"
        yield Fault(("form",), sentence)
    layer_known = known is not None or (family is not None and FAMILY_RETRIEVAL[family].layer is not None)
    if retrieves and model.layer is None and not layer_known:
        sentence = (
            "must be set for a target that is retrieved, was absent: which hidden state is best for it differs "
            f"between models of family {family}; -1 is the last"
        )
        yield Fault(("layer",), sentence)


def _family(model: ModelSpec) -> Family | None:
    known = MODELS.get(model.pretrained)
    return model.family if known is None else known.family


def _form(model: ModelSpec) -> Form | None:
    family = _family(model)
    return model.form or (None if family is None else FORMS[family])


# Tasks


def _tasks(spec: ExperimentSpec) -> Iterator[Fault]:
    for index, task in enumerate(spec.tasks):
        entry = CATALOGUE.get(task.name)
        yield from _below(("tasks", index), _own(task) if entry is None else _catalogued(task, entry))


def _named(spec: ExperimentSpec) -> dict[str, TaskSpec]:
    return {task.name: task for task in spec.tasks}


def _catalogued(task: TaskSpec, entry: Entry) -> Iterator[Fault]:
    for field, value in (("type", task.type), ("labels", task.labels)):
        if value is not None:
            sentence = (
                f"must not be set: {task.name!r} is in the catalogue, which knows its {field}; leave it out, "
                "or give your own task another name"
            )
            yield Fault((field,), sentence)
    if task.splits is not None and task.data is None:
        yield Fault(("splits",), "must not be set without data, whose files it is about; leave it out")
    for index, language in enumerate(task.languages or ()):
        if language not in entry.languages:
            sentence = f"must be a language of {task.name} ({', '.join(entry.languages)}), was {language!r}"
            yield Fault(("languages", index), sentence)


def _own(task: TaskSpec) -> Iterator[Fault]:
    own = f"for {task.name!r}, which is not in the catalogue"
    if task.type is None:
        types = "Classification, MultipleChoice, Tagging, SpanQA, Retrieval"
        sentence = f"must be set to one of {types} {own}, was absent{_did_you_mean(task.name, CATALOGUE)}"
        yield Fault(("type",), sentence)
    if task.data is None:
        yield Fault(("data",), f"must be set {own}, was absent: a folder of <split>.<language>.jsonl files")
    if task.languages is None:
        yield Fault(("languages",), f"must be set {own}, was absent: those that it is evaluated in")
    if task.type in _LABELLED and task.labels is None:
        yield Fault(
            ("labels",), f"must be set for type {task.type}, was absent: the names in order of their numbers"
        )
    if task.type is not None and task.type not in _LABELLED and task.labels is not None:
        yield Fault(("labels",), f"must not be set: type {task.type} has none; leave it out")


def _is_retrieval(name: str, named: Mapping[str, TaskSpec]) -> bool:
    entry = CATALOGUE.get(name)
    if entry is not None:
        return entry.is_retrieval
    return name in named and named[name].type is TaskType.RETRIEVAL


def _is_parallel(name: str, named: Mapping[str, TaskSpec]) -> bool:
    """Whether a task is made of pairs of sentences; of one that is not known this is not said."""
    entry = CATALOGUE.get(name)
    if entry is not None:
        return entry.task.type is TaskType.RETRIEVAL
    return name not in named or named[name].type in {None, TaskType.RETRIEVAL}


def _unknown(name: str, named: Mapping[str, TaskSpec]) -> Iterator[Fault]:
    if name not in CATALOGUE and name not in named:
        hint = _did_you_mean(name, [*CATALOGUE, *named])
        yield Fault((), f"must be a task of the catalogue or of spec.tasks, was {name!r}{hint}")


def _without_data(name: str, named: Mapping[str, TaskSpec]) -> Iterator[Fault]:
    entry = CATALOGUE.get(name)
    if entry is None or not entry.unavailable or (name in named and named[name].data is not None):
        return
    yield Fault((), f"must have its data named in spec.tasks, was {name!r} without: {entry.unavailable}")


# Intermediates


def _intermediates(spec: ExperimentSpec) -> Iterator[Fault]:
    named = _named(spec)
    for index, intermediate in enumerate(spec.intermediates):
        for place, name in enumerate(intermediate.tasks):
            yield from _below(("intermediates", index, "tasks", place), _trained(name, named))
            for where, language in enumerate(intermediate.translated_to or ()):
                path = ("intermediates", index, "translatedTo", where)
                yield from _below(path, _translated(name, language, named))


def _objectives(spec: ExperimentSpec) -> Iterator[Fault]:
    for index, intermediate in enumerate(spec.intermediates):
        pretraining = intermediate.continued_pretraining
        if pretraining is None:
            continue
        wanted = Form.ENCODER_HEAD if pretraining.objective == "MLM" else Form.TEXT_TO_TEXT
        others = [model.name for model in spec.models if _form(model) not in {None, wanted}]
        if others:
            sentence = (
                f"must suit every model, was {pretraining.objective}, which is for form {wanted} and not for "
                f"{', '.join(others)}; MLM is for EncoderHead, SpanCorruption for TextToText"
            )
            yield Fault(("intermediates", index, "continuedPretraining", "objective"), sentence)


def _trained(name: str, named: Mapping[str, TaskSpec]) -> Iterator[Fault]:
    yield from _unknown(name, named)
    entry = CATALOGUE.get(name)
    if entry is not None and not entry.is_intermediate:
        known = ", ".join(other for other, entry in CATALOGUE.items() if entry.is_intermediate)
        sentence = (
            f"must be a task that can be an intermediate ({known}, or an own one), was the target {name!r}"
        )
        yield Fault((), sentence)
    elif _is_retrieval(name, named):
        yield Fault(
            (), f"must be a task that is trained, was {name!r} of type Retrieval, which only evaluates"
        )
    else:
        yield from _without_data(name, named)


def _translated(name: str, language: str, named: Mapping[str, TaskSpec]) -> Iterator[Fault]:
    entry = CATALOGUE.get(name)
    if entry is None or (name in named and named[name].data is not None) or language in entry.translations:
        return  # an own folder may hold train.<language> files; they are looked for when they are read
    if entry.translations:
        sentence = (
            f"must be a language of {name}'s translations ({', '.join(entry.translations)}), was {language!r}"
        )
    else:
        sentence = (
            f"must have a source of translations for each task, was {language!r} for {name}, which has none: "
            "nothing is translated here; give the task `data` with train files of that language"
        )
    yield Fault((), sentence)


# Targets


def _targets(spec: ExperimentSpec) -> Iterator[Fault]:
    named = _named(spec)
    for index, target in enumerate(spec.targets):
        yield from _below(("targets", index, "task"), _target(target.task, named))
        if target.probe_layers and not _is_parallel(target.task, named):
            sentence = (
                f"must not be true for {target.task!r}: only a task of type Retrieval is made of sentences and their "
                "translations"
            )
            yield Fault(("targets", index, "probeLayers"), sentence)


def _target(name: str, named: Mapping[str, TaskSpec]) -> Iterator[Fault]:
    yield from _unknown(name, named)
    entry = CATALOGUE.get(name)
    if entry is None:
        return
    if not entry.is_target:
        targets = {target: entry for target, entry in CATALOGUE.items() if entry.is_target}
        trained = [target for target, entry in targets.items() if entry.trains_on == name]
        hint = f"; trained on it: {', '.join(trained)}" if trained else ""
        known = ", ".join(targets)
        sentence = f"must be a task that can be a target ({known}, or an own one), was the intermediate {name!r}{hint}"
        yield Fault((), sentence)
    else:
        yield from _without_data(name, named)


# Training and size


def _overrides(spec: ExperimentSpec) -> Iterator[Fault]:
    models = [model.name for model in spec.models]
    targets = [target.task for target in spec.targets]
    trained = [CATALOGUE[name].trains_on for name in targets if name in CATALOGUE]
    tasks = {*(name for one in spec.intermediates for name in one.tasks), *targets, *filter(None, trained)}
    families = [family for model in spec.models if (family := _family(model)) is not None]
    for index, override in enumerate(spec.training.overrides):
        match = override.match
        if match.family is not None and match.family not in families:
            known = ", ".join(sorted(set(families)))
            sentence = f"must be the family of a model here ({known}), was {match.family}"
            yield Fault(("training", "overrides", index, "match", "family"), sentence)
        if match.model is not None and match.model not in models:
            sentence = f"must be the name of a model here ({', '.join(models)}), was {match.model!r}"
            yield Fault(
                ("training", "overrides", index, "match", "model"),
                sentence + _did_you_mean(match.model, models),
            )
        if match.task is not None and match.task not in tasks:
            listed = sorted(tasks)[:NAMES_LIMIT]
            sentence = f"must be a task of this experiment ({', '.join(listed)}), was {match.task!r}"
            yield Fault(
                ("training", "overrides", index, "match", "task"),
                sentence + _did_you_mean(match.task, listed),
            )


def _size(spec: ExperimentSpec) -> Iterator[Fault]:
    rates = max((len(sweep.learning_rate) for sweep in spec.training.sweeps), default=1)
    conditions = len(spec.intermediates) + spec.baseline
    cells = prod((len(spec.models), conditions, len(spec.targets), len(spec.seeds), rates))
    if cells > CELL_LIMIT:
        sentence = (
            f"must hold at most {CELL_LIMIT:,} cells, was {cells:,} (models x intermediates x targets x seeds x "
            "learning rates); split the experiment"
        )
        yield Fault((), sentence)


# What is judged, and the fields of the spec that each judgement hangs on.
_SUBJECTS: Final[tuple[tuple[frozenset[str], Callable[[ExperimentSpec], Iterator[Fault]]], ...]] = (
    (frozenset({"models", "tasks", "targets"}), _models),
    (frozenset({"tasks"}), _tasks),
    (frozenset({"tasks", "intermediates"}), _intermediates),
    (frozenset({"models", "intermediates"}), _objectives),
    (frozenset({"tasks", "targets"}), _targets),
    (frozenset({"models", "intermediates", "targets", "training"}), _overrides),
    (frozenset({"models", "intermediates", "baseline", "targets", "seeds", "training"}), _size),
)
