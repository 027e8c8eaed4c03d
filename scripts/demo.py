"""Run the quickstart: make its inputs, put them into the store, check that they are the ones it names, and run it.

    python scripts/demo.py [--depths 2]

The model and the tasks are made anew from packages (scripts/encoder.py, examples/own-task/make.py) and must have the
digests that the experiment file commits, so that everybody's quickstart is the same experiment.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path
from typing import Final

import encoder
from inputs import encoder_folder, input_name, named_inputs, open_store

from xstilts.spec import Experiment, load_experiment

EXAMPLES: Final = encoder.REPOSITORY / "examples"
EXPERIMENTS: Final = {1: EXAMPLES / "quickstart.yaml", 2: EXAMPLES / "quickstart-depths.yaml"}


def main() -> None:
    """Put the inputs and become `xstilts run`."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--depths", type=int, choices=sorted(EXPERIMENTS), default=1, help="2: with the first 6 layers"
    )
    file = Path(os.path.relpath(EXPERIMENTS[parser.parse_args().depths]))
    if differences := put_inputs(load_experiment(file)):
        versions = ", ".join(
            f"{package} {version(package)}" for package in ("Babel", "Faker", "numpy", "safetensors")
        )
        print(f"{file} does not name what was made here:", *differences, sep="\n", file=sys.stderr)
        print(
            f"made with Python {sys.version.split()[0]}, {versions}; what locks/ pins comes with `make setup`, and a "
            f"change that is meant is written into the file by `xstilts pin {file}`",
            file=sys.stderr,
        )
        sys.exit(1)
    program = str(Path(sys.executable).with_name("xstilts"))
    os.execv(program, [program, "run", "--parallelism", "2", str(file)])  # noqa: S606 - our own program takes over, signals too


def put_inputs(experiment: Experiment) -> list[str]:
    """Make and put every input that the experiment names; a line for each whose digest is another."""
    store = open_store(experiment)
    differences = []
    with tempfile.TemporaryDirectory() as temporary:
        tasks = Path(temporary)
        subprocess.run([sys.executable, EXAMPLES / "own-task" / "make.py", tasks], check=True)
        for named in named_inputs(experiment):
            name = input_name(named)
            made = str(store.put(name, encoder_folder(name) or tasks / name))
            print(f"in the store: {made}", flush=True)
            if made != named:
                differences.append(f"  must be {named}, was {made}")
    return differences


if __name__ == "__main__":
    main()
