"""Exit codes: the numbers from code, what they mean from here."""

from __future__ import annotations

from typing import Final

from docs.markdown import code, table
from xstilts import errors

# The name of a constant in xstilts.errors -> what it means of a command, and of a stage's or the operator's process.
MEANINGS: Final = {
    "EXIT_FAILED": (
        (
            "the answer is no: the experiment, a stage or a check of `doctor` failed, something is not pinned, or nobody said "
            "yes; or the cluster, the store or the hub does not answer, or refuses you"
        ),
        "anything else went wrong; on a cluster a stage is tried again, until it has failed `attempts.maxFailures` times",
    ),
    "EXIT_INTERRUPTED": (
        "not used",
        "interrupted and saved; the stage is resumed from its checkpoint, and this does not count as a failure",
    ),
    "EXIT_INVALID": (
        "what it names is wrong: a file that is not valid, an experiment or stage that is not there, an edit that is refused",
        "the spec, the data or the settings are wrong; a stage is not tried again",
    ),
    "EXIT_SIGNALLED": ("Ctrl-C", "not used"),
}
PAGE = """# Exit codes

They do not change between versions. A command is `xstilts`; a process is `python -m xstilts_trainer` (one stage, locally and
in a pod), `python -m xstilts_operator`, or one of the operator's companions, which look things up in the store and write the
report.

"""
REST = """
Code 2 is the command line's own: an option or argument that does not exist, is missing, or has a value of the wrong kind.
`xstilts watch` ends with 0 only if the experiment has succeeded. [The operator](../operator.md#an-attempt) says what it does after each
code of a stage.
"""


def page() -> str:
    """The page."""
    numbers = {name: value for name, value in vars(errors).items() if name.startswith("EXIT_")}
    if numbers.keys() != MEANINGS.keys():
        raise ValueError(
            f"docs.codes must say what each of {', '.join(numbers)} means, has {', '.join(MEANINGS)}"
        )
    rows = [("0", "done; of `watch`: the experiment has succeeded", "done")]
    rows += [("2", "the command line is wrong", "not used")]
    rows += [(str(numbers[name]), *told) for name, told in MEANINGS.items()]
    rows.sort(key=lambda row: int(row[0]))
    return (
        PAGE
        + table(("code", "of a command", "of a process"), ((code(row[0]), *row[1:]) for row in rows))
        + REST
    )
