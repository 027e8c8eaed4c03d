"""`xstilts init`: a first experiment file, with a comment at every part."""

from __future__ import annotations

import re
from importlib.resources import files
from pathlib import Path
from typing import Annotated

import typer

from xstilts.cli.output import Output, OutputOption, print_json
from xstilts.errors import Problem, UserError
from xstilts.spec import parse_experiment

_NAME = re.compile(r"[a-z0-9]([-a-z0-9]{0,51}[a-z0-9])?")


def init(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The file to write.")] = Path(
        "experiment.yaml"
    ),
    *,
    name: Annotated[str | None, typer.Option(help="The experiment's name. Default: the file's.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Write over a file that is there.")] = False,
    output: OutputOption = Output.TEXT,
) -> None:
    """Write a first experiment file: valid, small, and commented.

    \b
    Examples:
      xstilts init
      xstilts init size-and-xnli.yaml
    """  # noqa: D301 - `\b` keeps the lines below it as they are
    if file.suffix not in {".yaml", ".yml"}:  # by which other commands know a file from a name
        raise UserError(Problem(str(file), "must end with .yaml or .yml"))
    if file.exists() and not force:
        raise UserError(Problem(str(file), "must not be there yet; name another file, or say --force"))
    chosen = name or re.sub(r"[^a-z0-9]+", "-", file.stem.lower()).strip("-")
    if not _NAME.fullmatch(chosen):
        problem = f"must be lower-case letters, digits and '-', at most 53, was {chosen!r}"
        raise UserError(Problem("--name", problem))
    template = files("xstilts.cli").joinpath("init.yaml").read_text(encoding="utf-8")
    text = template.replace("my-experiment", chosen).replace(
        "NAME.yaml", str(file)
    )  # a file may be my-experiment-2
    parse_experiment(text, str(file))
    file.write_text(text, encoding="utf-8")
    if output is Output.JSON:
        print_json({"file": str(file), "name": chosen})
        return
    typer.echo(f"{file} is written; then:")
    for command in ("validate", "plan", "run", "submit"):
        typer.echo(f"  xstilts {command} {file}")
