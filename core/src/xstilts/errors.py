"""Errors for people: every one names the place, what it must be, what it was, and what to do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

EXIT_FAILED = 1
EXIT_INTERRUPTED = 42
EXIT_INVALID = 64
EXIT_SIGNALLED = 130  # as shells have it for Ctrl-C


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong: `field` is a path (`spec.models[0].name`) or a file and row, `message` a sentence."""

    field: str
    message: str

    def __str__(self) -> str:
        return f"{self.field}: {self.message}" if self.field else self.message


class UserError(Exception):
    """Wrong input that a person can mend. Never shown with a traceback; the process exits with `exit_code`.

    Several problems are reported together, so that a file is mended once.
    """

    exit_code = EXIT_INVALID

    def __init__(self, *problems: Problem | str) -> None:
        self.problems: Sequence[Problem] = tuple(
            Problem("", problem) if isinstance(problem, str) else problem for problem in problems
        )
        super().__init__("; ".join(map(str, self.problems)))


class SpecError(UserError):
    """The experiment file says something that it must not."""


class DataError(UserError):
    """A data file or a model folder is not what its task needs."""


class StoreError(UserError):
    """An artifact or an input in the store is missing, damaged or not the one that was named."""


class ParentError(StoreError):
    """What a stage needs of another one (`parent`, its key) is missing or damaged: that one must run again, then this one."""

    exit_code = EXIT_FAILED

    def __init__(self, parent: str, *problems: Problem | str) -> None:
        super().__init__(*problems)
        self.parent = parent


class UnavailableError(UserError):
    """Something outside (the hub, an object store) did not answer. Worth another try: nothing is wrong here."""

    exit_code = EXIT_FAILED
