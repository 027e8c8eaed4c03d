"""How a process joins those that train together, and leaves them."""

from __future__ import annotations

import socket

import pytest
import torch
import torch.distributed as dist

from xstilts.errors import SpecError
from xstilts_trainer.ranks import Ranks
from xstilts_trainer.training.group import joined_group


@pytest.fixture
def environment():
    """Of a group of one."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    yield Ranks().environment(0, port)
    if dist.is_initialized():
        dist.destroy_process_group()


@pytest.mark.parametrize("ended", [None, KeyboardInterrupt], ids=["done", "interrupted"])
def test_processes_leave_together(environment, ended):
    try:
        with joined_group(environment) as group:
            assert (group.rank, group.size) == (0, 1)
            if ended is not None:
                raise ended
    except KeyboardInterrupt:
        pass
    assert not dist.is_initialized()


def test_one_that_fails_does_not_wait_for_the_others(environment):
    """They would never come: they wait for it."""
    with pytest.raises(ValueError, match="of its own"), joined_group(environment):
        raise ValueError("of its own")
    assert dist.is_initialized()


def test_more_processes_than_gpus_are_an_error(environment, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    with pytest.raises(SpecError, match=r"resources\.gpus: must be at most 0"), joined_group(environment):
        pass
    assert not dist.is_initialized()
