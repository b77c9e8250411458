"""Downloads: published files, fetched whole and checked, from the places that a registry names or from a mirror.

No library was found that resumes with ``If-Range``, hashes while it streams and knows mirrors (pooch does not resume),
so requests speaks HTTP here, tenacity tries again, and the rest is below.
"""

import contextlib
import errno
import hashlib
import json
import logging
import os
import queue
import re
import shutil
import threading
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from dataclasses import asdict, dataclass, field, fields, replace
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import quote, urljoin, urlsplit

from equidyn import __version__
from equidyn.core.files import receipt_path, replacing, shelved
from equidyn.data.download_registry import ID, PublishedFile

USER_AGENT = f"equidyn/{__version__} (+https://arxiv.org/abs/2512.02303)"
"""The user agent of requests; some servers refuse the default ones of HTTP libraries."""

NO_CHECKSUM = "none published"
"""The entry of a receipt in place of a checksum if the registry has none to compare with."""

_CHUNK = 1 << 16  # bytes that are received, hashed and written at a time
_HEAD = 512  # bytes from whose beginning a file's form is told
_FIRST_WAIT, _LONGEST_WAIT = 1.0, 120.0  # seconds between attempts, doubled each time
_LONGEST_ASKED_WAIT = 3600.0  # seconds that a server may ask for
_MISSING = 0.05  # share of entries that may be missing

_DISK_ERRORS = {
    errno.ENOSPC: "the disk is full",
    errno.EDQUOT: "the disk quota is used up",
    errno.EROFS: "the disk is read-only",
    errno.EACCES: "writing is not permitted",
}

logger = logging.getLogger(__name__)


class DownloadError(Exception):
    """A file could not be obtained; the message says what was found, what was expected and what to do."""


@dataclass(frozen=True)
class Receipt:
    """Facts about a downloaded file, which are kept beside it as ``<file>.json``.

    Attributes:
        dataset: Data set, the same as in the registry.
        version: Version, the same as in the registry.
        file: Name of the file, the same as in the registry.
        url: Origin, URL or file of a mirror; empty if the file was put there by hand.
        bytes: Size.
        sha256: Hash of the content, 64 hexadecimal digits.
        checksum: The registry's checksum, which the content has, or `NO_CHECKSUM`.
        licence: Licence, the same as in the registry.
        retrieved: Date, ISO 8601, UTC.
    """

    dataset: str
    version: str
    file: str
    url: str
    bytes: int
    sha256: str
    checksum: str
    licence: str
    retrieved: str


@dataclass(frozen=True)
class EntryFile:
    """The fate of one file of a template.

    Attributes:
        id: The value of ``{id}``.
        status: ``"ok"``, or ``"missing"`` if no place has it.
        bytes: Size, 0 if missing.
        sha256: Hash of the content, empty if missing.
    """

    id: str
    status: str
    bytes: int
    sha256: str


def download_file(
    entry: PublishedFile,
    path: str | Path,
    *,
    mirror: str | Path | None = None,
    attempts: int = 8,
    timeout: float = 60.0,
    progress: bool = True,
) -> Receipt:
    """Fetch a file of the registry, whole and checked, and write its receipt beside it.

    Received bytes stay in ``<path>.part``, so that an interrupted download resumes, even in another process; only one
    process at a time may fetch the same path. An existing file is read and checked, and not fetched again.

    Args:
        entry: Row of the registry to fetch; not a template.
        path: The file to make.
        mirror: Folder or URL that holds ``<dataset>/<version>/<file>``. A URL is tried before the registry's; with a
            folder the network is not touched.
        attempts: Largest number of attempts at one URL, in a row and without progress.
        timeout: Seconds without a byte after which a connection is given up.
        progress: Show a progress bar on stderr.

    Raises:
        DownloadError: No place gave the right file, an existing file is wrong, or the disk refuses it.
    """
    if entry.is_template:
        raise ValueError(f"{entry.file} stands for many files: use download_entries")
    path = Path(path)
    transfer = _Transfer(entry, entry.file, path, _with_ending(path, ".part"), progress=progress)
    with transfer.disk_errors(), _session() as session:
        path.parent.mkdir(parents=True, exist_ok=True)
        if receipt := _present(transfer):
            return receipt
        client = _Client(session, attempts, timeout, threading.Event())
        source, content = _obtain(transfer, mirror, client)
        transfer.finish()
        receipt = _receipt(entry, source, content)
        _write_text(receipt_path(path), json.dumps(asdict(receipt), indent=1) + "\n")
    logger.info("%s: %d bytes from %s, checksum %s", path, receipt.bytes, source, receipt.checksum)
    return receipt


def download_entries(
    template: PublishedFile,
    ids: Iterable[str],
    folder: str | Path,
    *,
    mirror: str | Path | None = None,
    connections: int = 4,
    check: Callable[[Path, str], None] | None = None,
    attempts: int = 8,
    timeout: float = 60.0,
    progress: bool = True,
) -> list[EntryFile]:
    """Fetch many small files that a template of the registry stands for, several at a time.

    Files go to ``<folder>/<middle two characters of the id>/<file>``. Those that are there already are read, checked
    and kept. A file that no place has (status 404, or absent from a folder) is a row, no error, as entries are
    withdrawn after an index was taken.

    Args:
        template: Row of the registry with ``{id}`` in file and URLs.
        ids: Lower-case letters, digits and underscores each; they may repeat.
        folder: Folder for the files.
        mirror: Folder or URL, see `download_file`.
        connections: Files fetched at a time.
        check: Called as ``check(path, id)`` with each file before it takes its name; raises `ValueError` if the content
            is not what it should be.
        attempts: Largest number of attempts at one URL for one file.
        timeout: Seconds without a byte after which a connection is given up.
        progress: Show a progress bar on stderr.

    Returns:
        One row per id, sorted.

    Raises:
        DownloadError: No place gave the right file for some id, the disk does not take it, or more than 5 % of all
            (and more than one) are missing. Finished files stay.
    """
    from tqdm import tqdm

    if not template.is_template:
        raise ValueError(f"{template.file} stands for one file: use download_file")
    ids = sorted(set(ids))
    if unusable := [id for id in ids if not re.fullmatch("[a-z0-9_]{2,}", id)]:
        raise ValueError(f"{unusable[0]!r} is not an id: expected at least 2 lower-case letters, digits or underscores")
    rows, missing, cancelled = [], 0, threading.Event()
    with contextlib.ExitStack() as stack:
        sessions: queue.SimpleQueue = queue.SimpleQueue()
        for _ in range(connections):
            sessions.put(stack.enter_context(_session()))

        def fetch(id: str) -> EntryFile:
            session = sessions.get()
            try:
                client = _Client(session, attempts, timeout, cancelled)
                return _entry_file(template, id, Path(folder), mirror, client, check)
            finally:
                sessions.put(session)

        finished = stack.enter_context(contextlib.closing(_in_parallel(fetch, ids, connections, cancelled)))
        bar = tqdm(finished, template.file, len(ids), unit="file", disable=not progress, mininterval=5)
        for row in stack.enter_context(contextlib.closing(bar)):
            rows.append(row)
            missing += row.status == "missing"
            if missing > max(1, _MISSING * len(ids)):
                raise DownloadError(
                    f"{template.dataset} {template.version}: {missing} of the first {len(rows)} files, of {len(ids)} "
                    f"in all, are missing; expected at most {_MISSING:.0%} of all. The index is out of date, or the "
                    "mirror is incomplete: delete the index files and their receipts to fetch them anew, or check "
                    "downloads.mirror"
                )
    return sorted(rows, key=lambda row: row.id)


def write_entries(rows: Iterable[EntryFile], path: str | Path) -> None:
    """Write the fate of each file as a tab-separated table."""
    lines = [[column.name for column in fields(EntryFile)], *([str(v) for v in asdict(row).values()] for row in rows)]
    _write_text(Path(path), "".join("\t".join(line) + "\n" for line in lines))


class _PlaceError(Exception):
    """One place failed; the next place may succeed."""


class _RefusedError(_PlaceError):
    """Retrying this place is useless."""


class _NotFoundError(_RefusedError):
    """This place does not have the file."""


class _TransientError(_PlaceError):
    """Retrying may help, after the number of seconds that the place asked for, if any."""

    def __init__(self, message: str, seconds: float | None = None) -> None:
        super().__init__(message)
        self.seconds = seconds


class _NowhereError(DownloadError):
    """Every place says that it does not have the file."""


class _Content:
    """Size and hashes of bytes that pass by."""

    def __init__(self, checksum: str) -> None:
        self.bytes = 0
        names = {"sha256", checksum.partition(":")[0] or "sha256"}
        self._hashes = {name: hashlib.new(name, usedforsecurity=False) for name in names}

    def update(self, chunk: bytes) -> None:
        self.bytes += len(chunk)
        for value in self._hashes.values():
            value.update(chunk)

    def hexdigest(self, name: str) -> str:
        return self._hashes[name].hexdigest()


@dataclass(frozen=True)
class _Begun:
    """The beginning of a part: the place and version of the file that it is from."""

    url: str
    etag: str | None
    last_modified: str | None
    total: int | None

    @property
    def validator(self) -> str | None:
        """The value for ``If-Range``; weak tags are excluded, as they do not promise equal bytes."""
        return self.etag if self.etag and not self.etag.startswith("W/") else self.last_modified

    def is_continued_by(self, response, url: str, start: int) -> bool:
        """Whether the response of `url` continues the part, from its end and in the same file."""
        found = re.fullmatch(r"bytes (\d+)-\d+/(\d+)", response.headers.get("Content-Range", ""))
        if response.status_code != 206 or not found or (int(found[1]), int(found[2])) != (start, self.total):
            return False
        if self.url != url:
            return True  # another copy, with other tags; the checksum will decide
        return all(
            response.headers.get(name) in (None, ours)  # a 206 need not repeat them
            for name, ours in {"ETag": self.etag, "Last-Modified": self.last_modified}.items()
        )


@dataclass(frozen=True)
class _Client:
    """The settings and the session of requests."""

    session: Any
    attempts: int
    timeout: float
    cancelled: threading.Event


@dataclass
class _Transfer:
    """One file on its way."""

    entry: PublishedFile
    name: str
    path: Path
    part: Path
    resumable: bool = True
    check: Callable[[Path], None] | None = None
    progress: bool = False
    total: int | None = field(init=False)  # bytes, as far as known

    def __post_init__(self) -> None:
        self.total = self.entry.bytes

    @property
    def _beginning(self) -> Path:
        return _with_ending(self.part, ".json")

    def size(self) -> int:
        """Bytes that have arrived."""
        return self.part.stat().st_size if self.part.exists() else 0

    def begun(self, url: str) -> _Begun | None:
        """The beginning of the part, if more of `url` may be appended to it."""
        try:
            begun = _Begun(**json.loads(self._beginning.read_text("utf-8")))
        except (FileNotFoundError, ValueError, TypeError):
            return None
        trusted = self.entry.checksum or (begun.url == url and begun.validator)
        return begun if trusted and self.size() else None

    def begin(self, begun: _Begun) -> None:
        """Start over, and record the beginning, so that another process can resume."""
        self.discard()
        if self.resumable:
            _write_text(self._beginning, json.dumps(asdict(begun)) + "\n")

    def receive(self, chunks: Iterable[bytes], content: _Content) -> None:
        """Append to the part; `content` covers the bytes that it already holds."""
        from tqdm import tqdm

        self._require_space(content.bytes)
        with (
            self.part.open("ab" if content.bytes else "wb") as stream,
            tqdm(
                desc=self.name, total=self.total, initial=content.bytes, unit="B", unit_scale=True, mininterval=5,
                disable=not self.progress,
            ) as bar,
        ):  # fmt: skip
            for chunk in chunks:
                if not content.bytes and len(chunk) >= _HEAD and (problem := _head_problem(self.name, chunk)):
                    self.discard()
                    raise _TransientError(problem)  # overload pages come with status 200 too
                stream.write(chunk)
                content.update(chunk)
                bar.update(len(chunk))
            stream.flush()
            os.fsync(stream.fileno())

    def problem(self, path: Path, content: _Content) -> str | None:
        """The defect of a complete file, apart from its checksum."""
        if content.bytes == 0:
            return "found 0 bytes, expected a file"
        if self.entry.bytes not in (None, content.bytes):
            return f"found {content.bytes} bytes, expected {self.entry.bytes}"
        with path.open("rb") as stream:
            return _head_problem(self.name, stream.read(_HEAD)) or self._own_problem(path)

    def _own_problem(self, path: Path) -> str | None:
        try:
            if self.check:
                self.check(path)
        except ValueError as error:
            return str(error)
        return None

    def checksum_problem(self, content: _Content) -> str | None:
        """The difference of the content from the registry's checksum."""
        name, _, expected = self.entry.checksum.partition(":")
        if not name or (found := content.hexdigest(name)) == expected:
            return None
        return f"found {name} {found}, expected {expected}"

    def verified(self, content: _Content, *, resumed: bool) -> _Content:
        """The content of the part, if it is right; otherwise the part is discarded."""
        if problem := self.problem(self.part, content):
            self.discard()
            raise _TransientError(problem)
        if problem := self.checksum_problem(content):
            self.discard()
            # Bytes joined from two responses may be of two files; those of a single response would come again.
            raise _TransientError(problem, seconds=0) if resumed else _RefusedError(problem)
        return content

    def finish(self) -> None:
        """Give the part its final name."""
        self.part.replace(self.path)
        self.discard()

    def discard(self) -> None:
        """Discard the received bytes."""
        self.part.unlink(missing_ok=True)
        self._beginning.unlink(missing_ok=True)

    @contextlib.contextmanager
    def disk_errors(self) -> Iterator[None]:
        """Turn errors of the disk into an error that says what to do."""
        try:
            yield
        except OSError as error:
            if (reason := _DISK_ERRORS.get(error.errno or 0)) is None:
                raise
            raise DownloadError(self._about_disk(reason)) from error

    def _require_space(self, kept: int) -> None:
        if self.total is not None and self.total - kept > shutil.disk_usage(self.part.parent).free:
            raise DownloadError(self._about_disk(_DISK_ERRORS[errno.ENOSPC]))

    def _about_disk(self, reason: str) -> str:
        folder, kept = self.path.parent, self.size()
        free = shutil.disk_usage(folder).free if folder.exists() else "unknown"
        return (
            f"{folder}: {reason}: {self.name} needs {self.total or 'an unknown number of'} bytes, of which {kept} are "
            f"there; {free} are free. Free some space or choose another downloads.folder, then run again: the received "
            "bytes are kept"
        )


def _obtain(transfer: _Transfer, mirror: str | Path | None, client: _Client, id: str = "") -> tuple[str, _Content]:
    """Complete the part from the first place that has the right file; return the place and the content."""
    failures: dict[str, _PlaceError] = {}
    for place in _places(transfer.entry, mirror, id):
        try:
            if isinstance(place, Path):
                return str(place), _copy(transfer, place)
            return place, _fetch(transfer, place, client)
        except _PlaceError as failure:
            failures[str(place)] = failure
            if not isinstance(failure, _NotFoundError):
                logger.warning("%s: %s", place, failure)
            if client.cancelled.is_set():
                break
    found = "".join(f"\n  {place}: {failure}" for place, failure in failures.items())
    kind = _NowhereError if all(isinstance(failure, _NotFoundError) for failure in failures.values()) else DownloadError
    raise kind(
        f"{transfer.entry.dataset} {transfer.entry.version}, {transfer.name}: no place gave the right file:{found}\n"
        f"Try again later; or put the file at {transfer.path} by hand; or set downloads.mirror to a folder or URL "
        f"that holds {_name_in_mirror(transfer.entry, id)}. If size or checksum differ from the registry's in a file "
        "that is right, correct the registry: its numbers may come from a single source, or the publisher replaced "
        "the file"
    )


def _places(entry: PublishedFile, mirror: str | Path | None, id: str) -> list[str | Path]:
    urls: list[str | Path] = [url.replace(ID, id) for url in entry.urls]
    if not mirror:
        return urls
    name = _name_in_mirror(entry, id)
    if re.match("https?://", str(mirror)):
        return [f"{str(mirror).rstrip('/')}/{quote(name)}", *urls]
    return [Path(mirror, name)]


def _name_in_mirror(entry: PublishedFile, id: str) -> str:
    return entry.path.as_posix().replace(ID, id)


def _copy(transfer: _Transfer, source: Path) -> _Content:
    """Copy a file from a folder, with the same checks as for downloads."""
    try:
        stream = source.open("rb")
    except FileNotFoundError:
        raise _NotFoundError("found no such file in the mirror: put it there") from None
    with stream:
        transfer.total = os.fstat(stream.fileno()).st_size
        transfer.discard()
        content = _Content(transfer.entry.checksum)
        transfer.receive(iter(lambda: stream.read(_CHUNK), b""), content)
    return transfer.verified(content, resumed=False)


def _fetch(transfer: _Transfer, url: str, client: _Client) -> _Content:
    """Request one URL until the part is complete, or until retrying is useless."""
    import tenacity

    backoff = tenacity.wait_exponential_jitter(multiplier=_FIRST_WAIT, max=_LONGEST_WAIT, jitter=_FIRST_WAIT)

    def seconds(state) -> float:
        asked = state.outcome.exception().seconds
        return backoff(state) if asked is None else asked

    def tell(state) -> None:
        logger.warning(
            "%s: %s; attempt %d of %d failed, trying again in %.0f s",
            url, state.outcome.exception(), state.attempt_number, client.attempts, state.upcoming_sleep,
        )  # fmt: skip

    retrying = tenacity.Retrying(
        retry=tenacity.retry_if_exception_type(_TransientError),
        stop=tenacity.stop_after_attempt(client.attempts) | tenacity.stop_when_event_set(client.cancelled),
        wait=seconds,
        sleep=tenacity.sleep_using_event(client.cancelled),
        before_sleep=tell,
        reraise=True,
    )
    while True:
        before = transfer.size()
        try:
            return retrying(_attempt, transfer, url, client)
        except _TransientError:
            # Some hosts cut every long download: continue as long as each round of attempts makes progress.
            if client.cancelled.is_set() or transfer.size() <= before:
                raise


def _attempt(transfer: _Transfer, url: str, client: _Client) -> _Content:
    """Request one URL once for the bytes that the part lacks."""
    import requests
    import urllib3

    begun = transfer.begun(url)
    content = _content_of(transfer.part, transfer.entry) if begun else _Content(transfer.entry.checksum)
    start = content.bytes
    if begun and start == begun.total:
        return transfer.verified(content, resumed=True)
    headers = {}
    if begun:
        headers["Range"] = f"bytes={start}-"
        if begun.url == url and begun.validator:
            headers["If-Range"] = begun.validator
    registered = (re.escape(place).replace(re.escape(ID), "[a-z0-9_]+") for place in transfer.entry.urls)
    is_mirror = not any(re.fullmatch(place, url) for place in registered)
    hooks = {"response": partial(_check_redirection, host=urlsplit(url).hostname if is_mirror else None)}
    options = {"headers": headers, "hooks": hooks, "stream": True, "timeout": client.timeout}
    try:
        with client.session.get(url, **options) as response:
            _require_success(response)
            if response.status_code == 200:
                content = _Content(transfer.entry.checksum)
                _require_announced(transfer, response)
                marks = response.headers.get("ETag"), response.headers.get("Last-Modified")
                transfer.begin(_Begun(url, *marks, transfer.total))
            elif begun and begun.is_continued_by(response, url, start):
                transfer.total = begun.total
            else:
                transfer.discard()
                raise _TransientError(
                    f"found status {response.status_code} and range {response.headers.get('Content-Range')}, expected "
                    f"the file from byte {start} on as its download began: starting over",
                    seconds=0,
                )
            transfer.receive(response.raw.stream(_CHUNK, decode_content=False), content)
    except (requests.RequestException, urllib3.exceptions.HTTPError) as error:
        if not transfer.resumable:
            transfer.discard()
        kind = _RefusedError if isinstance(error, ValueError | requests.TooManyRedirects) else _TransientError
        raise kind(f"found {type(error).__name__} ({error}) after {transfer.size()} bytes, expected a file") from error
    if transfer.total is not None and content.bytes < transfer.total:
        raise _TransientError(f"found {content.bytes} bytes, expected {transfer.total}")
    return transfer.verified(content, resumed=response.status_code == 206)


def _check_redirection(response, *, host: str | None, **_: Any) -> None:
    """Refuse a redirection to something else than the web, from https to http, or away from `host` if given."""
    if not response.is_redirect:
        return
    target = urljoin(response.url, response.headers["Location"])
    there, is_secure = urlsplit(target), urlsplit(response.url).scheme == "https"
    allowed = "https" if is_secure else "http or https"
    if there.scheme not in allowed.split(" or ") or host not in (None, there.hostname):
        response.close()
        where = "a mirror's own host" if host else "the web"
        raise _RefusedError(f"found a redirection to {target}, expected one within {where} by {allowed}: refused")


def _require_success(response) -> None:
    status = response.status_code
    message = f"found status {status} ({response.reason}), expected 200"
    if status in (404, 410):
        raise _NotFoundError(message)
    if status in (408, 429) or status >= 500:
        seconds = _asked_wait(response.headers.get("Retry-After", ""))
        if seconds is not None and seconds > _LONGEST_ASKED_WAIT:
            raise _RefusedError(f"{message}; asked to come back after {seconds:.0f} s")
        raise _TransientError(message, seconds)
    if status not in (200, 206, 416):
        raise _RefusedError(message)


def _asked_wait(value: str) -> float | None:
    """Seconds that a ``Retry-After`` asks for: a number or a date."""
    if value.isdecimal():
        return float(value)
    with contextlib.suppress(ValueError):
        return max(0.0, (parsedate_to_datetime(value) - datetime.now(UTC)).total_seconds())
    return None


def _require_announced(transfer: _Transfer, response) -> None:
    """Refuse a body before it is received if its announced size or encoding is wrong; otherwise note its size."""
    about = f"({response.headers.get('Content-Type', 'of no type')})"
    announced, registered = response.raw.length_remaining, transfer.entry.bytes
    if None not in (announced, registered) and announced != registered:
        raise _RefusedError(f"found {announced} bytes {about}, expected {registered}")
    transfer.total = registered if announced is None else announced
    encoding = response.headers.get("Content-Encoding", "identity")
    # Many servers call a .gz file, as it is, an encoding of what is in it.
    if encoding != "identity" and not transfer.name.endswith(".gz"):
        raise _RefusedError(f"found content encoding {encoding} {about}, expected the file as it is")


def _head_problem(name: str, head: bytes) -> str | None:
    """The mismatch between a file's first bytes and the ending of its name."""
    gzip = head.startswith(b"\x1f\x8b")
    expected, fits = next(
        form
        for ending, form in {
            ".tar.gz": ("a gzip or tar archive", gzip or head[257:262] == b"ustar"),  # plain tars are so named too
            ".gz": ("gzip", gzip),
            ".hdf5": ("HDF5", head.startswith(b"\x89HDF\r\n\x1a\n")),
            ".zip": ("a zip archive", head.startswith(b"PK")),
            ".pickle": ("a pickle", head.startswith(b"\x80")),
            "": ("text that is no HTML", not head.removeprefix(b"\xef\xbb\xbf").lstrip().startswith(b"<")),
        }.items()
        if name.endswith(ending)
    )
    return None if fits else f"found {head[:40]!r} at the beginning, expected {expected}"


def _present(transfer: _Transfer) -> Receipt | None:
    """The receipt of a file that is there already, once its content is found right."""
    path, entry = transfer.path, transfer.entry
    if not path.exists():
        return None
    content, known = _content_of(path, entry), _read_receipt(path)
    if known and known.sha256 != content.hexdigest("sha256"):
        logger.warning("%s: damaged since it was downloaded on %s; fetching it again", path, known.retrieved)
        path.unlink()
        receipt_path(path).unlink()
        return None
    if problem := transfer.problem(path, content) or transfer.checksum_problem(content):
        raise DownloadError(
            f"{path}: was there already: {problem}. Delete it to download it, or correct the registry if the file is "
            "right"
        )
    receipt = _receipt(entry, "", content)
    if known:
        receipt = replace(receipt, url=known.url, retrieved=known.retrieved)
    if receipt != known:
        _write_text(receipt_path(path), json.dumps(asdict(receipt), indent=1) + "\n")
    logger.info("%s: was there already, checksum %s", path, receipt.checksum)
    return receipt


def _entry_file(
    template: PublishedFile,
    id: str,
    folder: Path,
    mirror: str | Path | None,
    client: _Client,
    check: Callable[[Path, str], None] | None,
) -> EntryFile:
    """One file of a template, found or fetched."""
    name = template.file.replace(ID, id)
    path = shelved(folder, id, name)
    # The ending stays, as readers rely on it.
    transfer = _Transfer(template, name, path, path.with_name(f".part-{name}"), resumable=False)
    transfer.check = check and (lambda file: check(file, id))
    with transfer.disk_errors():
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.exists():
            content = _content_of(path, template)
            if (problem := transfer.problem(path, content)) is None:
                return EntryFile(id, "ok", content.bytes, content.hexdigest("sha256"))
            logger.warning("%s: %s; fetching it again", path, problem)
            path.unlink()
        try:
            _, content = _obtain(transfer, mirror, client, id)
        except _NowhereError:
            logger.info("%s: no place has it", name)
            return EntryFile(id, "missing", 0, "")
        transfer.finish()
    return EntryFile(id, "ok", content.bytes, content.hexdigest("sha256"))


def _in_parallel(
    work: Callable[[str], EntryFile], items: Iterable[str], connections: int, cancelled: threading.Event
) -> Generator[EntryFile]:
    """Yield results as they come, a few items ahead; pending items are dropped if the caller stops or an item fails."""
    with ThreadPoolExecutor(connections) as pool:
        waiting: set = set()
        try:
            for item in items:
                if len(waiting) >= 2 * connections:
                    done, waiting = wait(waiting, return_when=FIRST_COMPLETED)
                    yield from (future.result() for future in done)
                waiting.add(pool.submit(work, item))
            while waiting:
                done, waiting = wait(waiting, return_when=FIRST_COMPLETED)
                yield from (future.result() for future in done)
        finally:
            cancelled.set()
            pool.shutdown(wait=False, cancel_futures=True)


@contextlib.contextmanager
def _session() -> Iterator[Any]:
    import requests

    with requests.Session() as session:
        # Bytes as stored on the server, to which ranges and checksums refer.
        session.headers.update({"User-Agent": USER_AGENT, "Accept-Encoding": "identity"})
        yield session


def _content_of(path: Path, entry: PublishedFile) -> _Content:
    content = _Content(entry.checksum)
    with path.open("rb") as stream:
        while chunk := stream.read(_CHUNK):
            content.update(chunk)
    return content


def _receipt(entry: PublishedFile, url: str, content: _Content) -> Receipt:
    return Receipt(
        dataset=entry.dataset,
        version=entry.version,
        file=entry.file,
        url=url,
        bytes=content.bytes,
        sha256=content.hexdigest("sha256"),
        checksum=entry.checksum or NO_CHECKSUM,
        licence=entry.licence,
        retrieved=datetime.now(UTC).date().isoformat(),
    )


def _read_receipt(path: Path) -> Receipt | None:
    try:
        return Receipt(**json.loads(receipt_path(path).read_text("utf-8")))
    except (FileNotFoundError, ValueError, TypeError):
        return None


def _with_ending(path: Path, ending: str) -> Path:
    return path.with_name(path.name + ending)


def _write_text(path: Path, text: str) -> None:
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
