"""A command in a container, over a websocket: what is written to it, and what it says.

Channels as Kubernetes has them: 0 standard input, 1 output, 2 error, 3 how it ended; 255 closes one (v5).
"""

from __future__ import annotations

import io
import json
import select
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Any, Final, cast

from xstilts.errors import Problem, UnavailableError

CHUNK: Final = 1 << 17  # bytes of a message: the API server and the kubelet copy them whole
SILENT_SECONDS: Final = 120  # the program at the other end gives a sign of life more often
_INPUT, _OUTPUT, _ERROR, _END, _CLOSE = 0, 1, 2, 3, 255
_V5: Final = "v5.channel.k8s.io"


class Command:
    """A command that runs, by its open websocket (websocket-client's).

    `input` takes its standard input and `output` gives its standard output, both as they come: nothing is kept.
    """

    def __init__(self, socket: Any, where: str) -> None:
        self._socket, self._where = socket, where
        self._socket.settimeout(SILENT_SECONDS)
        self._output, self._said, self._status = bytearray(), bytearray(), bytearray()
        self._open = True
        self._interrupted = False
        self.input = cast("IO[bytes]", _Input(self))
        self.output = io.BufferedReader(_Output(self), CHUNK)

    def end(self) -> tuple[int | None, str]:
        """Close its input, wait until it ends: its exit code (None: that was not told) and what it said on error."""
        if self._open and self._socket.subprotocol == _V5:
            self._send(bytes([_CLOSE, _INPUT]))
        while self._open:
            self._receive()
            self._output.clear()
        return self._exit_code(), self._said.decode(errors="replace").strip()

    def send(self, data: bytes) -> None:
        """Write to its input; nothing where an interruption has ended the connection, which is on its way to the caller.

        Raises:
            BrokenPipeError: it has ended.
            UnavailableError: the connection is lost.
        """
        if self._interrupted:  # an archive that is left writes what it has kept back
            return
        for begin in range(0, len(data), CHUNK):
            while self._open and self._has_something():
                self._receive()
            if not self._open:
                raise BrokenPipeError
            self._send(bytes([_INPUT]) + data[begin : begin + CHUNK])

    def close(self) -> None:
        """Close the connection."""
        self._open = False
        self._socket.shutdown()

    def receive(self) -> bytes:
        """The next part of its output; empty where it has ended."""
        while self._open and not self._output:
            self._receive()
        data, self._output = bytes(self._output), bytearray()
        return data

    def _send(self, message: bytes) -> None:
        with self._whole():
            self._socket.send_binary(message)

    def _receive(self) -> None:
        import websocket  # noqa: PLC0415 - kubernetes brings it

        with self._whole():
            try:
                code, data = self._socket.recv_data()
            except websocket.WebSocketConnectionClosedException:
                self._open = False
                return
        if code == websocket.ABNF.OPCODE_CLOSE:
            self._open = False
        elif data and data[0] in {_OUTPUT, _ERROR, _END}:
            {_OUTPUT: self._output, _ERROR: self._said, _END: self._status}[data[0]].extend(data[1:])

    @contextmanager
    def _whole(self) -> Iterator[None]:
        """One message: all of it, or the connection ends, as at Ctrl-C, since neither side would understand the other."""
        import websocket  # noqa: PLC0415 - kubernetes brings it

        try:
            yield
        except (websocket.WebSocketException, OSError) as error:
            raise self._lost(error) from None
        except BaseException:
            self._interrupted = True
            self.close()
            raise

    def _has_something(self) -> bool:
        sock = self._socket.sock
        if isinstance(sock, ssl.SSLSocket) and sock.pending():
            return True
        return bool(select.select([sock], [], [], 0)[0])

    def _exit_code(self) -> int | None:
        try:
            status = json.loads(self._status)
            if status["status"] == "Success":
                return 0
            causes = status["details"]["causes"]
            return int(next(one["message"] for one in causes if one["reason"] == "ExitCode"))
        except (ValueError, KeyError, TypeError, StopIteration):
            return None

    def _lost(self, error: Exception) -> UnavailableError:
        return UnavailableError(
            Problem(self._where, f"must stay connected until all has gone over, was not: {error}")
        )


class _Input(io.RawIOBase):
    def __init__(self, command: Command) -> None:
        self._command = command

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self._command.send(bytes(data))
        return len(data)


class _Output(io.RawIOBase):
    def __init__(self, command: Command) -> None:
        self._command, self._rest = command, b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        data = self._rest or self._command.receive()
        size = min(len(buffer), len(data))
        buffer[:size], self._rest = data[:size], data[size:]
        return size
