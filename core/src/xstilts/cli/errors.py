"""How every command ends when its input is wrong: lines for people on stderr and an exit code, never a traceback."""

from __future__ import annotations

from typing import Any

import typer
from typer.core import TyperGroup

from xstilts.errors import EXIT_FAILED, EXIT_SIGNALLED, Problem, UserError


class CommandGroup(TyperGroup):
    """The group of all commands: a UserError becomes `error: FIELD: sentence` lines and its exit code.

    What the operating system refuses becomes a line, too, and exit code 1. Ctrl-C is 130 everywhere.
    """

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
        except KeyboardInterrupt:
            raise typer.Exit(EXIT_SIGNALLED) from None
        except BrokenPipeError:  # the reader of our output has gone; typer ends the program quietly
            raise
        except OSError as error:  # a full disk, a folder that may not be written
            problem = Problem(str(error.filename or ""), error.strerror or str(error))
            typer.echo(f"error: {problem}", err=True)
            raise typer.Exit(EXIT_FAILED) from None
