"""The artifact store: what stages have made, and the inputs that people have put, under one root a namespace."""

from xstilts.store.artifacts import Draft, Store
from xstilts.store.location import store_root
from xstilts.store.manifest import FileEntry, InputManifest, Manifest

__all__ = ["Draft", "FileEntry", "InputManifest", "Manifest", "Store", "store_root"]
