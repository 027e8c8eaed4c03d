"""A volume claim, as a decision sees it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from xstilts_operator.tolerant import mapping, text, texts

MANY_NODES: Final = frozenset({"ReadWriteMany"})
ONE_NODE: Final = frozenset({"ReadWriteOnce"})


@dataclass(frozen=True)
class ClaimView:
    """A claim of a store.

    Attributes:
        there: whether there is one of the name.
        phase: Bound; Pending, also where it waits for its first pod; Lost.
        modes: the access modes of its volume, or those that it asks for as long as it has none.
        deleting: whether it goes when no pod uses it any more: no new pod can.
    """

    there: bool = True
    phase: str = ""
    modes: tuple[str, ...] = ()
    deleting: bool = False

    @property
    def usable(self) -> bool:
        """Whether a pod can mount it, or will be able to."""
        return self.there and not self.deleting and self.phase != "Lost"

    @property
    def mountable_by_many(self) -> bool:
        """Whether pods on any number of nodes can write to it. Modes that are not known are taken to be right."""
        return self.usable and (not self.modes or not MANY_NODES.isdisjoint(self.modes))

    @property
    def mountable_on_one_node(self) -> bool:
        """Whether several pods can write to it at once, at least if they are on one node."""
        return self.mountable_by_many or (self.usable and not ONE_NODE.isdisjoint(self.modes))


def view_claim(obj: Any) -> ClaimView:
    """A PersistentVolumeClaim."""
    status, spec = mapping(obj, "status"), mapping(obj, "spec")
    return ClaimView(
        phase=text(status.get("phase")),
        modes=texts(status.get("accessModes")) or texts(spec.get("accessModes")),
        deleting="deletionTimestamp" in mapping(obj, "metadata"),
    )
