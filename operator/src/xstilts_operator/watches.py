"""How the watches fare: when each has told something last, and what a full list found that it should have told."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from typing import Final

from xstilts_operator.actions import Resource
from xstilts_operator.cache import Change

SILENT_SECONDS: Final = 60.0  # a watch that still has not told what a list found so long ago is dead


class Watches:
    """What the watches have told, by kind of object. Seconds are the event loop's."""

    def __init__(self) -> None:
        self._told: dict[Resource, float] = {}
        self._owing: dict[tuple[Resource, str], float] = {}  # since when, by namespace

    def told(self, resource: Resource, namespace: str) -> None:
        """A watch has told something of an object in a namespace."""
        self._told[resource] = _now()
        self._owing.pop((resource, namespace), None)

    def owe(self, resource: Resource, changes: Iterable[Change]) -> None:
        """A full list has found objects in a state that no watch had told; one that lives tells it within seconds."""
        for change in changes:
            self._owing.setdefault((resource, change.namespace), _now())

    def ages(self) -> Mapping[Resource, float]:
        """For how many seconds each watch has told nothing."""
        return {resource: _now() - told for resource, told in self._told.items()}

    def silent(self) -> tuple[Resource, ...]:
        """The watches that are dead although they look alive."""
        late = _now() - SILENT_SECONDS
        return tuple(sorted({resource for (resource, _), since in self._owing.items() if since < late}))


def _now() -> float:
    return asyncio.get_running_loop().time()
