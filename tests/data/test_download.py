"""Downloads: whatever a server does, the right bytes or a clear error, and nothing half-fetched under a final name."""

import gzip
import hashlib
import io
import json
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import pytest
from registry_rows import changed, published_file
from standins import server as standin
from standins.pdb import write_pdb

from equidyn.data import download
from equidyn.data.download import (
    DownloadError,
    EntryFile,
    download_entries,
    download_file,
    receipt_path,
    write_entries,
)

ROOT = Path(__file__).parents[2]
NAME = "set/1/numbers.txt"
BODY = "".join(f"{number:07d}\n" for number in range(40_000)).encode()
OTHER = BODY[::-1].lstrip()
HTML = b"<!DOCTYPE html><html>" + b"The service is overloaded. " * 50 + b"</html>"


def md5(body):
    return "md5:" + hashlib.md5(body).hexdigest()


def sha256(body):
    return hashlib.sha256(body).hexdigest()


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch):
    monkeypatch.setattr(download, "_FIRST_WAIT", 0.001)
    monkeypatch.setattr(download, "_LONGEST_WAIT", 0.01)


@pytest.fixture
def server():
    with standin.serve({NAME: BODY}) as running:
        yield running


@pytest.fixture
def entry(server):
    """The file as the registry names it, with its checksum."""
    return published_file(
        "set", "1", "numbers.txt", (f"{server.url}/{NAME}",), len(BODY), md5(BODY), "CC0-1.0", "2026-11"
    )


@pytest.fixture
def path(tmp_path):
    return tmp_path / "set" / "1" / "numbers.txt"


def fetch(entry, path, **settings):
    return download_file(entry, path, **({"attempts": 4, "timeout": 5.0, "progress": False} | settings))


def files(folder):
    return sorted(file.name for file in folder.rglob("*") if file.is_file())


def assert_whole(path, body=BODY):
    assert path.read_bytes() == body
    assert files(path.parent) == [path.name, f"{path.name}.json"]
    receipt = json.loads(receipt_path(path).read_text())
    assert (receipt["bytes"], receipt["sha256"]) == (len(body), sha256(body))


class TestFile:
    """One file from one place."""

    def test_arrives_with_a_receipt(self, server, entry, path):
        receipt = fetch(entry, path)
        assert_whole(path)
        assert json.loads(receipt_path(path).read_text()) == vars(receipt)
        assert vars(receipt) == {
            "dataset": "set", "version": "1", "file": "numbers.txt", "url": entry.urls[0], "bytes": len(BODY),
            "sha256": sha256(BODY), "checksum": md5(BODY), "licence": "CC0-1.0",
            "retrieved": datetime.now(UTC).date().isoformat(),
        }  # fmt: skip
        assert server.requests[0].headers["User-Agent"].startswith("equidyn/0.")
        assert "(+https://" in server.requests[0].headers["User-Agent"]
        assert server.requests[0].headers["Accept-Encoding"] == "identity"

    def test_receipt_says_that_no_checksum_is_published(self, entry, path):
        assert fetch(changed(entry, checksum="", bytes=None), path).checksum == "none published"

    def test_sha256_is_compared_too(self, entry, path):
        assert fetch(changed(entry, checksum=f"sha256:{sha256(BODY)}"), path).checksum == f"sha256:{sha256(BODY)}"
        path.unlink()
        with pytest.raises(DownloadError, match=f"found sha256 {sha256(BODY)}, expected {sha256(OTHER)}"):
            fetch(changed(entry, checksum=f"sha256:{sha256(OTHER)}"), path)

    @pytest.mark.parametrize("known", [True, False], ids=["checksum", "no checksum"])
    @pytest.mark.parametrize(
        "behaviour",
        [
            standin.cut(100_000),
            standin.cut(0),
            standin.cut(100_000, ranges=False),
            standin.stall(70_000),
            standin.status(500),
            standin.status(503, HTML, Content_Type="text/html"),
            standin.status(429, Retry_After="0"),
            standin.status(408),
            standin.status(200, HTML, Content_Type="text/html"),
            standin.other(lambda body: b"<a>\n" + body[4:]),
            standin.status(416),
            standin.status(206, BODY[5:], Content_Range="bytes 5-9/10"),
        ],
        ids=[
            "cut", "cut before the first byte", "cut, no ranges", "stalled", "500", "503", "429", "408", "a page",
            "a page of the same size", "416", "206 unasked",
        ],
    )  # fmt: skip
    def test_arrives_in_the_end(self, server, entry, path, behaviour, known):
        server.on(NAME, behaviour, times=2)
        entry = changed(entry, bytes=None) if known else changed(entry, bytes=None, checksum="")
        fetch(entry, path, timeout=0.3)
        assert_whole(path)
        assert len(server.requests) == 3

    @pytest.mark.parametrize(
        "behaviour",
        [standin.whole, standin.lengthless, standin.only_for("equidyn/")],
        ids=["no ranges", "no length", "403 to others"],
    )
    def test_arrives_at_once(self, server, entry, path, behaviour):
        server.on(NAME, behaviour)
        fetch(entry, path)
        assert_whole(path)
        assert len(server.requests) == 1

    def test_follows_a_redirection(self, server, entry, path):
        server.on("elsewhere", standin.status(303, Location=f"/{NAME}"))
        receipt = fetch(changed(entry, urls=(f"{server.url}/elsewhere",)), path)
        assert_whole(path)
        assert receipt.url.endswith("/elsewhere")

    @pytest.mark.parametrize("target", ["file:///etc/passwd", "ftp://127.0.0.1/x", "gopher://127.0.0.1/x"])
    def test_does_not_follow_a_redirection_out_of_the_web(self, server, entry, path, target):
        server.on("elsewhere", standin.status(302, Location=target))
        with pytest.raises(DownloadError, match=rf"a redirection to {target}, expected one within the web") as caught:
            fetch(changed(entry, urls=(f"{server.url}/elsewhere",)), path)
        assert "refused" in str(caught.value)
        assert server.paths() == ["elsewhere"]
        assert not path.exists()

    @pytest.mark.parametrize("known", [True, False])
    def test_does_not_follow_a_mirror_to_another_host(self, server, entry, path, known, caplog):
        """But goes on to the registry's own places, one of which may redirect there."""
        there = f"{server.url.replace('127.0.0.1', 'localhost')}/{NAME}"
        assert there not in entry.urls
        name = f"mirror/{entry.path.as_posix()}"
        server.on(name, standin.status(302, Location=there))
        server.on("elsewhere", standin.status(302, Location=there if known else "file:///etc/passwd"))
        registered = changed(entry, urls=(f"{server.url}/elsewhere",))
        if known:
            assert fetch(registered, path, mirror=f"{server.url}/mirror").url == f"{server.url}/elsewhere"
            assert f"a redirection to {there}, expected one within a mirror's own host" in caplog.text
        else:
            with pytest.raises(DownloadError, match=r"(?s)a mirror's own host by http or https.*to file:///etc/passwd"):
                fetch(registered, path, mirror=f"{server.url}/mirror")
            assert server.paths() == [name, "elsewhere"]

    @pytest.mark.parametrize(
        ("url", "target", "host", "refused"),
        [
            ("https://a.org/x", "http://a.org/y", None, True),
            ("https://a.org/x", "https://b.org/y", None, False),
            ("https://a.org/x", "https://b.org/y", "a.org", True),
            ("https://a.org/x", "https://a.org:8443/y", "a.org", False),
            ("https://a.org/x", "//b.org/y", "a.org", True),
            ("https://a.org/x", "/y", "a.org", False),
            ("http://a.org/x", "https://a.org/y", "a.org", False),
            ("http://a.org/x", "http://a.org.evil.org/y", "a.org", True),
            ("http://a.org/x", "file:///y", None, True),
        ],
    )
    def test_redirections_keep_to_https_and_a_mirror_s_host(self, url, target, host, refused):
        import requests

        response = requests.Response()
        response.url, response.status_code, response.headers["Location"] = url, 302, target
        response.raw = io.BytesIO()
        if refused:
            with pytest.raises(download._RefusedError, match="found a redirection to"):
                download._check_redirection(response, host=host)
        else:
            download._check_redirection(response, host=host)

    def test_a_redirection_is_asked_again_when_resuming(self, server, entry, path):
        server.on("elsewhere", standin.status(303, Location=f"/{NAME}"))
        server.on(NAME, standin.cut(100_000), times=1)
        fetch(changed(entry, urls=(f"{server.url}/elsewhere",)), path)
        assert_whole(path)
        assert server.paths() == ["elsewhere", NAME] * 2
        assert server.ranges()[-1] == "bytes=100000-"

    @pytest.mark.parametrize(
        ("behaviour", "expected"),
        [
            (standin.status(404), r"found status 404 \(Not Found\), expected 200"),
            (standin.status(403), "found status 403"),
            (standin.status(202), "found status 202"),
            (standin.status(204), "found status 204"),
            (standin.status(200, b""), "found 0 bytes"),
            (standin.status(200, b"short\n"), f"found 6 bytes .*, expected {len(BODY)}"),
            (standin.status(429, Retry_After="86400"), "found status 429.*come back after 86400 s"),
            (standin.wrong_byte(77), f"found md5 [0-9a-f]{{32}}, expected {md5(BODY)[4:]}"),
            (standin.other(lambda body: body, Content_Encoding="gzip"), "found content encoding gzip"),
        ],
        ids=["404", "403", "202", "204", "empty", "short", "429 for long", "wrong byte", "encoded"],
    )
    def test_is_asked_for_once_where_asking_again_is_useless(self, server, entry, path, behaviour, expected):
        server.on(NAME, behaviour)
        with pytest.raises(DownloadError, match=rf"set 1, numbers\.txt: .*\n  {entry.urls[0]}: {expected}"):
            fetch(entry, path)
        assert files(path.parent) == []
        assert len(server.requests) == 1

    @pytest.mark.parametrize(
        ("behaviour", "expected"),
        [
            (standin.status(500), r"found status 500 \(Internal"),
            (standin.other(lambda body: HTML.ljust(len(body))), r"found b'<!DOCTYPE html>.*expected text that is"),
            (standin.cut(0), "found ProtocolError .* after 0 bytes"),
            (standin.stall(0), "found ReadTimeoutError .* after 0 bytes"),
            (standin.cut(1000, ranges=False), "found ProtocolError .* after 1000 bytes"),
            (standin.status(200), "found 0 bytes, expected a file"),
        ],
        ids=["500", "a page", "cut", "stalled", "cut again and again", "empty"],
    )
    def test_is_given_up_after_some_attempts(self, server, entry, path, behaviour, expected):
        server.on(NAME, behaviour)
        with pytest.raises(DownloadError, match=rf"\n  {entry.urls[0]}: {expected}") as caught:
            fetch(changed(entry, bytes=None), path, attempts=3, timeout=0.2)
        assert not path.exists()
        assert "set downloads.mirror to a folder or URL that holds set/1/numbers.txt" in str(caught.value)
        assert f"put the file at {path} by hand" in str(caught.value)
        # What was cut brought more in the first round of attempts, and was given another.
        assert len(server.requests) == (6 if "1000" in expected else 3)

    def test_error_of_a_host_that_is_not_there(self, entry, path):
        with pytest.raises(DownloadError, match=r"http://127\.0\.0\.1:9/none: found ConnectionError .*refused"):
            fetch(changed(entry, urls=("http://127.0.0.1:9/none",)), path, attempts=2)

    def test_waits_as_long_as_asked(self, server, entry, path, monkeypatch):
        monkeypatch.setattr(download, "_FIRST_WAIT", 3600.0)
        monkeypatch.setattr(download, "_LONGEST_WAIT", 3600.0)
        past = format_datetime(datetime.now(UTC) - timedelta(minutes=1))
        server.on(NAME, standin.status(429, Retry_After="0"), times=1)
        server.on(NAME, standin.status(503, Retry_After=past), times=1)
        fetch(entry, path)
        assert_whole(path)

    @pytest.mark.parametrize(("value", "seconds"), [("7", 7), ("", None), ("soon", None)])
    def test_reads_what_it_is_asked_to_wait(self, value, seconds):
        assert download._asked_wait(value) == seconds

    def test_reads_dates_to_wait_for(self):
        later = format_datetime(datetime.now(UTC) + timedelta(seconds=100))
        assert 50 < download._asked_wait(later) <= 100

    def test_a_template_is_refused(self, entry, path):
        with pytest.raises(ValueError, match="use download_entries"):
            fetch(changed(entry, file="{id}.txt"), path)


class TestResuming:
    """A file that does not come in one go."""

    def test_goes_on_where_it_was(self, server, entry, path):
        server.on(NAME, standin.cut(100_000), times=2)
        fetch(entry, path)
        assert_whole(path)
        assert server.ranges() == [None, "bytes=100000-", "bytes=200000-"]
        assert server.requests[1].headers["If-Range"] == standin.tag(BODY)

    def test_goes_on_by_date_where_there_is_no_tag(self, server, entry, path):
        date = "Mon, 02 Nov 2026 10:00:00 GMT"
        server.put(NAME, BODY, last_modified=date)
        server.on(NAME, standin.cut(100_000), times=1)
        fetch(changed(entry, checksum=""), path)
        assert_whole(path)
        assert server.requests[1].headers["If-Range"] == date
        assert server.ranges() == [None, "bytes=100000-"]

    def test_a_weak_tag_is_no_promise(self, server, entry, path):
        server.put(NAME, BODY, etag=f"W/{standin.tag(BODY)}")
        server.on(NAME, standin.cut(100_000), times=1)
        fetch(changed(entry, checksum=""), path)
        assert_whole(path)
        assert server.ranges() == [None, None]

    def test_starts_over_without_marks_and_checksum(self, server, entry, path):
        server.put(NAME, BODY, etag=None)
        server.on(NAME, standin.cut(100_000), times=1)
        fetch(changed(entry, checksum=""), path)
        assert_whole(path)
        assert server.ranges() == [None, None]

    def test_goes_on_without_marks_where_there_is_a_checksum(self, server, entry, path):
        server.put(NAME, BODY, etag=None)
        server.on(NAME, standin.cut(100_000), times=1)
        fetch(entry, path)
        assert_whole(path)
        assert server.ranges() == [None, "bytes=100000-"]

    @pytest.mark.parametrize("new", [OTHER, OTHER[:-8], BODY + b"more\n"], ids=["same size", "shorter", "longer"])
    def test_starts_over_when_the_file_changed(self, server, entry, path, new):
        server.on(NAME, standin.then(standin.cut(100_000), lambda: server.put(NAME, new)), times=1)
        fetch(changed(entry, checksum="", bytes=None), path)
        assert_whole(path, new)

    @pytest.mark.parametrize("new", [OTHER, OTHER[:-8], OTHER[:8000]], ids=["same size", "shorter", "than the part"])
    def test_starts_over_when_the_file_changed_without_marks(self, server, entry, path, new):
        server.put(NAME, BODY, etag=None)
        server.on(NAME, standin.then(standin.cut(100_000), lambda: server.put(NAME, new, etag=None)), times=1)
        fetch(changed(entry, checksum=md5(new), bytes=None), path)
        assert_whole(path, new)

    @pytest.mark.parametrize(
        "answer",
        [
            {"Content_Range": f"bytes 0-{len(BODY) - 100_001}/{len(BODY)}"},
            {"Content_Range": f"bytes 100000-{len(BODY) - 1}/{len(BODY) + 1}"},
            {"Content_Range": f"bytes 100000-{len(BODY) - 1}/*"},
            {"Content_Range": f"bytes 100000-{len(BODY) - 1}/{len(BODY)}", "ETag": '"another"'},
            {},
        ],
        ids=["other start", "other size", "no size", "other tag", "no range"],
    )
    def test_appends_nothing_but_what_belongs_there(self, server, entry, path, answer):
        server.on(NAME, standin.cut(100_000), times=1)
        server.on(NAME, standin.status(206, OTHER[: len(BODY) - 100_000], **answer), times=1)
        fetch(changed(entry, checksum="", bytes=None), path)
        assert_whole(path)
        assert server.ranges() == [None, "bytes=100000-", None]

    def test_a_wrong_byte_in_the_first_part_starts_it_over(self, server, entry, path):
        server.on(NAME, standin.wrong_beginning(100_000), times=1)
        fetch(entry, path)
        assert_whole(path)
        assert server.ranges() == [None, "bytes=100000-", None]

    def test_cuts_are_no_obstacle_while_more_arrives(self, server, entry, path):
        server.on(NAME, standin.cut(20_000))
        fetch(entry, path, attempts=2)
        assert_whole(path)
        assert len(server.requests) == 16

    def test_goes_on_in_another_call(self, server, entry, path):
        server.on(NAME, standin.cut(100_000), times=1)
        server.on(NAME, standin.status(500), times=1)
        with pytest.raises(DownloadError, match="500"):
            fetch(entry, path, attempts=1)
        assert files(path.parent) == ["numbers.txt.part", "numbers.txt.part.json"]
        fetch(entry, path)
        assert_whole(path)
        assert server.ranges()[-1] == "bytes=100000-"

    @pytest.mark.parametrize(
        "spoil",
        [
            lambda part: part.with_name(part.name + ".json").unlink(),
            lambda part: part.with_name(part.name + ".json").write_text("{"),
            lambda part: part.write_bytes(BODY + b"too much"),
            lambda part: part.write_bytes(b"x" * 100_000),
            lambda part: part.write_bytes(b""),
        ],
        ids=["no beginning", "broken beginning", "too long", "wrong bytes", "empty"],
    )
    def test_a_spoiled_part_does_no_harm(self, server, entry, path, spoil):
        server.on(NAME, standin.cut(100_000), times=1)
        server.on(NAME, standin.status(403), times=1)
        with pytest.raises(DownloadError, match="403"):
            fetch(entry, path)
        spoil(path.with_name("numbers.txt.part"))
        fetch(entry, path)
        assert_whole(path)

    def test_a_part_that_is_whole_is_not_fetched_again(self, server, entry, path):
        path.parent.mkdir(parents=True)
        path.with_name("numbers.txt.part").write_bytes(BODY)
        beginning = {"url": entry.urls[0], "etag": standin.tag(BODY), "last_modified": None, "total": len(BODY)}
        path.with_name("numbers.txt.part.json").write_text(json.dumps(beginning))
        fetch(entry, path)
        assert_whole(path)
        assert server.requests == []

    def test_goes_on_after_the_process_was_killed(self, server, entry, path):
        server.on(NAME, standin.slow(10_000, 0.02), times=1)
        code = (
            "from equidyn.data.download import download_file\n"
            "from equidyn.data.download_registry import PublishedFile\n"
            f"download_file({entry!r}, {str(path)!r}, progress=False)"
        )
        process = subprocess.Popen([sys.executable, "-c", code])
        part = path.with_name("numbers.txt.part")
        while not part.exists() or part.stat().st_size < 70_000:
            assert process.poll() is None, "ended before it was killed"
            time.sleep(0.005)
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert not path.exists()
        kept = part.stat().st_size
        assert 70_000 <= kept < len(BODY)
        fetch(entry, path)
        assert_whole(path)
        assert server.ranges() == [None, f"bytes={kept}-"]


class TestPlaces:
    """Several places of one file."""

    def test_are_tried_in_order(self, server, entry, path):
        receipt = fetch(changed(entry, urls=(f"{server.url}/gone", *entry.urls)), path)
        assert_whole(path)
        assert receipt.url == entry.urls[0]
        assert server.paths() == ["gone", NAME]

    def test_are_all_named_in_the_error(self, server, entry, path):
        server.on("full", standin.status(503))
        urls = (f"{server.url}/gone", f"{server.url}/full")
        with pytest.raises(DownloadError, match=rf"\n  {urls[0]}: found status 404.*\n  {urls[1]}: found status 503"):
            fetch(changed(entry, urls=urls), path)

    @pytest.mark.parametrize(("known", "ranges"), [(True, "bytes=100000-"), (False, None)])
    def test_the_next_goes_on_only_if_a_checksum_vouches_for_the_whole(self, server, entry, path, known, ranges):
        server.put("copy", BODY, etag='"a tag of its own"')
        server.on(NAME, standin.cut(100_000), times=1)
        server.on(NAME, standin.status(403))
        entry = changed(entry, urls=(*entry.urls, f"{server.url}/copy"), checksum=entry.checksum * known)
        fetch(entry, path)
        assert_whole(path)
        assert server.ranges()[-1] == ranges
        assert "If-Range" not in server.requests[-1].headers

    def test_a_mirror_comes_first(self, server, entry, path):
        server.put(f"mirror/{NAME}", BODY)
        assert fetch(entry, path, mirror=f"{server.url}/mirror/").url == f"{server.url}/mirror/{NAME}"
        assert_whole(path)
        assert server.paths() == [f"mirror/{NAME}"]

    @pytest.mark.parametrize("behaviour", [standin.status(404), standin.wrong_byte(3)], ids=["missing", "wrong"])
    def test_after_a_mirror_come_the_registry_s(self, server, entry, path, behaviour):
        server.put(f"mirror/{NAME}", BODY)
        server.on(f"mirror/{NAME}", behaviour)
        assert fetch(entry, path, mirror=f"{server.url}/mirror").url == entry.urls[0]
        assert_whole(path)

    def test_an_empty_mirror_is_none(self, entry, path):
        assert fetch(entry, path, mirror="").url == entry.urls[0]

    @pytest.fixture
    def folder(self, tmp_path):
        file = tmp_path / "mirror" / NAME
        file.parent.mkdir(parents=True)
        file.write_bytes(BODY)
        return tmp_path / "mirror"

    def test_a_folder_is_copied_from_without_the_network(self, server, entry, path, folder, tmp_path):
        path = tmp_path / "downloads" / NAME
        receipt = fetch(entry, path, mirror=folder)
        assert_whole(path)
        assert receipt.url == str(folder / NAME)
        assert (folder / NAME).read_bytes() == BODY
        assert server.requests == []

    @pytest.mark.parametrize(
        ("content", "expected"),
        [
            (None, "found no such file in the mirror: put it there"),
            (b"", "found 0 bytes"),
            (BODY[:-1], f"found {len(BODY) - 1} bytes, expected {len(BODY)}"),
            (HTML.ljust(len(BODY)), "found b'<!DOCTYPE html>"),
            (OTHER.ljust(len(BODY)), "found md5"),
        ],
        ids=["missing", "empty", "short", "a page", "wrong bytes"],
    )
    def test_a_wrong_folder_is_an_error(self, server, entry, path, folder, content, expected, tmp_path):
        path = tmp_path / "downloads" / NAME
        if content is None:
            (folder / NAME).unlink()
        else:
            (folder / NAME).write_bytes(content)
        with pytest.raises(DownloadError, match=rf"\n  {folder / NAME}: {expected}"):
            fetch(entry, path, mirror=folder)
        assert files(tmp_path / "downloads") == []
        assert server.requests == []


class TestPresent:
    """A file that is there already."""

    def test_is_not_fetched_again(self, server, entry, path):
        first = fetch(entry, path)
        written = receipt_path(path).stat().st_mtime_ns
        assert fetch(entry, path) == first
        assert receipt_path(path).stat().st_mtime_ns == written
        assert len(server.requests) == 1

    @pytest.mark.parametrize("receipt", [None, "{", "[1]", '{"dataset": "set"}'])
    def test_without_a_receipt_gets_one(self, server, entry, path, receipt):
        path.parent.mkdir(parents=True)
        path.write_bytes(BODY)
        if receipt:
            receipt_path(path).write_text(receipt)
        assert fetch(entry, path).url == ""
        assert json.loads(receipt_path(path).read_text())["sha256"] == sha256(BODY)
        assert server.requests == []

    @pytest.mark.parametrize("content", [b"", BODY[:-1], HTML, OTHER.ljust(len(BODY))])
    def test_put_there_by_hand_and_wrong_is_an_error(self, server, entry, path, content):
        path.parent.mkdir(parents=True)
        path.write_bytes(content)
        with pytest.raises(DownloadError, match=r"numbers\.txt: was there already: found .*expected .*Delete it"):
            fetch(entry, path)
        assert path.read_bytes() == content
        assert server.requests == []

    def test_damaged_since_is_fetched_again(self, server, entry, path, caplog):
        first = fetch(changed(entry, checksum=""), path)
        path.write_bytes(BODY[:-1] + b"x")
        assert fetch(changed(entry, checksum=""), path) == first
        assert_whole(path)
        assert "damaged since it was downloaded" in caplog.text

    def test_damaged_since_and_gone_elsewhere_leaves_nothing(self, server, entry, path):
        fetch(entry, path)
        path.write_bytes(BODY[:-1])
        server.on(NAME, standin.status(404))
        with pytest.raises(DownloadError, match="404"):
            fetch(entry, path)
        assert files(path.parent) == []

    def test_is_compared_with_a_checksum_that_the_registry_did_not_have(self, server, entry, path):
        first = fetch(changed(entry, checksum=""), path)
        assert fetch(entry, path) == replace(first, checksum=md5(BODY))
        with pytest.raises(DownloadError, match="was there already: found md5"):
            fetch(changed(entry, checksum=md5(OTHER)), path)
        assert path.read_bytes() == BODY
        assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("name", "right", "wrong"),
    [
        ("a.txt", b"101m\tprot\n", b" \n<html>"),
        ("a.idx", b"\xef\xbb\xbfHEADER", b"\xef\xbb\xbf<?xml"),
        ("a.cif.gz", gzip.compress(b"data_", mtime=0), b"data_"),
        ("a.tar.gz", gzip.compress(b"a", mtime=0), b"PK\x03\x04"),
        ("a.tar.gz", b"name".ljust(257, b"\0") + b"ustar\x0000", b"name".ljust(300, b"\0")),
        ("a.hdf5", b"\x89HDF\r\n\x1a\n\0", b"\x89HDF truncated"),
        ("a.zip", b"PK\x03\x04", b"\x1f\x8b"),
        ("a.pickle", b"\x80\x04\x95", b"<html>"),
    ],
)
def test_forms_are_told_by_their_first_bytes(tmp_path, name, right, wrong):
    with standin.serve({"right": right, "wrong": wrong}) as server:
        entry = published_file(
            "set", "1", name, (f"{server.url}/wrong", f"{server.url}/right"), None, "", "MIT", "2026-11"
        )
        assert fetch(entry, tmp_path / name, attempts=1).url == f"{server.url}/right"
        assert (tmp_path / name).read_bytes() == right
        with pytest.raises(DownloadError, match="at the beginning, expected"):
            fetch(changed(entry, urls=entry.urls[:1]), tmp_path / "other" / name, attempts=1)
    assert files(tmp_path) == [name, f"{name}.json"]


def test_content_that_the_server_calls_encoded_is_kept_as_it_is(tmp_path):
    body = gzip.compress(b"some text")
    with standin.serve({"a.txt.gz": body}) as server:
        server.on("a.txt.gz", standin.other(lambda body: body, Content_Encoding="gzip"))
        fetch(
            published_file("s", "1", "a.txt.gz", (f"{server.url}/a.txt.gz",), None, "", "MIT", "2026-11"),
            tmp_path / "a.txt.gz",
        )
    assert (tmp_path / "a.txt.gz").read_bytes() == body


def test_a_served_folder_is_a_mirror(tmp_path):
    file = tmp_path / "mirror" / NAME
    file.parent.mkdir(parents=True)
    file.write_bytes(BODY)
    with standin.serve(tmp_path / "mirror") as server:
        entry = published_file("set", "1", "numbers.txt", ("http://127.0.0.1:9/none",), None, "", "MIT", "2026-11")
        fetch(entry, tmp_path / "numbers.txt", mirror=server.url)
        assert (tmp_path / "numbers.txt").read_bytes() == BODY
        with pytest.raises(DownloadError, match="404"):
            fetch(changed(entry, file="../../secret.txt"), tmp_path / "none.txt", mirror=server.url, attempts=1)


class TestEntries:
    """Many small files."""

    IDS = tuple(f"{number}a{middle}c" for number in range(1, 10) for middle in "bcde")

    @pytest.fixture
    def contents(self):
        return {id: gzip.compress(f"data_{id.upper()}\n".encode() * 50, mtime=0) for id in self.IDS}

    @pytest.fixture
    def many(self, contents):
        with standin.serve({f"files/{id}.cif.gz": body for id, body in contents.items()}) as running:
            yield running

    @pytest.fixture
    def template(self, many):
        return published_file(
            "pdb", "current", "{id}.cif.gz", (f"{many.url}/files/{{id}}.cif.gz",), None, "", "CC0", "2026-11"
        )

    @staticmethod
    def check(path, id):
        if not gzip.decompress(path.read_bytes()).startswith(f"data_{id.upper()}\n".encode()):
            raise ValueError(f"found another entry, expected {id}")

    def fetch(self, template, ids, folder, **settings):
        settings = {"attempts": 3, "timeout": 5.0, "progress": False, "check": self.check} | settings
        return download_entries(template, ids, folder, **settings)

    @pytest.mark.parametrize("connections", [1, 4])
    def test_arrive_in_folders_of_their_middle_characters(self, template, contents, tmp_path, connections):
        rows = self.fetch(template, [*reversed(self.IDS), self.IDS[0]], tmp_path, connections=connections)
        assert rows == [EntryFile(id, "ok", len(body), sha256(body)) for id, body in sorted(contents.items())]
        found = {str(file.relative_to(tmp_path)): file.read_bytes() for file in tmp_path.rglob("*.*")}
        assert found == {f"{id[1:3]}/{id}.cif.gz": body for id, body in contents.items()}

    def test_with_long_ids(self, many, template, tmp_path):
        many.put("files/pdb_00001abc.cif.gz", gzip.compress(b"data_PDB_00001ABC\n"))
        self.fetch(template, ["pdb_00001abc"], tmp_path)
        assert (tmp_path / "00" / "pdb_00001abc.cif.gz").exists()

    def test_at_most_as_many_at_a_time_as_connections(self, template, many, tmp_path):
        running, most = set(), []

        def check(path, id):
            running.add(id)
            most.append(len(running))
            time.sleep(0.002)
            running.discard(id)

        self.fetch(template, self.IDS, tmp_path, connections=3, check=check)
        assert 1 <= max(most) <= 3

    def test_that_are_there_are_kept(self, template, many, tmp_path):
        first = self.fetch(template, self.IDS[:20], tmp_path)
        assert set(first) < set(self.fetch(template, self.IDS, tmp_path))
        assert sorted(many.paths()) == sorted(f"files/{id}.cif.gz" for id in self.IDS), "each is fetched once"

    @pytest.mark.parametrize("damage", [b"", b"<html>", gzip.compress(b"data_OTHER\n")], ids=["empty", "page", "other"])
    def test_that_are_there_and_wrong_are_fetched_again(self, template, many, contents, tmp_path, damage):
        id = self.IDS[3]
        file = tmp_path / id[1:3] / f"{id}.cif.gz"
        file.parent.mkdir()
        file.write_bytes(damage)
        file.with_name(f".part-{id}.cif.gz").write_bytes(b"left by a process that was killed")
        self.fetch(template, [id], tmp_path)
        assert file.read_bytes() == contents[id]
        assert files(tmp_path) == [file.name]

    @pytest.mark.parametrize(
        "behaviour",
        [
            standin.cut(20),
            standin.status(503, HTML),
            standin.status(200, HTML),
            standin.status(200, gzip.compress(b"data_OTHER\n")),
        ],
        ids=["cut", "503", "page", "another entry"],
    )
    def test_with_a_bad_moment_arrive(self, template, many, contents, tmp_path, behaviour):
        many.on(f"files/{self.IDS[5]}.cif.gz", behaviour, times=2)
        rows = self.fetch(template, self.IDS, tmp_path)
        assert [(row.id, row.sha256) for row in rows] == [(id, sha256(contents[id])) for id in sorted(self.IDS)]

    def test_that_are_gone_are_rows(self, template, many, tmp_path, caplog):
        many.on(f"files/{self.IDS[7]}.cif.gz", standin.status(404))
        caplog.set_level("INFO")
        rows = {row.id: row for row in self.fetch(template, self.IDS, tmp_path)}
        assert rows.pop(self.IDS[7]) == EntryFile(self.IDS[7], "missing", 0, "")
        assert {row.status for row in rows.values()} == {"ok"}
        assert f"{self.IDS[7]}.cif.gz: no place has it" in caplog.text

    def test_too_many_gone_is_an_error(self, template, many, tmp_path):
        for id in self.IDS[1::2]:
            many.on(f"files/{id}.cif.gz", standin.status(404))
        with pytest.raises(
            DownloadError, match=r"pdb current: 2 of the first \d+ files, of 36 in all, are missing; .*5%"
        ):
            self.fetch(template, self.IDS, tmp_path)

    def test_a_hard_failure_stops_the_rest_and_keeps_what_is_finished(self, template, many, contents, tmp_path):
        bad = sorted(self.IDS)[10]
        many.on(f"files/{bad}.cif.gz", standin.status(403))
        with pytest.raises(DownloadError, match=rf"{bad}\.cif\.gz: no place .*\n.*{bad}\.cif\.gz: found status 403"):
            self.fetch(template, self.IDS, tmp_path, connections=2)
        assert len(many.requests) < len(self.IDS)
        kept = list(tmp_path.rglob("*.cif.gz"))
        assert len(kept) >= 9
        assert all(file.read_bytes() == contents[file.name.partition(".")[0]] for file in kept)

    def test_a_failing_check_is_an_error_in_the_end(self, template, many, tmp_path):
        bad = self.IDS[0]
        many.put(f"files/{bad}.cif.gz", gzip.compress(b"data_OTHER\n"))
        with pytest.raises(DownloadError, match=f"found another entry, expected {bad}"):
            self.fetch(template, [bad], tmp_path)
        assert files(tmp_path) == []
        assert len(many.requests) == 3

    def test_cut_again_and_again_leave_nothing(self, template, many, tmp_path):
        many.on(f"files/{self.IDS[0]}.cif.gz", standin.cut(20))
        with pytest.raises(DownloadError, match="found ProtocolError"):
            self.fetch(template, self.IDS[:1], tmp_path)
        assert files(tmp_path) == []
        assert many.ranges() == [None] * 3

    def test_leave_nothing_but_themselves_when_killed(self, template, many, contents, tmp_path):
        id = self.IDS[0]
        many.on(f"files/{id}.cif.gz", standin.stall(20), times=1)
        code = (
            "from equidyn.data.download import download_entries\n"
            "from equidyn.data.download_registry import PublishedFile\n"
            f"download_entries({template!r}, [{id!r}], {str(tmp_path)!r}, progress=False)"
        )
        process = subprocess.Popen([sys.executable, "-c", code])
        while not files(tmp_path):
            assert process.poll() is None, "ended before it was killed"
            time.sleep(0.005)
        process.kill()
        process.wait()
        assert files(tmp_path) == [f".part-{id}.cif.gz"]
        self.fetch(template, [id], tmp_path)
        assert files(tmp_path) == [f"{id}.cif.gz"]

    def test_lie_where_the_reader_of_the_protein_data_bank_looks(self, template, tmp_path):
        from equidyn.data.sources.pdb.build import entry_path

        self.fetch(template, self.IDS[:3], tmp_path)
        assert all(entry_path(tmp_path, id).exists() for id in self.IDS[:3])

    def test_a_hard_failure_does_not_wait_for_those_that_would_try_again(self, template, many, tmp_path, monkeypatch):
        monkeypatch.setattr(download, "_FIRST_WAIT", 3600.0)
        monkeypatch.setattr(download, "_LONGEST_WAIT", 3600.0)
        waits, fails = self.IDS[:2]
        url = f"files/{waits}.cif.gz"
        many.on(url, standin.status(500))

        def refuse(exchange, resource):
            while url not in many.paths():
                time.sleep(0.005)
            standin.status(403)(exchange, resource)

        many.on(f"files/{fails}.cif.gz", refuse)
        with pytest.raises(DownloadError, match=f"{fails}.*found status 403"):
            self.fetch(template, [waits, fails], tmp_path, connections=2)

    def test_are_begun_only_a_few_ahead(self):
        begun = []
        ids = (begun.append(number) or str(number) for number in range(1000))
        results = download._in_parallel(lambda id: id, ids, 3, threading.Event())
        next(results)
        assert len(begun) <= 7
        results.close()

    def test_from_a_folder(self, template, many, contents, tmp_path):
        folder = tmp_path / "mirror" / "pdb" / "current"
        folder.mkdir(parents=True)
        for id in self.IDS[:-1]:
            (folder / f"{id}.cif.gz").write_bytes(contents[id])
        rows = self.fetch(template, self.IDS, tmp_path / "entries", mirror=tmp_path / "mirror")
        assert [row.id for row in rows if row.status == "missing"] == [self.IDS[-1]]
        assert many.requests == []

    def test_from_a_mirror_first(self, template, many, contents, tmp_path):
        many.put(f"m/pdb/current/{self.IDS[0]}.cif.gz", contents[self.IDS[0]])
        self.fetch(template, self.IDS[:2], tmp_path, mirror=f"{many.url}/m", connections=1)
        assert many.paths() == [
            f"m/pdb/current/{self.IDS[0]}.cif.gz",
            f"m/pdb/current/{self.IDS[1]}.cif.gz",
            f"files/{self.IDS[1]}.cif.gz",
        ]

    @pytest.mark.parametrize("id", ["../x", "1ABC", "1", ""])
    def test_strange_ids_are_refused(self, template, tmp_path, id):
        with pytest.raises(ValueError, match="is not an id: expected at least 2 lower-case letters"):
            self.fetch(template, [id], tmp_path)

    def test_a_single_file_is_refused(self, template, tmp_path):
        with pytest.raises(ValueError, match="use download_file"):
            self.fetch(changed(template, file="a.txt"), ["1abc"], tmp_path)

    def test_become_a_table(self, tmp_path):
        write_entries([EntryFile("1e10", "ok", 5, "ab"), EntryFile("1abd", "missing", 0, "")], tmp_path / "entries.tsv")
        assert (tmp_path / "entries.tsv").read_text() == (
            "id\tstatus\tbytes\tsha256\n1e10\tok\t5\tab\n1abd\tmissing\t0\t\n"
        )
        assert files(tmp_path) == ["entries.tsv"]


def run_script(name, arguments):
    """Call the function `main` of a script of the workflow in a process of its own."""
    code = f"""
import sys
sys.path.insert(0, {str(ROOT / "workflow/scripts")!r})
from {name} import main
main({arguments})
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def registry_of(file, folder):
    """A registry that has one file."""
    cells = file.model_dump() | {"urls": " ".join(file.urls)}
    lines = [cells, ["" if cell is None else str(cell) for cell in cells.values()]]
    (folder / "registry.tsv").write_text("".join("\t".join(line) + "\n" for line in lines))
    return str(folder / "registry.tsv")


def test_the_script_of_a_file_leaves_it_beside_its_receipt(entry, path, tmp_path):
    receipt, log = str(receipt_path(path)), tmp_path / "log"
    place, downloads = (entry.dataset, entry.version, entry.file), {"registry": registry_of(entry, tmp_path)}
    run_script("download_file", f"{receipt!r}, {str(log)!r}, {place!r}, {downloads!r}")
    assert_whole(path)
    assert f"{len(BODY)} bytes from {entry.urls[0]}" in log.read_text()


def test_the_script_of_entries_checks_them(tmp_path):
    selection, output, folder = tmp_path / "selection.tsv", tmp_path / "entries.tsv", tmp_path / "entries"
    ids = [entry.name for entry in write_pdb(tmp_path / "bank", entries=4).entries.values() if entry.has_file]
    selection.write_text("entry\tchain\n" + "".join(f"{id}\t{chain}\n" for id in ids for chain in "AB"))
    url = "http://127.0.0.1:9/{id}.cif.gz"
    template = published_file("pdb", "current", "{id}.cif.gz", (url,), None, "", "CC0-1.0", "2026-11")
    with standin.serve(tmp_path / "bank") as server:
        server.on(f"pdb/current/{ids[0]}.cif.gz", standin.status(200, gzip.compress(b"data_OTHER\n")), times=1)
        downloads = {"registry": registry_of(template, tmp_path), "mirror": server.url, "connections": 2}
        told = {
            "template": [template.dataset, template.version, template.file],
            "check": "equidyn.data.sources.pdb.select:check_entry",
        }
        paths = ", ".join(repr(str(path)) for path in (selection, output, tmp_path / "log", folder))
        run_script("download_entries", f"{paths}, {told!r}, {downloads!r}")
        assert len(server.requests) == len(ids) + 1
    rows = [line.split("\t") for line in output.read_text().splitlines()]
    assert [row[:2] for row in rows] == [["id", "status"], *([id, "ok"] for id in sorted(ids))]
    bank = tmp_path / "bank" / "pdb" / "current"
    assert all(file.read_bytes() == (bank / file.name).read_bytes() for file in folder.rglob("*.gz"))
