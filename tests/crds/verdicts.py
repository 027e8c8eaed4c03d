"""What the manifest's models say of a spec, and where an API server that holds the CRD may say otherwise.

The exceptions are those below; there are no others.
"""

from __future__ import annotations

import re
from typing import Any, Final

from xstilts.errors import SpecError
from xstilts.spec import Experiment, is_path, named_sources, read_experiment
from xstilts.spec.edits import edit_problems

# The API server is laxer: only the catalogue of tasks and models can judge these, and it grows with the versions.
CATALOGUE: Final = re.compile(
    r"the catalogue (does not know|which knows)|in the catalogue|"
    r"must be (EncoderHead|\w+ for '|a language of|a task (of|that can be)|the family of)|"
    r"must suit every model|must have (a source of translations|its data named)|"
    r"must be set for a target that is retrieved|only a task of type Retrieval is made of"
)
# The API server is laxer: uniqueness in an ordered list of 2,048 costs more than a rule may.
LABELS: Final = re.compile(r"\.labels\[\d+\]: must be unique")
_MORE: Final = re.compile(r"and (\d+ )?more problems")  # of the kind of those before


def manifest(spec: Any, name: str = "parity") -> dict[str, Any]:
    return {
        "apiVersion": "xstilts.dev/v1alpha1", "kind": "TransferExperiment", "metadata": {"name": name}, "spec": spec,
    }  # fmt: skip


def read(spec: Any) -> Experiment | None:
    try:
        return read_experiment(manifest(spec))
    except SpecError:
        return None


def problems(spec: Any) -> list[str]:
    """All that the models and checks find."""
    try:
        read_experiment(manifest(spec))
    except SpecError as error:
        return [str(problem) for problem in error.problems]
    return []


def expected_problems(spec: Any) -> list[str]:
    """What an API server must find too: what the models find, less and more the exceptions."""
    seen = without_nulls(spec)  # a null is as if the field were left out, also where the models want a value
    found = [one for one in problems(seen) if not _is_for_the_catalogue(one, seen) and not LABELS.search(one)]
    if all(map(_MORE.fullmatch, found)):
        found = []
    experiment = read(seen)
    if experiment is not None:  # a path is for local runs alone
        found += [f"{one.path}: is a path" for one in named_sources(experiment) if is_path(one.source)]
    return found


def _is_for_the_catalogue(problem: str, spec: Any) -> bool:
    """Whether no rule could find it: of what the spec itself says of a task's type or a model's form there are rules."""
    if not CATALOGUE.search(problem):
        return False
    place = re.match(r"spec\.(?P<list>\w+)\[(?P<index>\d+)\]\.(?P<field>\w+)", problem)
    if place is None or "in the catalogue, which knows" in problem:
        return True
    entry = spec[place["list"]][int(place["index"])]
    match place["list"], place["field"]:
        case "tasks", "type":
            has_rule = "labels" in entry
        case "tasks", "data":
            has_rule = not entry.keys().isdisjoint({"type", "splits"})
        case "tasks", "languages":
            has_rule = "type" in entry and "must be set" in problem
        case "models", "form":
            has_rule = "family" in entry
        case "intermediates", "continuedPretraining":
            wanted = "MT5" if entry["continuedPretraining"]["objective"] == "SpanCorruption" else "others"
            has_rule = any(_says_another_form(model, wanted) for model in spec["models"])
        case _:
            has_rule = False
    return not has_rule


def _says_another_form(model: Any, wanted: str) -> bool:
    if "form" in model:
        return (model["form"] == "TextToText") != (wanted == "MT5")
    return "family" in model and (model["family"] == "MT5") != (wanted == "MT5")


def expected_edit_problems(old: Any, new: Any) -> list[str]:
    """What an API server must find in the edit of a spec that has begun; both specs are valid."""
    before, after = read(without_nulls(old)), read(without_nulls(new))
    assert before is not None
    assert after is not None
    return [str(problem) for problem in edit_problems(before.spec, after.spec)]


def without_nulls(value: Any) -> Any:
    """The value without the fields that are null."""
    if isinstance(value, dict):
        return {name: without_nulls(item) for name, item in value.items() if item is not None}
    return [without_nulls(item) for item in value] if isinstance(value, list) else value
