"""Dropping weights while an experiment runs on this machine, as its spec.store.keep and the others in the store let them go."""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Mapping

from xstilts.errors import UserError
from xstilts.local.executor import Observer
from xstilts.local.process import Outcome, Progress
from xstilts.local.schedule import State
from xstilts.stage import Kind, Stage
from xstilts.store import Manifest, Store, There, Use, droppable


class Dropper:
    """Drops what one experiment needs no more. No run fails because it cannot: what has stayed goes at the next.

    Attributes:
        count: how many artifacts have given up weights.
        freed: the bytes of those.
        problem: why something has stayed that may go; "" where nothing has.
    """

    def __init__(self, store: Store, own: Use) -> None:
        self._store = store
        self._own = own
        self._there = _Whole(store)
        self._stuck: set[str] = set()  # keys of which something may have stayed
        self.count = 0
        self.freed = 0
        self.problem = ""

    def begin(self, found: Mapping[str, There[Manifest]]) -> None:
        """Take in what the store has of the experiment's stages; what a run was dropping when it was stopped goes now."""
        self._there.known = {one.key: one.key in found and found[one.key].whole for one in self._own.stages}
        self._drop(key for key, there in found.items() if there.left)

    def done(self, stage: Stage) -> None:
        """A stage has ended well: after an evaluation weights may go."""
        self._there.known[stage.key] = True
        if stage.kind is Kind.EVALUATE:
            self.drop()

    def drop(self) -> None:
        """Drop what may go now."""
        if self._own.keep != "All":
            self._drop(self._droppable())

    def finish(self) -> None:
        """Drop what may go at the end, and what could not be dropped before."""
        self.problem = ""
        self._drop(sorted(self._stuck))
        self.drop()

    def watching(self, observer: Observer) -> Observer:
        """An observer that drops after what it is told, and passes it on."""
        return _Dropping(self, observer)

    def _droppable(self) -> Iterator[str]:
        others = [use for use in self._store.uses() if use.experiment != self._own.experiment]
        yield from droppable(self._own, others, self._there)

    def _drop(self, keys: Iterable[str]) -> None:
        key = ""
        try:
            for key in keys:
                self._there.known[key] = False
                freed = self._store.drop(key)
                self._stuck.discard(key)
                self.count += freed > 0
                self.freed += freed
        except (UserError, OSError) as error:
            self.problem = str(error)
            self._stuck |= {key} - {""}


class _Whole(Container[str]):
    """The keys whose files are all there: the store is asked for those that are not known yet."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.known: dict[str, bool] = {}

    def __contains__(self, key: object) -> bool:
        name = str(key)
        if name not in self.known:
            self.known[name] = self._store.lookup(name) is not None
        return self.known[name]


class _Dropping:
    def __init__(self, dropper: Dropper, observer: Observer) -> None:
        self._dropper = dropper
        self._observer = observer

    def started(self, stage: Stage) -> None:
        """See Observer."""
        self._observer.started(stage)

    def progressed(self, stage: Stage, progress: Progress) -> None:
        """See Observer."""
        self._observer.progressed(stage, progress)

    def ended(self, stage: Stage, state: State, outcome: Outcome) -> None:
        """See Observer."""
        self._observer.ended(stage, state, outcome)
        if state is State.DONE:
            self._dropper.done(stage)
