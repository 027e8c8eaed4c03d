"""Which files of the store's inputs hold the rows that stages read, and whether they are there.

That can be known before anything is trained; what is in the files, their stages alone read.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from typing import Final

from xstilts.errors import DataError, Problem, SpecError
from xstilts.plan.sources import is_unpinned
from xstilts.stage import InputRef, Kind, Stage
from xstilts.store import Store
from xstilts.task import TaskType

SUFFIXES: Final = (".jsonl", ".parquet", ".csv", ".tsv")
CORPORA: Final = (
    "corpus_source",
    "corpus_target",
)  # of a Mining task, in each language; its split holds the gold pairs
LISTED_FILES: Final = 50


@dataclass(frozen=True)
class Rows:
    """A split in a language, as a stage reads it of an input of the store.

    `name` is the task's; of unlabelled text the input's, and `type` is None.
    """

    ref: InputRef
    split: str
    language: str
    name: str
    type: TaskType | None

    @property
    def files(self) -> tuple[str, ...]:
        """What each of its files is called before its language."""
        return (*CORPORA, self.split) if self.type is TaskType.MINING else (self.split,)


def rows_of(stages: Iterable[Stage]) -> list[Rows]:
    """What stages read of inputs whose digest is known, each once."""
    return sorted({rows for stage in stages for rows in _rows(stage)}, key=str)


# The paths of an input's files; None where it is not there.
Files = Callable[[InputRef], Collection[str] | None]


def check_files(stages: Iterable[Stage], files: Files, *, all_there: bool = True) -> None:
    """Check that every file is there that stages read of inputs.

    With `all_there` the inputs must be there too; else those that are not are left out.

    Raises:
        SpecError: what is missing, all of it.
    """
    listed = cache(files)
    problems: list[Problem] = []
    for rows in rows_of(stages):
        there = listed(rows.ref)
        if there is None:
            sentence = f"must be in the store, is not; `xstilts put {rows.ref.name} DIR` puts it there"
            problems += [Problem(str(rows.ref), sentence)] if all_there else []
            continue
        for split in rows.files:
            try:
                rows_file(there, split, rows.language)
            except DataError as error:
                problems += [Problem(f"{rows.name}/{one.field}", one.message) for one in error.problems]
    if problems:
        raise SpecError(*dict.fromkeys(problems))


def stored_files(store: Store) -> Files:
    """What the store has of inputs."""

    def files(ref: InputRef) -> Collection[str] | None:
        manifest = store.input_manifest(ref)
        return None if manifest is None else manifest.files

    return files


def rows_file(names: Collection[str], split: str, language: str) -> str:
    """Which of a folder's files is the one of a split in a language.

    Raises:
        DataError: there is none, or more than one; the message lists what is there.
    """
    found = [name for suffix in SUFFIXES if (name := f"{split}.{language}{suffix}") in names]
    if len(found) == 1:
        return found[0]
    wanted = f"{split}.{language}.{{{','.join(suffix[1:] for suffix in SUFFIXES)}}}"
    if found:
        raise DataError(Problem(wanted, f"must be one file, was {', '.join(found)}"))
    there = sorted(name for name in names if "/" not in name and name.endswith(SUFFIXES))
    languages = sorted(
        name.split(".")[1] for name in there if name.startswith(f"{split}.") and name.count(".") > 1
    )
    if languages:
        hint = f"split {split} is there in {', '.join(languages[:LISTED_FILES])}"
    else:
        hint = f"the folder holds {', '.join(there[:LISTED_FILES]) or 'no data file'}"
        hint += f" and {len(there) - LISTED_FILES} more" if len(there) > LISTED_FILES else ""
    raise DataError(Problem(wanted, f"must be there: {hint}"))


def _rows(stage: Stage) -> Iterator[Rows]:
    if stage.kind not in {Kind.TRAIN, Kind.EVALUATE}:
        return
    spec = stage.spec
    references = {role: InputRef(**one) for role, one in spec.get("inputs", {}).items()}
    inputs = {role: ref for role, ref in references.items() if not is_unpinned(ref.digest)}
    selected = [chosen["data"] for chosen in spec.get("selection", ()) if "data" in chosen]
    for data in (*spec["data"], *selected):
        if data["role"] in inputs:
            task = data["task"]
            for language in data["languages"]:
                yield Rows(
                    inputs[data["role"]], data["split"], language, task["name"], TaskType(task["type"])
                )
    for corpus in spec.get("continuedPretraining", {}).get("corpora", ()):
        if corpus["role"] in inputs:
            ref = inputs[corpus["role"]]
            yield Rows(ref, corpus["split"], corpus["language"], ref.name, None)
