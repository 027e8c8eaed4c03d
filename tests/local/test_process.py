"""A stage's process tells how far it is, line by line."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from xstilts.local import process
from xstilts.local.process import Progress


def test_the_newest_line_is_told_once_and_what_is_none_is_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process, "POLL_SECONDS", 0.01)
    file = tmp_path / "progress.jsonl"
    told: list[Progress] = []
    writes = [
        b'{"percent": 1}\n{"percent": 2, "etaSeconds": 9, "metrics": {"loss": "0.5"}}\n',
        b'{"percent": 3}\n{"percent": "many"}\nnot JSON\n\xff\n[]\n\n',
        b"nothing but this\n",
        b'{"percent"',  # not whole yet
        b": 4}\n",
    ]

    async def write_and_watch() -> None:
        watcher = asyncio.create_task(process._watch(file, told.append))
        for text in writes:
            with file.open("ab") as stream:
                stream.write(text)
            await asyncio.sleep(0.1)
        assert not watcher.done()
        watcher.cancel()

    asyncio.run(write_and_watch())
    assert told == [
        Progress(percent=2, eta_seconds=9, metrics={"loss": "0.5"}),
        Progress(percent=3),
        Progress(percent=4),
    ]
