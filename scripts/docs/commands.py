"""The command line, from typer: of each command its help, its examples and its options."""

from __future__ import annotations

import inspect
from typing import Any, Final

from typer.main import get_command

from docs.markdown import block, code, prose, table
from xstilts.cli import app

_EXAMPLES: Final = "Examples:\n"
PAGE = """# Command line

The help of every command, as `xstilts COMMAND --help` prints it. What all of them have in common (where an experiment is looked
for, the form of the output, completion) is on the page [How commands behave](../commands.md), exit codes on [Exit codes](exit-codes.md).

"""


def page() -> str:
    """The page."""
    group: Any = get_command(app)
    rows = [
        (f"[`{name}`](#xstilts-{name})", prose(_first(command))) for name, command in group.commands.items()
    ]
    parts = [_command(name, command) for name, command in group.commands.items()]
    return PAGE + table(("command", "what it does"), rows) + "\n" + "\n".join(parts)


def _first(command: Any) -> str:
    """The first sentence of its help."""
    return inspect.cleandoc(command.help).partition("\n")[0]


def _command(name: str, command: Any) -> str:
    told, _, examples = inspect.cleandoc(command.help).partition("\b\n")
    context = command.make_context(name, [], resilient_parsing=True)
    usage = " ".join(
        ["xstilts", name, *(piece.strip("{}") for piece in command.collect_usage_pieces(context))]
    )
    records = [one.get_help_record(context) for one in command.get_params(context) if one.name != "help"]
    if not examples.startswith(_EXAMPLES):
        raise ValueError(f"the help of {name} must end with `\\b` and `Examples:`")
    return "\n".join(
        (
            f"## xstilts {name}\n",
            prose(told.strip()) + "\n",
            block(usage),
            "Examples:\n",
            block(inspect.cleandoc(examples.removeprefix(_EXAMPLES)), "console"),
            table(
                ("argument or option", "meaning"),
                ((code(left), prose(right)) for left, right in filter(None, records)),
            ),
        )
    )
