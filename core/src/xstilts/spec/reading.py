"""Experiment files: YAML in, an Experiment or all of its problems out."""

from __future__ import annotations

import json
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any, Final

from pydantic import ValidationError

from xstilts.errors import Problem, SpecError
from xstilts.spec.checks import Fault, faults
from xstilts.spec.document import SIZE_LIMIT, Document, parse_document
from xstilts.spec.experiment import Experiment, ExperimentSpec
from xstilts.spec.sentences import bounded, first, to_problems
from xstilts.spec.words import spell

# What takes the place of required fields that are malformed, while the others are checked.
_STAND_INS: Final = {
    "models": [{"name": "any", "pretrained": "google/mt5-base"}],
    "targets": [{"task": "xnli"}],
    "seeds": [0],
}


def load_experiment(path: Path | str) -> Experiment:
    """Read, validate and check an experiment file.

    Raises:
        SpecError: the file cannot be read, or it is no experiment that can run; all problems together.
    """
    path = Path(path)
    return parse_experiment(read_text(path), source=str(path))


def parse_experiment(text: str, source: str = "experiment") -> Experiment:
    """Validate and check the YAML of an experiment. `source` is what errors call it.

    Raises:
        SpecError: it is no experiment that can run; all problems together.
    """
    document = parse_document(text, source)
    experiment, problems = _validate(document)
    if experiment is None or problems or document.duplicates:
        raise SpecError(*bounded(document.duplicates), *problems)
    return experiment


def read_experiment(value: dict[str, Any]) -> Experiment:
    """Validate and check an experiment that comes from no file: an object of a cluster.

    Raises:
        SpecError: it is no experiment that can run; all problems together, named by their fields alone.
    """
    experiment, problems = _validate(Document("", value, {}, ()))
    if experiment is None or problems:
        raise SpecError(*problems)
    return experiment


def _validate(document: Document) -> tuple[Experiment | None, list[Problem]]:
    try:
        # As JSON, as it travels to a cluster: strict, without Python's own conversions ("3" is no number).
        experiment = Experiment.model_validate_json(json.dumps(document.value), strict=True)
    except ValidationError as error:
        malformed = to_problems(error, _schema(), document)
        return None, malformed + _located(_faults_of_the_rest(document, error), document)
    return experiment, _located(faults(experiment.spec), document)


def _located(faults: Iterable[Fault], document: Document) -> list[Problem]:
    return first(Problem(spell(fault.path), fault.sentence + document.place(fault.path)) for fault in faults)


def _faults_of_the_rest(document: Document, error: ValidationError) -> Iterable[Fault]:
    """What the checks find in the fields of the spec that are well formed, so that a file is mended once."""
    spec = document.value.get("spec")
    if not isinstance(spec, dict):
        return ()
    malformed = {
        str(step) for item in error.errors() if item["loc"][0] == "spec" for step in item["loc"][1:2]
    }
    sound = {field: value for field, value in spec.items() if field not in malformed}
    try:
        rest = ExperimentSpec.model_validate_json(json.dumps(_STAND_INS | sound), strict=True)
    except ValidationError:  # where fields need each other: `baseline: false` without its intermediates
        return ()
    return faults(rest, unknown=malformed)


@cache
def _schema() -> dict[str, Any]:
    return Experiment.model_json_schema()


def read_text(path: Path) -> str:
    """The text of an experiment file.

    Raises:
        SpecError: it cannot be read, is too large, or no UTF-8.
    """
    try:
        with path.open("rb") as file:
            content = file.read(SIZE_LIMIT + 1)
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise SpecError(Problem(str(path), f"must be a file that can be read: {reason}")) from None
    if len(content) > SIZE_LIMIT:
        raise SpecError(Problem(str(path), f"must be at most {SIZE_LIMIT:,} bytes, was larger"))
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        was = f"byte 0x{content[error.start]:02x}"
        raise SpecError(Problem(f"{path}: line {line}", f"must be UTF-8 text, was {was}")) from None
