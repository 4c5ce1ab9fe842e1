from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from nbhelpers.errors import DataError, StoreError, UserErrorException
from nbhelpers.local import sources
from nbhelpers.local.dataset import Dataset
from nbhelpers.local.store import open_store

read = Dataset.Tabular.from_delimited_files
TABLE = b"a,b\n1,x\n2,y\n"


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        if path == "/moved.csv":
            self.send_response(302)
            self.send_header("Location", "/table.csv")
            self.end_headers()
        elif path in ("/table.csv", "/page.html", "/empty.csv", "/cut.csv"):
            body = {"/page.html": b"<html><body>Sign in</body></html>", "/empty.csv": b""}.get(path, TABLE)
            self.send_response(200)
            self.send_header("Content-Length", str(len(body) + (path == "/cut.csv")))
            self.end_headers()
            self.wfile.write(body)
        elif path == "/endless.csv":  # no length is announced
            self.send_response(200)
            self.end_headers()
            self.wfile.write(TABLE * 100)
        else:
            self.send_error(404)

    def log_message(self, *_args: object) -> None:
        pass


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as httpd:
        threading.Thread(target=httpd.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{httpd.server_port}"
        httpd.shutdown()


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NBHELPERS_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


@pytest.mark.parametrize("page", ["table.csv", "moved.csv", "table.csv?token=secret"])
def test_a_url_is_downloaded(server, page):
    dataset = read(f"{server}/{page}")
    assert dataset.to_pandas_dataframe()["b"].tolist() == ["x", "y"]
    assert "secret" not in repr(dataset)


@pytest.mark.parametrize(
    ("page", "message"),
    [
        ("none.csv?token=secret", "none.csv could not be downloaded: the server answered 404"),
        ("page.html", "is a web page"),
        ("empty.csv", "is empty"),
        ("cut.csv", "could not be downloaded: RemoteProtocolError"),
    ],
)
def test_a_failed_download_is_named_and_leaves_nothing_behind(server, page, message):
    with pytest.raises(DataError, match=message) as caught:
        read(f"{server}/{page}")
    assert "secret" not in str(caught.value)
    assert list(open_store().data_folder.iterdir()) == []


@pytest.mark.parametrize("page", ["table.csv", "endless.csv"])
def test_a_download_beyond_the_limit_is_refused(server, page, monkeypatch):
    monkeypatch.setattr(sources, "MAX_BYTES", 5)
    with pytest.raises(DataError, match="larger than 5 bytes"):
        read(f"{server}/{page}")
    assert list(open_store().data_folder.iterdir()) == []


def test_no_server():
    with pytest.raises(DataError, match="could not be downloaded: ConnectError"):
        read("http://127.0.0.1:9/table.csv")


@pytest.mark.parametrize("url", ["ftp://host/table.csv", "s3://bucket/table.csv", "file:///etc/passwd"])
def test_other_schemes_are_refused(url):
    with pytest.raises(DataError, match="only http and https"):
        read(url)


def test_a_missing_file_names_the_nearest(tmp_path):
    (tmp_path / "bankmarketing.csv").write_bytes(TABLE)
    with pytest.raises(DataError, match=r"does not exist; did you mean '.*bankmarketing\.csv'"):
        read(tmp_path / "bankmarketting.csv")
    with pytest.raises(DataError, match="nor does its folder"):
        read(tmp_path / "none" / "x.csv")


def test_a_folder_and_a_device_are_refused(tmp_path):
    with pytest.raises(DataError, match="is a folder"):
        read(tmp_path)
    with pytest.raises(DataError, match="not a regular file"):
        read("/dev/null")


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="root may read every file")
def test_a_file_without_permission_is_refused(tmp_path):
    (tmp_path / "t.csv").write_bytes(TABLE)
    (tmp_path / "t.csv").chmod(0)
    with pytest.raises(DataError, match="Permission denied"):
        read(tmp_path / "t.csv")


@pytest.mark.parametrize("path", [None, "", [], [1], (object(), "folder/table.csv")])
def test_what_is_no_path_is_refused(path):
    with pytest.raises(UserErrorException, match="is not the path or URL of a file"):
        read(path)


def test_a_data_folder_that_cannot_be_written_is_named(tmp_path):
    open_store().data_folder.rmdir()
    open_store().data_folder.write_text("in the way")
    (tmp_path / "t.csv").write_bytes(TABLE)
    with pytest.raises(StoreError, match="could not be written"):
        read(tmp_path / "t.csv")


@pytest.mark.parametrize("url", ["http://[::1/x.csv", "http://127.0.0.1:99999/x.csv"])
def test_a_malformed_url_is_refused(url):
    with pytest.raises(DataError, match="The URL is malformed"):
        read(url)


def test_what_a_killed_process_left_is_removed_after_a_day(tmp_path):
    (tmp_path / "table.csv").write_bytes(TABLE)
    old, new = (open_store().data_folder / f".making-{name}" for name in ("old", "new"))
    for folder in (old, new):
        folder.mkdir()
        (folder / "download").write_bytes(TABLE)
    os.utime(old, (0, 0))
    read(tmp_path / "table.csv")
    assert (old.exists(), new.exists()) == (False, True)


@pytest.mark.parametrize(
    ("source", "parquet"),
    [
        ("a.parquet", True),
        ("folder/B.PQ", True),
        ("http://127.0.0.1/a.parquet?version=2#top", True),
        ("a.csv", False),
        ("http://127.0.0.1/a.csv?name=b.parquet", False),
        ("what?.parquet", True),
    ],
)
def test_a_parquet_file_is_told_by_the_end_of_its_path(source: str, parquet: bool) -> None:
    assert sources.is_parquet(source) is parquet
