"""What the process does: one stage, from its file to its result and exit code."""

from __future__ import annotations

import signal
import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path

from xstilts.errors import EXIT_FAILED, EXIT_INTERRUPTED, Problem, SpecError, UserError
from xstilts.stage import Kind
from xstilts.store import Store
from xstilts_trainer.progress import Progress
from xstilts_trainer.ranks import RANK, Ranks, run_ranks
from xstilts_trainer.result import failure, result_of, write_result
from xstilts_trainer.stages import read_stage, run_rank, run_stage

TERMINATION_LOG = "/dev/termination-log"


def main(arguments: Sequence[str], environment: Mapping[str, str]) -> int:
    """Run the stage of the file that is named; returns the exit code."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # as Ctrl-C: a KeyboardInterrupt where we are
    is_first = environment.get(RANK, "0") == "0"
    progress = Progress.from_environment(environment) if is_first else Progress(counts=False)
    result_file = Path(environment.get("XSTILTS_RESULT", TERMINATION_LOG))
    key = ""
    try:
        store = open_store(environment)
        stage = read_stage(stage_file(arguments))
        key = stage.key
        ranks = Ranks.from_environment(environment)
        if RANK in environment:
            manifest = run_rank(stage, store, progress)
            if manifest is None:
                return 0  # rank 0 tells the result
        elif ranks.size > 1 and stage.kind is Kind.TRAIN:
            return run_ranks(ranks, arguments, environment, result_file, key)
        else:
            manifest = run_stage(stage, store, progress)
        result = result_of(manifest, store)
        code = 0
    except KeyboardInterrupt:
        progress.note("interrupted: run the stage again to continue")
        return EXIT_INTERRUPTED
    except UserError as error:
        for problem in error.problems:
            progress.note(str(problem))
        result, code = failure(key, error), error.exit_code
    except Exception as error:  # noqa: BLE001 - the process ends here: whatever it was, it must be told
        traceback.print_exc()
        result, code = failure(key, error), EXIT_FAILED
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # what is left takes no time: the result is written whole
    try:
        write_result(result_file, result)
    except OSError as error:  # by hand, outside a pod: the artifact is what counts
        progress.note(f"the result could not be written: {error}")
    return code


def stage_file(arguments: Sequence[str]) -> Path:
    """The one argument.

    Raises:
        SpecError: none, or several.
    """
    if len(arguments) != 1:
        raise SpecError(f"usage: python -m xstilts_trainer STAGE.json (one argument, were {len(arguments)})")
    return Path(arguments[0])


def open_store(environment: Mapping[str, str]) -> Store:
    """The store that the environment names.

    Raises:
        SpecError: it names none.
        StoreError: it names what is no store.
    """
    if not environment.get("XSTILTS_STORE"):
        raise SpecError(Problem("XSTILTS_STORE", "must be set to the store's root: a folder or a URL"))
    return Store.open(environment["XSTILTS_STORE"], environment.get("XSTILTS_NAMESPACE", "default"))
