"""kopf's settings: what the API server takes of them."""

from __future__ import annotations

from xstilts_operator.actions import Resource
from xstilts_operator.watching import settings


def test_a_watch_asks_for_whole_seconds():
    """The API server refuses a watch whose timeoutSeconds is no integer, and kopf then only lists, again and again."""
    assert isinstance(settings([Resource.STAGE]).watching.server_timeout, int)
