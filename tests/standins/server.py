"""A web server on this machine, which serves files and misbehaves where a test asks for it.

    with serve({"data/a.txt": b"content"}) as server:
        server.on("data/a.txt", cut(3), times=2)
        fetch(f"{server.url}/data/a.txt")
        assert server.requests[0].path == "data/a.txt"

A folder in place of the mapping serves the files below it.
"""

import contextlib
import hashlib
import re
import socket
import threading
from collections import defaultdict, deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path


@dataclass
class Resource:
    """A file as the server has it."""

    body: bytes
    etag: str | None = None
    last_modified: str | None = None


@dataclass(frozen=True)
class Request:
    """What a client asked for."""

    path: str
    headers: Mapping[str, str]


Behaviour = Callable[["Exchange", Resource], None]
"""Answers one request for a file, in its own way."""


@dataclass
class Server:
    """A server that runs; requests are noted in order."""

    files: Callable[[str], Resource | None]
    url: str = ""
    requests: list[Request] = field(default_factory=list)
    closing: threading.Event = field(default_factory=threading.Event)
    _behaviours: dict[str, deque[Behaviour]] = field(default_factory=lambda: defaultdict(deque))
    _always: dict[str, Behaviour] = field(default_factory=dict)
    _replaced: dict[str, Resource] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def on(self, path: str, behaviour: Behaviour, times: int | None = None) -> None:
        """Answer the next requests for `path` so, or all of them."""
        if times is None:
            self._always[path] = behaviour
        else:
            self._behaviours[path].extend([behaviour] * times)

    def put(self, path: str, body: bytes, **marks: str | None) -> None:
        """Put a file in place of another, with a new tag if none is given."""
        self._replaced[path] = Resource(body, **(marks or {"etag": tag(body)}))

    def paths(self) -> list[str]:
        """What was asked for."""
        return [request.path for request in self.requests]

    def ranges(self) -> list[str | None]:
        """Which ranges were asked for."""
        return [request.headers.get("Range") for request in self.requests]

    def answer(self, exchange: "Exchange") -> None:
        """Answer one request."""
        path = exchange.path.lstrip("/")
        with self._lock:
            self.requests.append(Request(path, dict(exchange.headers.items())))
            waiting = self._behaviours[path]
            behaviour = waiting.popleft() if waiting else self._always.get(path, well)
        behaviour(exchange, self._replaced.get(path) or self.files(path) or Resource(b""))

    def has(self, path: str) -> bool:
        """Whether there is such a file."""
        return path in self._replaced or self.files(path) is not None


class Exchange(BaseHTTPRequestHandler):
    """One connection of a client; requests follow each other on it."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # else head and body come 40 ms apart
    standin: Server

    def handle(self) -> None:
        with contextlib.suppress(ConnectionError):  # a client that goes away is no fault of the server
            super().handle()

    def do_GET(self) -> None:
        self.standin.answer(self)

    def log_message(self, *arguments) -> None:
        """Be quiet: the server notes requests itself."""

    def begin(self, status: int, length: int | None, **headers: str | None) -> None:
        """Send everything before the body; underscores in names stand for hyphens."""
        self.send_response(status)
        if length is None:
            self.close_connection = True
            self.send_header("Connection", "close")
        else:
            self.send_header("Content-Length", str(length))
        for name, value in headers.items():
            if value is not None:
                self.send_header(name.replace("_", "-"), value)
        self.end_headers()

    def slice(self, resource: Resource, *, ranges: bool = True) -> tuple[int, int]:
        """Status and first byte of the right answer."""
        asked = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        condition = self.headers.get("If-Range")
        if not ranges or not asked or condition not in (None, resource.etag, resource.last_modified):
            return 200, 0
        start = int(asked[1])
        return (206, start) if start < len(resource.body) else (416, start)

    def send(self, resource: Resource, *, ranges: bool = True) -> bytes:
        """Send the head of the right answer, and return the body that belongs to it."""
        status, start = self.slice(resource, ranges=ranges)
        size = len(resource.body)
        if status == 416:
            self.begin(416, 0, Content_Range=f"bytes */{size}")
            return b""
        self.begin(
            status,
            size - start,
            Content_Range=f"bytes {start}-{size - 1}/{size}" if status == 206 else None,
            ETag=resource.etag,
            Last_Modified=resource.last_modified,
        )
        return resource.body[start:]

    def drop(self) -> None:
        """End the connection at once."""
        self.close_connection = True
        with contextlib.suppress(OSError):
            self.connection.shutdown(socket.SHUT_RDWR)


def tag(body: bytes) -> str:
    """The tag that the server gives a file of this content."""
    return f'"{hashlib.sha256(body).hexdigest()[:16]}"'


def well(exchange: Exchange, resource: Resource) -> None:
    """Answer as a good server does."""
    if not exchange.standin.has(exchange.path.lstrip("/")):
        status(404)(exchange, resource)
        return
    exchange.wfile.write(exchange.send(resource))


def whole(exchange: Exchange, resource: Resource) -> None:
    """Ignore ranges."""
    exchange.wfile.write(exchange.send(resource, ranges=False))


def lengthless(exchange: Exchange, resource: Resource) -> None:
    """Do not say how much comes."""
    exchange.begin(200, None, ETag=resource.etag)
    exchange.wfile.write(resource.body)


def cut(after: int, *, ranges: bool = True) -> Behaviour:
    """End the connection after so many bytes of the body."""

    def behave(exchange: Exchange, resource: Resource) -> None:
        exchange.wfile.write(exchange.send(resource, ranges=ranges)[:after])
        exchange.wfile.flush()
        exchange.drop()

    return behave


def stall(after: int) -> Behaviour:
    """Say nothing more after so many bytes of the body."""

    def behave(exchange: Exchange, resource: Resource) -> None:
        exchange.wfile.write(exchange.send(resource)[:after])
        exchange.wfile.flush()
        exchange.standin.closing.wait(30)
        exchange.drop()

    return behave


def slow(piece: int, seconds: float) -> Behaviour:
    """Send so many bytes, wait, and so on."""

    def behave(exchange: Exchange, resource: Resource) -> None:
        body = exchange.send(resource)
        for start in range(0, len(body), piece):
            exchange.wfile.write(body[start : start + piece])
            exchange.wfile.flush()
            if exchange.standin.closing.wait(seconds):
                return

    return behave


def status(code: int, body: bytes = b"", **headers: str) -> Behaviour:
    """Answer with a status; underscores in names of headers stand for hyphens."""

    def behave(exchange: Exchange, resource: Resource) -> None:
        exchange.begin(code, len(body), **headers)
        if code != 204:
            exchange.wfile.write(body)

    return behave


def other(change: Callable[[bytes], bytes], **headers: str) -> Behaviour:
    """Send the file's content changed, under the same tag."""

    def behave(exchange: Exchange, resource: Resource) -> None:
        body = change(resource.body)
        exchange.begin(200, len(body), ETag=resource.etag, **headers)
        exchange.wfile.write(body)

    return behave


def wrong_byte(at: int) -> Behaviour:
    """Send the file with one byte changed."""
    return other(lambda body: body[:at] + bytes([body[at] ^ 1]) + body[at + 1 :])


def wrong_beginning(after: int) -> Behaviour:
    """Send a wrong first byte, and end the connection after so many bytes."""

    def behave(exchange: Exchange, resource: Resource) -> None:
        body = exchange.send(resource)
        exchange.wfile.write((bytes([body[0] ^ 1]) + body[1:])[:after])
        exchange.wfile.flush()
        exchange.drop()

    return behave


def only_for(agent: str) -> Behaviour:
    """Send the file to clients whose name begins so, and 403 to others."""

    def behave(exchange: Exchange, resource: Resource) -> None:
        named = exchange.headers.get("User-Agent", "").startswith(agent)
        (well if named else status(403))(exchange, resource)

    return behave


def then(behaviour: Behaviour, action: Callable[[], object]) -> Behaviour:
    """Do something on the server after an answer."""

    def behave(exchange: Exchange, resource: Resource) -> None:
        behaviour(exchange, resource)
        action()

    return behave


@contextlib.contextmanager
def serve(files: Mapping[str, bytes] | str | Path) -> Iterator[Server]:
    """Run a server for the block.

    Args:
        files: A folder, or contents by path; both without a leading slash.

    Yields:
        The server; its `url` has no trailing slash.
    """
    if isinstance(files, Mapping):

        def find(path: str) -> Resource | None:
            return Resource(files[path], tag(files[path])) if path in files else None
    else:
        folder = Path(files).resolve()

        def find(path: str) -> Resource | None:
            file = (folder / path).resolve()
            if not file.is_relative_to(folder) or not file.is_file():
                return None
            body = file.read_bytes()
            return Resource(body, tag(body))

    standin = Server(find)
    handler = type("StandInExchange", (Exchange,), {"standin": standin})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        standin.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield standin
        finally:
            standin.closing.set()
            server.shutdown()
            thread.join()
