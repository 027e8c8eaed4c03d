"""Experiment files: YAML in, an Experiment or all of its problems out."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from xstilts.errors import Problem, SpecError
from xstilts.spec.checks import faults
from xstilts.spec.document import SIZE_LIMIT, Document, parse_document
from xstilts.spec.experiment import Experiment
from xstilts.spec.sentences import to_problems
from xstilts.spec.words import spell


def load_experiment(path: Path | str) -> Experiment:
    """Read, validate and check an experiment file.

    Raises:
        SpecError: the file cannot be read, or it is no experiment that can run; all problems together.
    """
    path = Path(path)
    return parse_experiment(_read(path), source=str(path))


def parse_experiment(text: str, source: str = "experiment") -> Experiment:
    """Validate and check the YAML of an experiment. `source` is what errors call it.

    Raises:
        SpecError: it is no experiment that can run; all problems together.
    """
    return _validate(parse_document(text, source))


def _validate(document: Document) -> Experiment:
    try:
        # As JSON, as it travels to a cluster: strict, without Python's own conversions ("3" is no number).
        experiment = Experiment.model_validate_json(json.dumps(document.value), strict=True)
    except ValidationError as error:
        raise SpecError(*to_problems(error, _schema(), document)) from None
    problems = [
        Problem(spell(fault.path), fault.sentence + document.place(fault.path))
        for fault in faults(experiment)
    ]
    if problems:
        raise SpecError(*problems)
    return experiment


@cache
def _schema() -> dict[str, Any]:
    return Experiment.model_json_schema()


def _read(path: Path) -> str:
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
