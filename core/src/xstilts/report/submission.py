"""A submission to XTREME: the predictions of one model, intermediate and seed, as a folder that can be uploaded.

The form is that of google-research/xtreme: a folder a task, in it test-LANGUAGE.tsv or .json. Own tasks are no part of it.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from xstilts.errors import Problem, StoreError
from xstilts.plan import Plan
from xstilts.plan.model import Cell
from xstilts.results.summaries import Split, split_of
from xstilts.scoring import TASKS, submission_path
from xstilts.store import Store

PREDICTIONS: Final = "predictions"  # in an evaluation's artifact
RECORD: Final = "submission.json"  # beside the folder: what is in it, and what is not


@dataclass(frozen=True)
class Submission:
    """What a folder holds of XTREME.

    Attributes:
        model, intermediate, seed: whose predictions they are.
        files: path in the folder -> its lines, or answers for question answering.
        missing_tasks: XTREME's tasks without predictions.
        missing_languages: task -> the languages that it lacks.
        not_test: the tasks whose predictions are of a dev split: they cannot be uploaded as they are.
    """

    model: str
    intermediate: str
    seed: int
    files: Mapping[str, int]
    missing_tasks: tuple[str, ...]
    missing_languages: Mapping[str, tuple[str, ...]]
    not_test: tuple[str, ...]

    @property
    def complete(self) -> bool:
        """Whether XTREME can score all of its nine tasks."""
        return not (self.missing_tasks or self.missing_languages or self.not_test)

    def to_json(self) -> dict[str, Any]:
        """What RECORD holds."""
        return {**asdict(self), "complete": self.complete}


def write_submission(
    plan: Plan, store: Store, model: str, intermediate: str, seed: int, folder: Path
) -> Submission:
    """Copy predictions into `folder`, which is made anew, and say in RECORD beside it what is there and what is missing.

    Raises:
        StoreError: the plan has no such cell, or the store no predictions of it.
    """
    cells = [
        cell
        for cell in plan.cells()
        if (cell.model, cell.intermediate, cell.seed) == (model, intermediate, seed)
    ]
    named = f"{model}/{intermediate}/{seed}"
    if not cells:
        there = sorted({f"{cell.model}/{cell.intermediate}/{cell.seed}" for cell in plan.cells()})
        raise StoreError(Problem("submission", f"must be one of {', '.join(there)}, was {named}"))
    if folder.exists():
        shutil.rmtree(folder)
    found: dict[str, int] = {}
    for cell in cells:
        if cell.target in TASKS:
            found |= _copy(cell, plan, store, folder)
    if not found:
        raise StoreError(
            Problem("submission", f"{named} must have predictions of a task of XTREME in the store, has none")
        )
    present = {Path(path).parts[0] for path in found}
    lacking = {
        name: tuple(
            code
            for code in entry.languages
            if str(submission_path(Path(), name, code, entry.task.metric)) not in found
        )
        for name, entry in TASKS.items()
        if name in present
    }
    made = Submission(
        model=model,
        intermediate=intermediate,
        seed=seed,
        files=dict(sorted(found.items())),
        missing_tasks=tuple(name for name in TASKS if name not in present),
        missing_languages={name: codes for name, codes in lacking.items() if codes},
        not_test=tuple(name for name in TASKS if name in present and split_of(name) is not Split.TEST),
    )
    (folder.parent / RECORD).write_text(json.dumps(made.to_json(), indent=1) + "\n", encoding="utf-8")
    return made


def _copy(cell: Cell, plan: Plan, store: Store, folder: Path) -> dict[str, int]:
    key = plan.evaluate_key(cell)
    if store.lookup(key) is None:
        return {}
    source = store.fetch(key) / PREDICTIONS / cell.target
    if not source.is_dir():
        return {}
    place = folder / cell.target
    place.mkdir(parents=True)
    counted = {}
    for path in sorted(source.iterdir()):
        content = path.read_bytes()
        (place / path.name).write_bytes(content)
        whole = json.loads(content) if path.suffix == ".json" else content.splitlines()
        counted[f"{cell.target}/{path.name}"] = len(whole)
    return counted
