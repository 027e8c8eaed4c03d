"""What a person sees of a run, and what becomes of the run where nobody looks."""

from __future__ import annotations

import io
import sys

import pytest

from xstilts.local.display import Outlet, PlainDisplay
from xstilts.stage import Kind, Stage


class Unread(io.StringIO):
    """A pipe whose reader has gone."""

    writes = 0

    def write(self, _: str) -> int:
        self.writes += 1
        raise BrokenPipeError


def test_once_nobody_reads_what_a_run_tells_it_is_quiet_and_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", unread := Unread())
    stage = Stage(key="a", kind=Kind.TRAIN, spec={})
    with PlainDisplay(Outlet(), {"a": "train a"}, 1) as display:
        display.started(stage)
        display.started(stage)
    assert unread.writes == 1
