"""CEL: what the fields of a TransferExperiment must be together, and what an edit of one that has begun must keep.

The same is said in Python by the models of `xstilts.spec` and by `xstilts.spec.edits`. What only the catalogue can
judge is not here: the operator judges it (condition reason InvalidSpec).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from xstilts.catalogue.models import FORMS
from xstilts.spec import Match, MatchedOverride, ModelSpec
from xstilts.spec.checks import CELL_LIMIT
from xstilts.spec.edits import FROZEN, GROWING, MUTABLE
from xstilts.spec.fields import BASELINE, MUST
from xstilts.spec.sources import PATH
from xstilts.stage import Form
from xstilts.task import TaskType

Rule = dict[str, str]


def rule(holds: str, message: str, field: str = "") -> Rule:
    """A validation rule; `field` is the path below the validated value that its error names."""
    return {"rule": holds, "message": message, **({"fieldPath": f".{field}"} if field else {})}


def _names(values: Iterable[str]) -> str:
    return ", ".join(repr(str(value)) for value in values)


# Values

_DECIMALS: Final = {
    "a decimal above 0 and at most 1, in quotes": "0.0 < double(self) && double(self) <= 1.0",
    "a decimal above 0 and below 1, in quotes": "0.0 < double(self) && double(self) < 1.0",
    "a decimal of at least 0 and below 1, in quotes": "double(self) < 1.0",
    "a decimal above 0 and at most 100, in quotes": "0.0 < double(self) && double(self) <= 100.0",
}


def value_rules(node: dict[str, Any]) -> list[Rule]:
    """Rules of a string that is a decimal or a time."""
    words = node.get(MUST, "")
    if node.get("format") == "date-time":  # the API server's own check of the format lets lists pass
        return [rule("self > timestamp('2000-01-01T00:00:00Z')", f"must be {words}")]
    return [rule(_DECIMALS[words], f"must be {words}")] if words.startswith("a decimal") else []


def source_rules(node: dict[str, Any]) -> list[Rule]:
    """Rules of a string that may be a path in a local run."""
    if PATH not in node.get("pattern", ""):
        return []
    message = (
        "must name the hub or the store on a cluster, was a path; put the folder there with `xstilts put NAME DIR` "
        "and write store://NAME@sha256:DIGEST"
    )
    return [rule("!self.startsWith('.') && !self.startsWith('/')", message)]


# Fields together

_LABELLED: Final = (TaskType.CLASSIFICATION, TaskType.TAGGING)
_TEXT_TO_TEXT: Final = [family for family, form in FORMS.items() if form is Form.TEXT_TO_TEXT]
_CONDITIONS: Final = "((has(self.intermediates) ? size(self.intermediates) : 0) + (self.baseline ? 1 : 0))"
_RATES: Final = "(has(self.training.sweep) ? size(self.training.sweep.learningRate) : 1)"
_GRID: Final = f"size(self.models) * {_CONDITIONS} * size(self.targets) * size(self.seeds)"
_CELLS: Final = f"{_GRID} * {_RATES}"
# CEL knows no greatest of a list: each override's sweep is held against the limit by itself.
_OVERRIDE_CELLS: Final = f"{_GRID} * size(o.sweep.learningRate)"
# Whether a model is text to text, as far as it says so itself.
_IS_TEXT_TO_TEXT: Final = f"(has(m.form) ? m.form == '{Form.TEXT_TO_TEXT}' : has(m.family) && m.family in [{_names(_TEXT_TO_TEXT)}])"
_IS_ENCODER: Final = f"(has(m.form) ? m.form == '{Form.ENCODER_HEAD}' : has(m.family) && !(m.family in [{_names(_TEXT_TO_TEXT)}]))"


def _objective(objective: str, wrong: str, message: str) -> Rule:
    used = (
        "self.intermediates.exists(i, has(i.continuedPretraining) && "
        f"i.continuedPretraining.objective == '{objective}')"
    )
    holds = f"!has(self.intermediates) || !{used} || !self.models.exists(m, {wrong})"
    return rule(holds, message, "intermediates")


def _says(fields: Iterable[str]) -> str:
    return " || ".join(f"has(self.{field})" for field in fields)


def _fields(model: type[Any]) -> list[str]:
    return [str(field.alias) for field in model.model_fields.values()]


CLASS_RULES: Final[dict[str, list[Rule]]] = {
    "ExperimentSpec": [
        rule(
            "self.baseline || (has(self.intermediates) && size(self.intermediates) > 0)",
            "must have at least 1 entry where baseline is false, was empty: nothing would be run",
            "intermediates",
        ),
        rule(
            f"{_CELLS} <= {CELL_LIMIT} && (!has(self.training.overrides) || self.training.overrides.all(o, "
            f"!has(o.sweep) || {_OVERRIDE_CELLS} <= {CELL_LIMIT}))",
            f"must hold at most {CELL_LIMIT:,} cells (models x intermediates x targets x seeds x learning rates); "
            "split the experiment",
        ),
        rule(
            "!has(self.training.overrides) || self.training.overrides.all(o, "
            "!has(o.match.model) || self.models.exists(m, m.name == o.match.model))",
            "must match the names of models here",
            "training.overrides",
        ),
        rule(
            "!has(self.tasks) || !has(self.intermediates) || !self.tasks.exists(t, has(t.type) && "
            f"t.type == '{TaskType.RETRIEVAL}' && self.intermediates.exists(i, t.name in i.tasks))",
            "must have tasks that are trained: a task of type Retrieval only evaluates",
            "intermediates",
        ),
        _objective(
            "MLM", _IS_TEXT_TO_TEXT, "must have objective SpanCorruption for models of form TextToText"
        ),
        _objective("SpanCorruption", _IS_ENCODER, "must have objective MLM for models of form EncoderHead"),
    ],
    "ModelSpec": [
        rule(
            "!has(self.revision) || !self.pretrained.startsWith('store://')",
            "must not be set: only a hub id has commits; leave it out",
            "revision",
        ),
        rule(
            f"!has(self.form) || !has(self.family) || self.form != '{Form.TEXT_TO_TEXT}' || "
            f"self.family in [{_names(_TEXT_TO_TEXT)}]",
            f"must be EncoderHead for a family that has no decoder (all but {', '.join(_TEXT_TO_TEXT)})",
            "form",
        ),
    ],
    "TaskSpec": [
        rule(
            "!has(self.splits) || has(self.data)",
            "must not be set without data, whose files it is about",
            "splits",
        ),
        rule("!has(self.type) || has(self.data)", "must be set for an own task, was absent", "data"),
        rule(
            "!has(self.type) || has(self.languages)", "must be set for an own task, was absent", "languages"
        ),
        rule("!has(self.labels) || has(self.type)", "must be set for an own task, was absent", "type"),
        rule(
            f"!has(self.type) || has(self.labels) == (self.type in [{_names(_LABELLED)}])",
            f"must be set for the types {' and '.join(_LABELLED)}, and for no other",
            "labels",
        ),
    ],
    "IntermediateSpec": [
        rule(f"self.name != '{BASELINE}'", f"must not be '{BASELINE}', which is the baseline", "name"),
        rule(
            "!has(self.mixing) || size(self.tasks) > 1",
            "must not be set: there is one task, and nothing to mix; leave it out",
            "mixing",
        ),
        rule(
            "!has(self.translatedTo) || !('en' in self.translatedTo)",
            "must be other languages than 'en', from which is translated",
            "translatedTo",
        ),
    ],
    "MixingSpec": [
        rule(
            "self.strategy != 'Uniform' || !has(self.examplesCap)",
            "must not be set: strategy Uniform looks at no sizes; leave it out",
            "examplesCap",
        ),
        rule(
            "(self.strategy == 'Temperature') == has(self.temperature)",
            "must be set for strategy Temperature, and for no other",
            "temperature",
        ),
    ],
    "Training": [
        rule(
            "!has(self.learningRate) || !(has(self.defaults) && has(self.defaults.learningRate)) && !has(self.sweep)",
            "must not be set beside defaults.learningRate or sweep.learningRate; keep one of them",
            "learningRate",
        ),
        rule(
            "!has(self.sweep) || !(has(self.defaults) && has(self.defaults.learningRate))",
            "must not have learningRate beside sweep.learningRate; keep one of them",
            "defaults",
        ),
    ],
    "Match": [rule(_says(_fields(Match)), "must set phase, task, model or family, was empty")],
    "MatchedOverride": [
        rule(
            _says(field for field in _fields(MatchedOverride) if field != "match"),
            "must set a hyperparameter beside match, was match alone",
        ),
        rule(
            "!has(self.learningRate) || !has(self.sweep)",
            "must not be set beside sweep.learningRate; keep one of them",
            "learningRate",
        ),
    ],
    "Sweep": [
        rule(
            "self.learningRate.all(a, self.learningRate.exists_one(b, double(a) == double(b)))",
            "must be unique, however they are written",
            "learningRate",
        )
    ],
    "Toleration": [
        rule(
            "!has(self.value) || !has(self.operator) || self.operator != 'Exists'",
            "must not be set for operator Exists; leave it out",
            "value",
        ),
        rule(
            "has(self.key) || (has(self.operator) && self.operator == 'Exists')",
            "must be set for operator Equal, was absent",
            "key",
        ),
        rule(
            "!has(self.tolerationSeconds) || (has(self.effect) && self.effect == 'NoExecute')",
            "must not be set: only effect NoExecute has it; leave it out",
            "tolerationSeconds",
        ),
    ],
}

# Edits

_BEGUN: Final = "has(oldSelf.status) && has(oldSelf.status.startTime)"
_INSTEAD: Final = "make another experiment, which finds what is done in the store"


def _once_begun(holds: str, message: str, field: str) -> Rule:
    return rule(
        f"!({_BEGUN}) || ({holds})", f"{message} once the experiment has begun; {_INSTEAD}", f"spec.{field}"
    )


_EDITED: Final = {"models": ModelSpec}  # what the lists hold of whose entries a part may change


def _entry_is_kept(field: str) -> str:
    """Whether there is an entry `n` that is what the old entry `o` was."""
    if field not in MUTABLE:
        return "n == o"
    names = (name for name in _fields(_EDITED[field]) if name not in MUTABLE[field])
    # Not `n.?x == o.?x`: the API server knows no bound of an optional's size, and so none of its cost.
    return " && ".join(f"has(n.{x}) == has(o.{x}) && (!has(o.{x}) || n.{x} == o.{x})" for x in names)


def _grows(field: str) -> Rule:
    mutable = f" but for {', '.join(MUTABLE[field])}" if field in MUTABLE else ""
    kept = f"oldSelf.spec.{field}.all(o, self.spec.{field}.exists(n, {_entry_is_kept(field)}))"
    holds = f"!has(oldSelf.spec.{field}) || has(self.spec.{field}) && {kept}"
    return _once_begun(holds, f"must keep every entry, unchanged{mutable},", field)


_USED: Final = (
    "oldSelf.spec.targets.exists(u, u.task == t.name) || "
    "(has(oldSelf.spec.intermediates) && oldSelf.spec.intermediates.exists(i, t.name in i.tasks))"
)
EDIT_RULES: Final = [
    *(_grows(field) for field in GROWING),
    _once_begun(
        "!has(self.spec.tasks) || self.spec.tasks.all(t, "
        f"(has(oldSelf.spec.tasks) && oldSelf.spec.tasks.exists(o, o.name == t.name)) || !({_USED}))",
        "must not describe a task that was used as the catalogue has it",
        "tasks",
    ),
    _once_begun(
        "!has(oldSelf.spec.dataRevisions) || has(self.spec.dataRevisions) && oldSelf.spec.dataRevisions.all(k, "
        "k in self.spec.dataRevisions && self.spec.dataRevisions[k] == oldSelf.spec.dataRevisions[k])",
        "must keep every commit",
        "dataRevisions",
    ),
    _once_begun("oldSelf.spec.seeds.all(s, s in self.spec.seeds)", "must keep every seed", "seeds"),
    *(
        _once_begun(f"self.spec.{field} == oldSelf.spec.{field}", "must not change", field)
        for field in FROZEN
    ),
]
