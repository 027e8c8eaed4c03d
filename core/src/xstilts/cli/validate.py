"""`xstilts validate`: is this file an experiment that can run?"""

from __future__ import annotations

import typer

from xstilts.cli.opening import ExperimentFile
from xstilts.cli.output import Output, OutputOption, print_json
from xstilts.errors import SpecError
from xstilts.local.inputs import check_folders
from xstilts.spec import Experiment, load_experiment


def validate(
    file: ExperimentFile,
    output: OutputOption = Output.TEXT,
) -> None:
    """Check an experiment file and show all of its problems at once.

    Of folders that it names by their paths, it is checked that they hold the files that will be read. Exits with 0 when the experiment is valid and with 64 when it is not.

    \b
    Examples:
      xstilts validate experiment.yaml
      xstilts validate experiment.yaml -o json
    """  # noqa: D301 - `\b` keeps the lines below it as they are
    try:
        experiment = load_experiment(file)
        check_folders(experiment, file.parent)
    except SpecError as error:
        if output is Output.TEXT:
            raise
        problems = [{"field": problem.field, "message": problem.message} for problem in error.problems]
        print_json({"valid": False, "problems": problems})
        raise typer.Exit(error.exit_code) from None
    if output is Output.JSON:
        print_json({"valid": True, "problems": []})
    else:
        typer.echo(f"{file}: valid: {_summary(experiment)}")


def _summary(experiment: Experiment) -> str:
    spec = experiment.spec
    counts = {
        "model": len(spec.models),
        "intermediate": len(spec.intermediates),
        "target": len(spec.targets),
        "seed": len(spec.seeds),
    }
    counted = [f"{count} {noun}{'' if count == 1 else 's'}" for noun, count in counts.items()]
    if spec.baseline:
        counted[1] += " and none"
    return f"{experiment.metadata.name}, {', '.join(counted)}"
