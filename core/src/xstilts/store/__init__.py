"""The artifact store: what stages have made, and the inputs that people have put, under one root a namespace."""

from xstilts.store.artifacts import Draft, Store
from xstilts.store.keeping import Keep, Use, droppable
from xstilts.store.location import store_root
from xstilts.store.manifest import FileEntry, InputManifest, Manifest
from xstilts.store.places import There

__all__ = [
    "Draft",
    "FileEntry",
    "InputManifest",
    "Keep",
    "Manifest",
    "Store",
    "There",
    "Use",
    "droppable",
    "store_root",
]
