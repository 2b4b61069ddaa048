"""Downloads against a server on this machine: cut connections, changed files, wrong contents, archives that mean harm."""

from __future__ import annotations

import hashlib
import http.server
import io
import stat
import subprocess
import sys
import threading
import zipfile

import pytest
import yaml

from lib.data import download as command
from lib.data import unpack
from lib.data.download import RECORD, download, main
from lib.data.downloads import FILES, STEPS, RemoteFile
from lib.data.fetch import FetchError, ResumingDownloader, file_hash
from lib.data.info import INFO
from lib.data.unpack import UnpackError, unpack_zip

CONTENT = bytes(i * 7 % 251 for i in range(100_000))


class Server(http.server.ThreadingHTTPServer):
    """Serves `files`; sends at most `cut` bytes of a body (read 16 KiB at a time), knows ranges (or not), counts requests."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.files, self.cut, self.ranges, self.etag, self.status, self.seen = {}, None, True, '"1"', None, []


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        server = self.server
        asked = self.headers.get("Range")
        server.seen.append(asked)
        if server.status or self.path not in server.files:
            self.send_error(server.status or 404)
            return
        body = server.files[self.path]
        start = 0
        if asked and server.ranges and self.headers.get("If-Range") == server.etag:
            start = int(asked.removeprefix("bytes=").removesuffix("-"))
            if start >= len(body):
                self.send_response(416)
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
        self.send_response(206 if start else 200)
        if server.etag:
            self.send_header("ETag", server.etag)
        self.send_header("Content-Length", str(len(body) - start))
        self.end_headers()
        self.wfile.write(body[start:] if server.cut is None else body[start:start + server.cut])

    def log_message(self, *_):
        pass


@pytest.fixture
def server():
    with Server() as running:
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        running.url = f"http://127.0.0.1:{running.server_address[1]}"
        yield running
        running.shutdown()


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch):
    monkeypatch.setattr("lib.data.fetch.time.sleep", lambda _: None)


def archive(**files):
    memory = io.BytesIO()
    with zipfile.ZipFile(memory, "w", zipfile.ZIP_DEFLATED) as opened:
        for name, content in files.items():
            opened.writestr(name.replace("--", "/"), content)
    return memory.getvalue()


def fetch(server, folder, **options):
    downloader = ResumingDownloader(folder / "x.part", pause=0, **options)
    downloader(f"{server.url}/x", str(folder / "x"))
    return downloader


# ── fetching ─────────────────────────────────────────────────────────────────────────────────────────────────────

def test_a_whole_file(server, tmp_path):
    server.files["/x"] = CONTENT
    steps = []
    fetch(server, tmp_path, progress=lambda done, total: steps.append((done, total)))
    assert (tmp_path / "x").read_bytes() == CONTENT and [path.name for path in tmp_path.iterdir()] == ["x"]
    assert steps[-1] == (len(CONTENT), len(CONTENT)) and server.seen == [None]


def test_a_connection_cut_again_and_again_costs_nothing(server, tmp_path):
    server.files["/x"], server.cut = CONTENT, 1 << 15
    fetch(server, tmp_path)
    assert (tmp_path / "x").read_bytes() == CONTENT
    assert server.seen == [None, "bytes=32768-", "bytes=65536-", "bytes=98304-"]


def test_a_second_run_goes_on_where_the_first_stopped(server, tmp_path):
    server.files["/x"], server.cut = CONTENT, 3 << 14
    with pytest.raises(FetchError, match="49,152 bytes have come and are kept, the same command goes on from there"):
        fetch(server, tmp_path, tries=1)
    assert (tmp_path / "x.part").read_bytes() == CONTENT[:3 << 14] and not (tmp_path / "x").exists()
    server.cut = None
    fetch(server, tmp_path)
    assert (tmp_path / "x").read_bytes() == CONTENT and server.seen[-1] == "bytes=49152-"


@pytest.mark.parametrize("how", ["changed", "no ranges", "no version", "too long"])
def test_an_old_beginning_is_dropped_where_it_may_not_fit(server, tmp_path, how):
    server.files["/x"] = CONTENT
    (tmp_path / "x.part").write_bytes(b"?" * (200_000 if how == "too long" else 50_000))
    (tmp_path / "x.part.tag").write_text('"0"' if how == "changed" else "" if how == "no version" else '"1"')
    server.ranges = how != "no ranges"
    fetch(server, tmp_path)
    assert (tmp_path / "x").read_bytes() == CONTENT


def test_a_server_without_versions_is_asked_for_everything_again(server, tmp_path):
    server.files["/x"], server.etag, server.cut = CONTENT, "", 60_000
    with pytest.raises(FetchError, match="stopped answering"):
        fetch(server, tmp_path, tries=2)
    assert server.seen == [None, None]


def test_errors_of_the_server(server, tmp_path):
    with pytest.raises(FetchError, match="answers 404 Not Found for http"):
        fetch(server, tmp_path)
    assert len(server.seen) == 1, "asking again does not help"
    server.status = 503
    with pytest.raises(FetchError, match="503"):
        fetch(server, tmp_path, tries=3)
    assert len(server.seen) == 4


# ── a data set ───────────────────────────────────────────────────────────────────────────────────────────────────

def files_of(server, **contents):
    server.files |= {f"/{name}": content for name, content in contents.items()}
    return contents


def run(server, root, *files, name="ham10000"):
    lines = []
    done = download(name, root, files=files, say=lines.append)
    return done, "\n".join(lines)


def sha256(content):
    return hashlib.sha256(content).hexdigest()


def test_table_and_archive(server, tmp_path):
    server.files = {"/t": b"image_id\n", "/z": archive(**{"a.jpg": b"AAA", "sub--b.jpg": b"BB", "__MACOSX--c.jpg": b"", ".DS_Store": b""})}
    table = RemoteFile("HAM10000_metadata.csv", f"{server.url}/t")
    images = RemoteFile("images.zip", f"{server.url}/z", "md5:" + hashlib.md5(server.files["/z"]).hexdigest(), into="part_1")
    done, said = run(server, tmp_path, table, images)
    folder = tmp_path / "ham10000"
    assert done and "CC BY-NC 4.0" in said and "Tschandl" in said
    assert said.count("no published hash is known for it") == 1 and f"recorded in {RECORD}" in said
    assert sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()) == [
        "HAM10000_metadata.csv", "downloads.yaml", "part_1/a.jpg", "part_1/sub/b.jpg"]
    record = yaml.safe_load((folder / RECORD).read_text())
    assert record["HAM10000_metadata.csv"] == {"url": table.url, "sha256": sha256(b"image_id\n"), "bytes": 9,
                                               "checked": "recorded on first download"}
    assert record["images.zip"]["unpacked"] == 2 and record["images.zip"]["checked"] == "against the published hash"
    asked = len(server.seen)
    done, said = run(server, tmp_path, table, images)
    assert done and len(server.seen) == asked, "nothing is fetched twice"
    assert "here already, unchanged" in said and "unpacked already" in said and "no published hash" not in said


def test_recorded_hash_is_compared_on_later_downloads(server, tmp_path):
    server.files = {"/t": b"old"}
    table = RemoteFile("HAM10000_metadata.csv", f"{server.url}/t")
    run(server, tmp_path, table)
    path = tmp_path / "ham10000" / table.name
    path.unlink()
    server.files["/t"] = b"new"
    with pytest.raises(FetchError, match=r"another content than expected \(sha256:.*deleted.*take the line out of"):
        run(server, tmp_path, table)
    assert not path.exists() and yaml.safe_load((path.parent / RECORD).read_text())[table.name]["sha256"] == sha256(b"old")
    path.write_bytes(b"edited by hand")
    with pytest.raises(FetchError, match="is not the file that is expected"):
        run(server, tmp_path, table)
    assert path.read_bytes() == b"edited by hand", "a file of the user's is never deleted"


def test_published_hash_that_does_not_match(server, tmp_path):
    server.files = {"/t": b"tampered"}
    with pytest.raises(FetchError, match="is not the published file"):
        run(server, tmp_path, RemoteFile("HAM10000_metadata.csv", f"{server.url}/t", "sha256:" + sha256(b"right")))
    assert list((tmp_path / "ham10000").iterdir()) == []


def test_a_file_fetched_by_hand_is_checked_and_unpacked(server, tmp_path):
    content = archive(**{"a.jpg": b"A"})
    (tmp_path / "ham10000").mkdir()
    (tmp_path / "ham10000" / "i.zip").write_bytes(content)
    done, said = run(server, tmp_path, RemoteFile("i.zip", f"{server.url}/none", "sha256:" + sha256(content)))
    assert not done and "here already, as published" in said and (tmp_path / "ham10000" / "a.jpg").read_bytes() == b"A"
    assert server.seen == []


def test_offline_names_the_address_and_the_place(tmp_path):
    file = RemoteFile("i.zip", "http://127.0.0.1:9/i.zip")
    with pytest.raises(FetchError) as caught:
        download("ham10000", tmp_path, files=(file,), say=lambda _: None)
    assert "127.0.0.1:9 cannot be reached" in str(caught.value) and "no connection" in str(caught.value)
    assert f"fetch {file.url} by hand, put it at {tmp_path / 'ham10000' / 'i.zip'}" in str(caught.value)


def test_a_record_that_is_none(tmp_path):
    (tmp_path / "ham10000").mkdir()
    (tmp_path / "ham10000" / RECORD).write_text("- a\n")
    with pytest.raises(FetchError, match="is not a record of downloads; delete it"):
        download("ham10000", tmp_path, files=(RemoteFile("x", "http://127.0.0.1:9/x"),), say=lambda _: None)


def test_unpacking_is_finished_by_the_next_run(server, tmp_path, monkeypatch):
    server.files = {"/z": archive(**{"a.jpg": b"AAA", "b.jpg": b"BB"})}
    images = RemoteFile("i.zip", f"{server.url}/z")
    with monkeypatch.context() as broken:
        broken.setattr(command, "unpack_zip", lambda *_, **__: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            run(server, tmp_path, images)
    (tmp_path / "ham10000" / "a.jpg").write_bytes(b"AAA")
    run(server, tmp_path, images)
    assert (tmp_path / "ham10000" / "b.jpg").read_bytes() == b"BB" and len(server.seen) == 1
    assert not (tmp_path / "ham10000" / "i.zip").exists()


# ── the command ──────────────────────────────────────────────────────────────────────────────────────────────────

def test_exit_statuses(tmp_path, capsys, monkeypatch):
    assert main(["ddi", "--to", str(tmp_path)]) == 1
    assert "Research Use Agreement" in capsys.readouterr().out
    (tmp_path / "ddi").mkdir()
    (tmp_path / "ddi" / "ddi_metadata.csv").write_text("x")
    assert main(["ddi", "--to", str(tmp_path)]) == 0
    monkeypatch.setattr(command, "FILES", {"ham10000": (RemoteFile("x", "http://127.0.0.1:9/x"),)})
    assert main(["ham10000", "--to", str(tmp_path)]) == 1
    assert "ham10000: 127.0.0.1:9 cannot be reached" in capsys.readouterr().err
    for name, said in (("ham1000", "did you mean ham10000"), ("phantom", "phantom is not fetched")):
        with pytest.raises(SystemExit) as stopped:
            main([name])
        assert stopped.value.code == 2 and said in capsys.readouterr().err


def test_data_root_is_where_files_go(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("DATA_ROOT", str(tmp_path))
    main(["bcn20000"])
    assert f"folder: {tmp_path / 'bcn20000'}" in capsys.readouterr().out


def test_help_loads_nothing_slow():
    code = ("import sys; from lib.data.download import main\ntry: main(['--help'])\nexcept SystemExit: pass\n"
            "sys.exit(any(name in sys.modules for name in ('pandas', 'numpy', 'requests', 'pooch', 'pydantic')))")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0 and "Exit status" in done.stdout


def test_the_registry_is_in_order():
    for name, files in FILES.items():
        assert name in INFO and len({file.name for file in files}) == len(files)
        for file in files:
            assert file.url.startswith("https://") and (file.hash is None or file.hash.partition(":")[0] in ("md5", "sha256"))
            assert file.hash is None or len(file.hash.partition(":")[2]) == {"md5": 32, "sha256": 64}[file.hash.partition(":")[0]]
    assert set(STEPS) <= set(INFO)


@pytest.mark.parametrize(("dataset", "name"), [("pad_ufes_20", "metadata.csv"), ("fitzpatrick17k", "fitzpatrick17k.csv")])
def test_real_files_have_the_hashes_of_the_registry(real_data, dataset, name):
    file = next(file for file in FILES[dataset] if file.name == name)
    algorithm, _, wanted = file.hash.partition(":")
    assert file_hash(real_data / INFO[dataset].folder / name, algorithm) == wanted


# ── archives ─────────────────────────────────────────────────────────────────────────────────────────────────────

def zip_at(path, **files):
    path.write_bytes(archive(**files))
    return path


@pytest.mark.parametrize("name", ["../evil.jpg", "/evil.jpg", "a/../../evil.jpg", "..\\evil.jpg", "C:\\evil.jpg"])
def test_paths_that_leave_the_folder(tmp_path, name):
    with zipfile.ZipFile(tmp_path / "z.zip", "w") as opened:
        opened.writestr("good.jpg", b"x")
        info = zipfile.ZipInfo("x")
        info.filename = name
        opened.writestr(info, b"x")
    with pytest.raises(UnpackError, match="nothing was unpacked"):
        unpack_zip(tmp_path / "z.zip", tmp_path / "out")
    assert not (tmp_path / "out").exists() and not (tmp_path / "evil.jpg").exists()


def test_links_in_the_archive_and_on_the_disk(tmp_path):
    with zipfile.ZipFile(tmp_path / "z.zip", "w") as opened:
        link = zipfile.ZipInfo("link")
        link.external_attr = (stat.S_IFLNK | 0o777) << 16
        opened.writestr(link, "/etc")
    with pytest.raises(UnpackError, match="link is a link"):
        unpack_zip(tmp_path / "z.zip", tmp_path / "out")
    (tmp_path / "out").mkdir()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "out" / "images").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(UnpackError, match=r"leads out of .* through a link"):
        unpack_zip(zip_at(tmp_path / "y.zip", **{"images--a": b"x"}), tmp_path / "out")
    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_bombs(tmp_path, monkeypatch):
    monkeypatch.setattr(unpack, "_FREE_GROWTH", 1_000)
    with pytest.raises(UnpackError, match="would become 10,000,000 in 1 files"):
        unpack_zip(zip_at(tmp_path / "z.zip", a=b"\0" * 10_000_000), tmp_path / "out")
    monkeypatch.setattr(unpack, "MOST_FILES", 2)
    with pytest.raises(UnpackError, match="in 3 files"):
        unpack_zip(zip_at(tmp_path / "y.zip", a=b"", b=b"", c=b""), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_files_that_are_there(tmp_path):
    (tmp_path / "a").write_bytes(b"mine, not the archive's")
    path = zip_at(tmp_path / "z.zip", a=b"A", b=b"B")
    with pytest.raises(UnpackError, match="is there already and is not the archive's file; move it away first"):
        unpack_zip(path, tmp_path)
    assert (tmp_path / "a").read_bytes().startswith(b"mine") and not (tmp_path / "b").exists()


def test_a_full_disk_is_noticed_before(tmp_path, monkeypatch):
    monkeypatch.setattr(unpack.shutil, "disk_usage", lambda _: type("Usage", (), {"free": 3}))
    with pytest.raises(UnpackError, match="needs 4 bytes, 3 are free"):
        unpack_zip(zip_at(tmp_path / "z.zip", a=b"AAAA"), tmp_path / "out" / "deep")


def test_damaged_archives(tmp_path):
    (tmp_path / "z.zip").write_bytes(b"PK no zip")
    with pytest.raises(UnpackError, match="not a readable zip"):
        unpack_zip(tmp_path / "z.zip", tmp_path / "out")
    with zipfile.ZipFile(tmp_path / "y.zip", "w") as opened:
        opened.writestr("a", b"A" * 1000)
    content = (tmp_path / "y.zip").read_bytes().replace(b"AAAA", b"AABA", 1)
    (tmp_path / "y.zip").write_bytes(content)
    with pytest.raises(UnpackError, match="not a readable zip"):
        unpack_zip(tmp_path / "y.zip", tmp_path / "out")
    assert not (tmp_path / "out" / "a").exists(), "a file appears under its name only when it is whole"
