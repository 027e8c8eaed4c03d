"""What every test may need: the repository's root and the real slices, where they are."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def repository() -> Path:
    return REPOSITORY


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """The folder of real data slices (XSTILTS_DATA, else ../shared/data beside the checkout)."""
    folder = Path(os.environ.get("XSTILTS_DATA") or REPOSITORY.parent / "shared" / "data")
    if not folder.is_dir():
        pytest.skip(f"real data slices are not here: {folder} (set XSTILTS_DATA)")
    return folder.resolve()
