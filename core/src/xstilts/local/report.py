"""The report of a run: an artifact of its own, and always anew in the run's folder."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path

from xstilts.local.run import Ended
from xstilts.local.schedule import GOOD
from xstilts.local.titles import title
from xstilts.plan import report_stage
from xstilts.report import PAGE, report_files
from xstilts.results import gather
from xstilts.stage import Kind
from xstilts.store import Store


def write_report(ended: Ended, store: Store, folder: Path) -> Path:
    """Write the page and the tables over the evaluations that have scores; returns the page's path.

    The artifact's key says over which evaluations it is: one that is there is kept. The copy in `folder` is
    written anew, so that it tells of this run.
    """
    results = gather(ended.experiment, ended.plan, store)
    titles = {one.key: title(one) for one in ended.plan.stages}
    files = report_files(
        results,
        ended.plan,
        store,
        analysis=ended.experiment.spec.analysis,
        titles=titles,
        ran=ended.seconds.keys(),
    )
    done = [one.key for one in ended.plan.of_kind(Kind.EVALUATE) if ended.states.get(one.key) in GOOD]
    stage = report_stage(done, swept=ended.plan.swept)
    if done and store.lookup(stage.key) is None:
        with store.write(stage, {"versions": {"xstilts": version("xstilts")}}) as draft:
            write_files(files, draft.path)
    write_files(files, folder)
    return folder / PAGE


def write_files(files: Mapping[str, str | bytes], folder: Path) -> None:
    """Write a report's files into a folder, which is made if absent."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / name).write_bytes(text.encode() if isinstance(text, str) else text)
