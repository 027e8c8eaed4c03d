"""Where the bytes that a stage reads come from: a folder of the store, or a stage that fetches them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from xstilts.errors import Problem
from xstilts.spec import Experiment, is_path, named_sources
from xstilts.spec.words import spell
from xstilts.stage import (
    DataFile,
    Family,
    HubSource,
    InputRef,
    Kind,
    PrepareDataSpec,
    PrepareModelSpec,
    Slice,
    Stage,
)

Origin = InputRef | Stage
UNPINNED = "unpinned:"


def is_unpinned(digest: str) -> bool:
    """Whether a digest is the mark that stands for one that is not known."""
    return digest.startswith(UNPINNED)


def marked_by_cluster(stage: Stage) -> bool:
    """Whether a stage itself reads something without commit or digest, for an experiment of a cluster.

    Its mark is the experiment's UID; that of a file is a namespace and a name (see `Hub.of`), and a file's inputs have digests.
    """
    mark = stage.spec.get("unpinned", "")
    inputs = stage.spec.get("inputs", {}).values()
    return (bool(mark) and "/" not in mark) or any(is_unpinned(reference["digest"]) for reference in inputs)


@dataclass(frozen=True)
class Hub:
    """The hub as an experiment sees it: the commits that it has pinned, and its mark for what it has not.

    The mark stands in the key of every stage that reads something without a commit or digest: it is not shared.
    """

    mark: str
    revisions: Mapping[str, str]

    @classmethod
    def of(cls, experiment: Experiment, mark: str | None = None) -> Hub:
        """The hub of an experiment; its mark is `unpinned:<namespace>/<name>` where none is given.

        Raises:
            ValueError: the mark would not be known as one (`is_unpinned`).
        """
        metadata = experiment.metadata
        own = f"{UNPINNED}{metadata.namespace or 'default'}/{metadata.name}"
        if mark is not None and not is_unpinned(mark):
            raise ValueError(f"a mark must begin with {UNPINNED!r}, was {mark!r}")
        return cls(mark or own, experiment.spec.data_revisions)

    def model(self, repository: str, revision: str | None, family: Family) -> Stage:
        """The stage that fetches a model."""
        source = HubSource(repository=repository, revision=revision)
        mark = None if revision else self.mark
        return Stage.of(Kind.PREPARE, PrepareModelSpec(source=source, family=family, unpinned=mark))

    def data(self, task: str, files: Iterable[DataFile]) -> Stage:
        """The stage that fetches a data set."""
        pinned = tuple(
            file.model_copy(update={"slices": tuple(map(self._pinned, file.slices))}) for file in files
        )
        whole = all(rows.revision for file in pinned for rows in file.slices)
        mark = None if whole else self.mark
        return Stage.of(Kind.PREPARE, PrepareDataSpec(task=task, files=pinned, unpinned=mark))

    def _pinned(self, rows: Slice) -> Slice:
        revision = self.revisions.get(rows.repository)
        if revision is None:
            return rows
        return rows.model_copy(update={"revision": revision, "reference": None})


def paths(experiment: Experiment) -> Iterator[Problem]:
    """The sources that are paths of a machine: they have no digest before `xstilts run` has put them into the store."""
    for path, _, source in named_sources(experiment):
        if is_path(source):
            yield Problem(
                spell(path),
                f"must be store://NAME@sha256:DIGEST to be planned, was the path {source!r}; `xstilts put` puts a "
                "folder into the store, and `xstilts run` does it by itself",
            )
