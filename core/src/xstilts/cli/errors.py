"""How every command ends when its input is wrong: lines for people on stderr and an exit code, never a traceback."""

from __future__ import annotations

from typing import Any

import typer
from typer.core import TyperGroup

from xstilts.errors import UserError


class CommandGroup(TyperGroup):
    """The group of all commands: a UserError becomes `error: FIELD: sentence` lines and its exit code."""

    def invoke(
        self, ctx: Any
    ) -> Any:  # typer's own context class is private, and differs between its versions
        """Run a command; see the class."""
        try:
            return super().invoke(ctx)
        except UserError as error:
            for problem in error.problems:
                typer.echo(f"error: {problem}", err=True)
            raise typer.Exit(error.exit_code) from None
