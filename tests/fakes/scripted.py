"""An HTTP server whose answers a test writes down one by one, on a socket of its own."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Reply:
    """What one request gets; `cut` bytes of the body are announced and never sent."""

    status: int = 200
    body: bytes = b"{}"
    headers: dict[str, str] = field(default_factory=dict)
    cut: int = 0
    drop: bool = False
    """Close the connection without a word."""


@dataclass(frozen=True, slots=True)
class Request:
    """What a client sent."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes


class ScriptedServer:
    """Gives the replies of `script` in order, the last one for ever; remembers all requests."""

    def __init__(self, script: list[Reply]) -> None:
        self.script = script
        self.requests: list[Request] = []
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listening.getsockname()[1]}"
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop listening."""
        # Only a shutdown wakes the thread that waits in accept.
        self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        self._thread.join(5)

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listening.accept()
            except OSError:
                return
            with connection:
                connection.settimeout(5)
                request = self._read(connection)
                if request is None:
                    continue
                self.requests.append(request)
                reply = self.script[min(len(self.requests), len(self.script)) - 1]
                if not reply.drop:
                    connection.sendall(_encode(reply))

    def _read(self, connection: socket.socket) -> Request | None:
        received = b""
        while b"\r\n\r\n" not in received:
            part = connection.recv(65536)
            if not part:
                return None
            received += part
        head, _, body = received.partition(b"\r\n\r\n")
        first, *lines = head.decode().split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        while len(body) < int(headers.get("content-length", "0")):
            body += connection.recv(65536)
        method, target, _ = first.split(" ")
        return Request(method, target, headers, body)


def _encode(reply: Reply) -> bytes:
    headers = {"Content-Length": str(len(reply.body)), "Connection": "close", **reply.headers}
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return f"HTTP/1.1 {reply.status} Reply\r\n{lines}\r\n".encode() + reply.body[: len(reply.body) - reply.cut]


@contextmanager
def scripted(*script: Reply) -> Iterator[ScriptedServer]:
    """A server for the length of a test."""
    server = ScriptedServer(list(script))
    try:
        yield server
    finally:
        server.close()
