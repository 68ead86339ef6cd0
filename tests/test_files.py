import dataclasses
import errno
import multiprocessing
import os
import pathlib
import socket
from typing import Any

import numpy as np
import pytest

from keras_selectscale import array_files, files, object_checks


@dataclasses.dataclass
class State:
    step: int
    rows: list[dict[str, Any]] = dataclasses.field(default_factory=list)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "damaged: Expecting value"),
        ("[1]", r"expected a JSON object, received \[1\]"),
        ('{"step": "x"}', "the field `step`: expected int, received 'x'"),
        ('{"step": null}', "the field `step`: expected int, received None"),
        ('{"step": 1, "rows": [{}, 1]}', r"the field `rows\[1\]`: expected object, received 1"),
        ('{"rows": []}', "the field `step` is missing"),
        ('{"step": 1, "more": 2}', "the field `more` is unknown"),
        ('{"rows": [{"a": 1, "a": 1}], "step": 1}', "the field `a` occurs twice"),
        ("[" * 200_000, "nested too deeply"),
        ("\udcff", "damaged"),
    ],
)
def test_a_damaged_json_file_is_named_with_its_field(tmp_path, text, expected):
    path = tmp_path / "state.json"
    path.write_bytes(text.encode("utf-8", "surrogateescape"))
    kind = None if text == "[1]" else State
    with pytest.raises(files.DamagedFileError, match=expected) as caught:
        files.read_json(path, kind)
    assert str(path) in str(caught.value)


def put(path, kind):
    if kind == "a pipe":
        os.mkfifo(path)
    elif kind == "a socket":
        with socket.socket(socket.AF_UNIX) as listening:
            listening.bind(str(path))
    elif kind == "a device":
        path.symlink_to(os.devnull)
    elif kind == "a folder":
        path.mkdir()
    else:
        with path.open("wb") as file:
            file.truncate(2**40)


@pytest.mark.parametrize("kind", ["a pipe", "a socket", "a device", "a folder", "it has 1,099,"])
@pytest.mark.parametrize("read", [files.read_json, array_files.read_arrays])
def test_what_never_ends_is_not_read(kind, read, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # The path of a socket is short.
    path = pathlib.Path("x")
    put(path, kind)
    expected = "zip file" if (kind, read) == ("it has 1,099,", array_files.read_arrays) else kind
    with pytest.raises(files.DamagedFileError, match=f"x is damaged: .*{expected}"):
        read(path)


def test_an_archive_is_as_large_as_it_says_when_it_is_read(tmp_path, monkeypatch):
    path = tmp_path / "x.npz"
    np.savez_compressed(path, zeros=np.zeros(2**20))
    monkeypatch.setattr(array_files, "machine_memory", lambda: 2**20)
    with pytest.raises(files.DamagedFileError, match="its entries have 8,388,736 bytes, more than"):
        array_files.read_arrays(path)


@pytest.mark.parametrize("kind", ["a pipe", "a socket", "a device"])
def test_only_a_file_is_replaced(kind, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = pathlib.Path("x")
    put(path, kind)
    with pytest.raises(OSError, match=f"x cannot be written: it is {kind}, not a file"):
        files.write_text(path, "text")
    assert not path.is_file() and list(pathlib.Path().iterdir()) == [path]


def test_what_stands_under_the_temporary_name_of_a_file(tmp_path):
    path, beside, theirs = tmp_path / "x", tmp_path / ".x.part", tmp_path / "theirs"
    theirs.write_text("theirs")
    beside.symlink_to(theirs)
    files.write_text(path, "text")
    assert (path.read_text(), theirs.read_text()) == ("text", "theirs")
    beside.mkdir()
    (beside / "mine").touch()
    with pytest.raises(OSError, match="x cannot be written: Directory not empty: .*/.x.part"):
        files.write_text(path, "more")
    assert (beside / "mine").exists() and path.read_text() == "text"
    (beside / "mine").rename(beside / "part-000.npz")
    with pytest.raises(OSError), files.replacing(path, "part-*.npz") as place:
        assert not place.exists()
        raise OSError("end")


def test_missing_fields_take_their_defaults(tmp_path):
    path = tmp_path / "state.json"
    files.write_json(path, {"step": 3})
    assert files.read_json(path, State) == State(3, [])


def test_a_failed_write_keeps_the_old_file(tmp_path):
    path = tmp_path / "a.txt"
    files.write_text(path, "old")
    with pytest.raises(OSError, match="a.txt cannot be written: No space left on device"):
        with files.replacing(path) as beside:
            beside.write_text("half")
            raise OSError(errno.ENOSPC, "No space left on device")
    with pytest.raises(KeyboardInterrupt):
        with files.replacing(path) as beside:
            beside.write_text("half")
            raise KeyboardInterrupt
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def raised_by(cause, error):
    try:
        raise cause
    except Exception:
        if error is None:
            raise
        raise error from None


@pytest.mark.parametrize(
    ("cause", "error", "reason"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), None, "No space left on device"),
        (OSError("h5py says no"), None, "h5py says no"),
        (RuntimeError("/tmp/x; No space left on device"), None, "No space left on device"),
        (OSError(errno.EDQUOT, "x"), ValueError("odd"), "Disk quota exceeded"),
        (KeyError("a Read-only file system b"), ValueError("odd"), "Read-only file system"),
        (PermissionError(13, "Permission denied", "/etc/x"), ValueError("odd"), None),
        (ValueError("odd"), None, None),
    ],
)
def test_an_error_of_the_disk_names_the_file_whatever_library_reports_it(
    cause, error, reason, tmp_path
):
    path = tmp_path / "a.onnx"
    with pytest.raises(OSError if reason else ValueError) as caught:
        with files.disk_errors(path):
            raised_by(cause, error)
    expected = f"{path} cannot be written: {reason}" if reason else "odd"
    assert str(caught.value).startswith(expected)


def test_a_full_disk_elsewhere_is_named_too(tmp_path):
    error = OSError(errno.ENOSPC, "No space left on device", "/somewhere/else")
    with pytest.raises(OSError, match="a.onnx cannot be written: .*device: /somewhere/else"):
        with files.disk_errors(tmp_path / "a.onnx"):
            raise error


def test_a_json_file_holds_no_infinite_number(tmp_path):
    with pytest.raises(ValueError, match="Out of range float"):
        files.write_json(tmp_path / "a.json", {"x": float("inf")})
    assert not list(tmp_path.iterdir())


def _hold(folder, ready, done):
    with files.lock(folder):
        ready.set()
        done.wait(60)


def test_a_folder_is_locked_by_one_process_at_a_time(tmp_path):
    context = multiprocessing.get_context("spawn")
    ready, done = context.Event(), context.Event()
    process = context.Process(target=_hold, args=(tmp_path, ready, done))
    process.start()
    try:
        assert ready.wait(60)
        with pytest.raises(BlockingIOError, match="is being written by another process"):
            with files.lock(tmp_path):
                pass
    finally:
        done.set()
        process.join(60)
    with files.lock(tmp_path):
        pass


@pytest.mark.parametrize(
    "value", ["", ".", "..", "a/b", "../x", "/x", "a\\b", "-x", "a\nb", "a\0b", "x" * 256]
)
def test_as_file_name_rejects_what_could_lead_elsewhere(value):
    with pytest.raises(ValueError, match="Argument `run` must be a plain name"):
        object_checks.as_file_name("run", value)


def test_as_path_expands_the_home_folder(monkeypatch):
    monkeypatch.setenv("HOME", "/somewhere")
    assert object_checks.as_path("p", "~/x") == pathlib.Path("/somewhere/x")
    for bad in ("", "a\0b", "~no-such-user-here/x"):
        with pytest.raises(ValueError, match="Argument `p` must be a path"):
            object_checks.as_path("p", bad)
    for bad in (b"x", 5, None):
        with pytest.raises(TypeError, match="Argument `p` must be a path"):
            object_checks.as_path("p", bad)


def test_as_path_rejects_names_that_no_file_has():
    assert object_checks.as_path("p", "a/" * 400).parts == ("a",) * 400
    for bad in ("a" * 256, "é" * 128, f"a/{'b' * 300}/c"):
        with pytest.raises(ValueError, match="Argument `p` must be a path of names of at most 255"):
            object_checks.as_path("p", bad)


def test_half_of_a_character_is_damage(tmp_path):
    path = tmp_path / "x.json"
    path.write_text(r'{"name": "\ud83d\ude00"}')
    assert files.read_json(path) == {"name": "\U0001f600"}
    path.write_text(r'{"name": "\ud83d"}')
    with pytest.raises(files.DamagedFileError, match="a string is not Unicode"):
        files.read_json(path)
