"""A command in a container where a person ends it in the middle of a message."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from xstilts.cluster.exec import Command
from xstilts.store.stream import pack


class Interrupted:
    """A websocket on which Ctrl-C is pressed while its third message is sent, or while the first is received."""

    subprotocol = "v5.channel.k8s.io"

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.sent = 0
        self.is_open = True

    def settimeout(self, _seconds: float) -> None:
        pass

    def send_binary(self, _message: bytes) -> None:
        assert self.is_open, "nothing may be sent after the interruption"
        self.sent += 1
        if self.sent == 3:
            raise KeyboardInterrupt

    def recv_data(self) -> tuple[int, bytes]:
        assert self.is_open, "nothing may be waited for after the interruption"
        raise KeyboardInterrupt

    def shutdown(self) -> None:
        self.is_open = False


@pytest.fixture
def ends() -> Iterator[tuple[socket.socket, socket.socket]]:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield ours, theirs


@pytest.mark.parametrize("answering", [False, True])
def test_an_interruption_ends_the_connection_and_comes_through(
    tmp_path: Path, ends: tuple[socket.socket, socket.socket], *, answering: bool
) -> None:
    """An archive that is left on the way writes what it has kept back: there is nobody left to hear it."""
    (tmp_path / "large.bin").write_bytes(bytes(1 << 20))
    if answering:
        ends[1].send(b"a sign of life")
    websocket = Interrupted(ends[0])
    with pytest.raises(KeyboardInterrupt):
        pack({"large.bin": tmp_path / "large.bin"}, Command(websocket, "pod a/b").input)
    assert not websocket.is_open
    assert websocket.sent == (0 if answering else 3)
