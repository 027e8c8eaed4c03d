"""Put the inputs of the examples on real data into the store: both depths of e5-small and the benchmarks' slices.

    python scripts/inputs.py

What examples/xnli-small.yaml and examples/xnli-small-cpu.yaml name is put; the slices are looked for in $XSTILTS_DATA
(default: ../shared/data beside the checkout), a folder of <split>.<language>.jsonl a task. `xstilts pin FILE` then
writes the digests into a file.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import encoder

from xstilts.spec import Experiment, load_experiment
from xstilts.store import Store, store_root

EXPERIMENTS: Final = tuple(
    encoder.REPOSITORY / "examples" / name
    for name in ("xnli-small.yaml", "xnli-small-cpu.yaml", "e5-depth-xnli.yaml")
)
SLICES: Final = {
    "pawsx": "paws-x",
    "udpos": "udpos_xtreme",
}  # folders that are not called as the catalogue's task


def main() -> None:
    """Put every input that the examples name, and print what each has become."""
    slices = Path(os.environ.get("XSTILTS_DATA") or encoder.REPOSITORY.parent / "shared" / "data")
    if not slices.is_dir():
        sys.exit(
            f"XSTILTS_DATA: must be the folder of the benchmarks' slices, looked at {slices}; set XSTILTS_DATA"
        )
    for file in EXPERIMENTS:
        name, unlike = os.path.relpath(file), ""
        for named, made in put_inputs(load_experiment(file), slices):
            print(made, flush=True)
            if made != named:
                unlike = "no digests" if "@" not in named else "other digests"
        if unlike:
            print(f"{name} names {unlike}: xstilts pin {name}")


def put_inputs(experiment: Experiment, slices: Path) -> Iterator[tuple[str, str]]:
    """Put every input that the experiment names; yields what it is called there and what was put."""
    store = open_store(experiment)
    for source in named_inputs(experiment):
        name = input_name(source)
        folder = encoder_folder(name) or slices / SLICES.get(name, name)
        yield source, str(store.put(name, folder))


def named_inputs(experiment: Experiment) -> list[str]:
    """The sources `store://NAME[@sha256:DIGEST]` of an experiment: its models', then its tasks'."""
    sources = [model.pretrained for model in experiment.spec.models]
    sources += [task.data for task in experiment.spec.tasks if task.data is not None]
    return [source for source in sources if source.startswith("store://")]


def input_name(source: str) -> str:
    """NAME of `store://NAME[@sha256:DIGEST]`."""
    return source.removeprefix("store://").partition("@")[0]


def encoder_folder(name: str) -> Path | None:
    """The folder of the encoder that the examples call so; None for any other input."""
    layers = {"e5-small": encoder.E5_LAYERS, "e5-small-6": 6}.get(name)
    return None if layers is None else encoder.e5_small(layers)


def open_store(experiment: Experiment) -> Store:
    """The store that `xstilts run` uses for the experiment."""
    return Store.open(
        store_root(None, experiment.spec.store.name), experiment.metadata.namespace or "default"
    )


if __name__ == "__main__":
    main()
