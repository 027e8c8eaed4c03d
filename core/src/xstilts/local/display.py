"""What a person sees of a run: live bars on a terminal, plain lines in a log. Both tell the same."""

from __future__ import annotations

from collections.abc import Mapping
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, TaskID, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bars

from xstilts.local.process import Outcome, Progress
from xstilts.local.schedule import State
from xstilts.local.scored import score_words
from xstilts.stage import Stage
from xstilts.standing import duration

LINE_EVERY_PERCENT = 25  # a plain log gets a line for each quarter of a stage, not for each step


class Outlet(Console):
    """Standard error, where a run tells how it goes: once nobody reads it (`2>&1 | head`) it is quiet, and the run goes on."""

    def __init__(self) -> None:
        super().__init__(stderr=True)

    def on_broken_pipe(self) -> None:
        """See Console, which ends the program here."""
        self.quiet = True


class PlainDisplay:
    """One line an event, for logs and pipes."""

    def __init__(self, console: Console, titles: Mapping[str, str], total: int) -> None:
        self._console = console
        self._titles = titles
        self._total = total
        self._ended = 0
        self._told: dict[str, int] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pass

    def started(self, stage: Stage) -> None:
        """See Observer."""
        self._say(f"[{self._ended}/{self._total}] start  {self._titles[stage.key]}")

    def progressed(self, stage: Stage, progress: Progress) -> None:
        """See Observer."""
        quarter = progress.percent // LINE_EVERY_PERCENT
        if quarter > self._told.get(stage.key, 0) and progress.percent < 100:
            self._told[stage.key] = quarter
            self._say(f"        {progress.percent:3d}%  {self._titles[stage.key]}{_details(progress)}")

    def ended(self, stage: Stage, state: State, outcome: Outcome) -> None:
        """See Observer."""
        self._ended += 1
        self._say(
            f"[{self._ended}/{self._total}] {state:<6} {self._titles[stage.key]} "
            f"({duration(outcome.seconds)}){_scores(stage, outcome)}"
        )

    def _say(self, line: str) -> None:
        self._console.print(line, markup=False, highlight=False, soft_wrap=True)


class LiveDisplay:
    """A bar a running stage and one for the whole, redrawn in place."""

    def __init__(self, console: Console, titles: Mapping[str, str], total: int) -> None:
        self._console = console
        self._titles = titles
        self._total = total
        self._bars = Bars(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=24),
            TextColumn("{task.percentage:>3.0f}%"),
            TimeElapsedColumn(),
            TextColumn("{task.fields[details]}", markup=False),
            console=console,
        )
        self._tasks: dict[str, TaskID] = {}
        self._ended = 0

    def __enter__(self) -> Self:
        self._bars.start()
        self._whole = self._bars.add_task("all stages", total=self._total, details=f"0 of {self._total}")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bars.stop()

    def started(self, stage: Stage) -> None:
        """See Observer."""
        self._tasks[stage.key] = self._bars.add_task(self._titles[stage.key], total=100, details="starting")

    def progressed(self, stage: Stage, progress: Progress) -> None:
        """See Observer."""
        self._bars.update(
            self._tasks[stage.key], completed=progress.percent, details=_details(progress).strip()
        )

    def ended(self, stage: Stage, state: State, outcome: Outcome) -> None:
        """See Observer."""
        self._bars.remove_task(self._tasks.pop(stage.key))
        self._ended += 1
        self._bars.update(self._whole, completed=self._ended, details=f"{self._ended} of {self._total}")
        mark = "✓" if state is State.DONE else "✗"
        self._console.print(
            f"{mark} {self._titles[stage.key]} ({duration(outcome.seconds)}){_scores(stage, outcome)}",
            markup=False,
            highlight=False,
        )


def make_display(console: Console, titles: Mapping[str, str], total: int) -> PlainDisplay | LiveDisplay:
    """Bars where they can be redrawn, lines elsewhere."""
    return (LiveDisplay if console.is_terminal else PlainDisplay)(console, titles, total)


def _details(progress: Progress) -> str:
    eta = [] if progress.eta_seconds is None else [f"{duration(progress.eta_seconds)} left"]
    metrics = [f"{name} {_short(value)}" for name, value in sorted(progress.metrics.items())]
    return "".join(f"  {part}" for part in [*eta, *metrics])


def _scores(stage: Stage, outcome: Outcome) -> str:
    """The main scores, as soon as a stage has them."""
    words = score_words(stage, outcome.result.scores) if outcome.result else ""
    return f"  {words}" if words else ""


def _short(value: str) -> str:
    return f"{float(value):.4g}"
