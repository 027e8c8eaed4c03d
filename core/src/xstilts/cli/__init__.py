"""The command line: one command a file, registered here by one line each.

A command is a function of its options that calls the library and prints; input that is wrong leaves as a
`xstilts.errors.UserError`, which `xstilts.cli.errors` turns into lines on stderr and exit code 64.
"""

from __future__ import annotations

import io
import sys
from importlib.metadata import version
from typing import Annotated

import typer

from xstilts.cli.compare import compare_experiments
from xstilts.cli.doctor import doctor
from xstilts.cli.errors import CommandGroup
from xstilts.cli.explain import explain
from xstilts.cli.export import export
from xstilts.cli.fetch import fetch
from xstilts.cli.gc import gc
from xstilts.cli.init import init
from xstilts.cli.listing import list_experiments
from xstilts.cli.logs import logs
from xstilts.cli.pin import pin
from xstilts.cli.plan import plan
from xstilts.cli.plugin import program_name
from xstilts.cli.put import put
from xstilts.cli.report import report
from xstilts.cli.results import results
from xstilts.cli.run import run
from xstilts.cli.score import score
from xstilts.cli.submit import submit
from xstilts.cli.suspend import resume, retry, suspend
from xstilts.cli.validate import validate
from xstilts.cli.watch import watch

app = typer.Typer(
    name="xstilts",
    cls=CommandGroup,
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
    rich_markup_mode=None,  # plain text: the same in a terminal, a log and a manual
    pretty_exceptions_enable=False,
)


def _print_version(*, wanted: bool) -> None:
    if wanted:
        typer.echo(f"xstilts {version('xstilts')}")
        raise typer.Exit


@app.callback()
def _xstilts(
    *,
    _version: Annotated[
        bool,
        typer.Option("--version", help="Print the version and exit.", callback=_print_version, is_eager=True),
    ] = False,
) -> None:
    """Cross-lingual transfer experiments, from one YAML file to a table with intervals, here or on Kubernetes.

    \b
    Examples:
      xstilts init experiment.yaml
      xstilts validate experiment.yaml
      xstilts plan experiment.yaml
      xstilts run experiment.yaml
    """  # noqa: D301 - `\b` is the mark that keeps the lines below it apart


app.command()(init)
app.command()(validate)
app.command()(plan)
app.command()(run)
app.command()(submit)
app.command("list")(list_experiments)
app.command()(watch)
app.command()(explain)
app.command()(logs)
app.command()(results)
app.command()(report)
app.command("compare")(compare_experiments)
app.command()(export)
app.command()(suspend)
app.command()(resume)
app.command()(retry)
app.command()(put)
app.command()(fetch)
app.command()(pin)
app.command()(gc)
app.command()(score)
app.command()(doctor)


def main() -> None:
    """The program: `xstilts`, or `kubectl xstilts`."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(
            errors="replace"
        )  # a terminal of another encoding has no dash for what is absent
    app(prog_name=program_name())
