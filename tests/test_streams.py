import errno
import io
import os
import pathlib
import subprocess
import sys

import pytest

from keras_selectscale import streams
from keras_selectscale.console import Console
from keras_selectscale.streams import SafeStream, encodable, safe_streams, say, visible


class Broken(io.StringIO):
    """A device that fails."""

    def __init__(self, number):
        super().__init__()
        self.number = number
        self.calls = 0

    def write(self, text):
        self.calls += 1
        raise OSError(self.number, os.strerror(self.number))


@pytest.mark.parametrize("encoding", ["ascii", "cp866", "latin-1", "cp1252", "utf-8", "utf-16"])
def test_any_text_can_be_printed(encoding):
    text = "4.24 ± 0.05, … ≤ 3 × é “a” \N{SNOWMAN} 日 \udce9"
    printed = encodable(text, encoding)
    assert printed.encode(encoding)
    assert printed.startswith("4.24 ± 0.05" if "±".encode(encoding, "ignore") else "4.24 +- 0.05")
    # What the encoding has stays, and so does text in ASCII.
    assert encodable("a[b]\t\n", encoding) == "a[b]\t\n"


def test_substitutes():
    assert encodable("± … × é “a” ☃ \udce9", "ascii") == '+- ... x e "a" ? ?'
    assert encodable("± é", "cp866") == "+- e"
    assert encodable("±", "no such encoding") == "+-"


def test_names_of_files_do_not_move_the_cursor():
    assert visible("a\x1b[31m\r\u202eb\tc\u00a0d\n") == "a?[31m??b\tc\u00a0d\n"


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EPIPE, errno.EIO, errno.EBADF])
def test_a_device_that_fails_loses_the_output_alone(number):
    stream = Broken(number)
    safe = SafeStream(stream)
    print("one", file=safe, flush=True)
    print("two", file=safe, flush=True)
    assert safe.error.errno == number
    # A pipe that has been closed is not tried again.
    assert (stream.calls == 1) == (number == errno.EPIPE)


def test_no_device_and_a_closed_one():
    safe = SafeStream(None)
    print("one", file=safe, flush=True)
    assert safe.error is None and not safe.isatty()
    closed = io.StringIO()
    closed.close()
    safe = SafeStream(closed)
    print("one", file=safe, flush=True)
    assert isinstance(safe.error, ValueError) and not safe.isatty()


def test_the_streams_come_back(monkeypatch):
    out, err = io.TextIOWrapper(io.BytesIO(), encoding="ascii"), Broken(errno.EPIPE)
    monkeypatch.setattr(sys, "stdout", out)
    monkeypatch.setattr(sys, "stderr", err)
    with pytest.raises(KeyError), safe_streams() as output:
        say("5 ± 1")
        print("±", file=sys.stderr)
        assert output.error is None and not hasattr(sys.stdout, "buffer")
        raise KeyError
    assert (sys.stdout, sys.stderr) == (out, err)
    assert out.buffer.getvalue() == b"5 +- 1\n"


def test_bytes_are_not_text():
    # So that click sees that it is a text stream, whatever its encoding.
    with pytest.raises(Exception, match="encode"):
        SafeStream(io.StringIO()).write(b"")


def test_a_console_prints_text_as_it_stands():
    out = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    console = Console(file=out, width=30)
    for text in ("a[/]b", "[red]c[/red]", "f:smile:g", "3 ± 1"):
        console.print(text)
        console.say(f"{text} " + "d" * 40)
    out.flush()
    lines = out.buffer.getvalue().decode().splitlines()
    assert lines[::2] == ["a[/]b", "[red]c[/red]", "f:smile:g", "3 +- 1"]
    assert all(line.endswith("d" * 40) for line in lines[1::2])


def test_substitutes_are_laid_out_as_what_they_are():
    from rich.table import Table

    out = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    table = Table(box=None, pad_edge=False, title="[x] ±")
    table.add_column("[a]")
    table.add_column("b")
    table.add_row("1 ± 2", "x")
    table.add_row("1 + 2", "y")
    Console(file=out).print(table)
    out.flush()
    title, head, first, second = out.buffer.getvalue().decode().splitlines()
    assert title.split() == ["[x]", "+-"] and head.split() == ["[a]", "b"]
    assert first.index("x") == second.index("y") == head.index("b")


CODE = (
    "import os, sys\n"
    "from streams import safe_streams\n"  # By itself: the package imports Keras.
    "with safe_streams() as output:\n"
    "    print('x' * 100_000)\n"
    "    print('err', file=sys.stderr)\n"
    "    fd = os.open(sys.argv[1], os.O_RDWR | os.O_CREAT)\n"
    "    assert fd > 2\n"
    "os.write(fd, repr(output.error).encode())\n"
)


@pytest.mark.skipif(sys.platform == "win32", reason="a POSIX shell")
@pytest.mark.parametrize(
    "redirection, error",
    [
        (">&- 2>&- <&-", "None"),
        ("2>&-", "None"),
        ("> /dev/full 2>/dev/full", "OSError(28"),
        ("| head -c 1", "BrokenPipeError"),
    ],
)
def test_devices_of_a_shell(redirection, error, tmp_path):
    """The interpreter's own flush on exit does not fail either."""
    if "/dev/full" in redirection and not os.path.exists("/dev/full"):
        pytest.skip("no full device")
    package = pathlib.Path(streams.__file__).parent
    script = f'"$0" -c "$1" "$2" {redirection}; echo "${{PIPESTATUS[0]}}" > "$3"'
    done = subprocess.run(
        ["bash", "-c", script, sys.executable, CODE, tmp_path / "error", tmp_path / "status"],
        env={**os.environ, "PYTHONPATH": str(package)},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (tmp_path / "status").read_text() == "0\n", done.stderr
    assert (tmp_path / "error").read_text().startswith(error)
    assert "Traceback" not in done.stderr and "Exception ignored" not in done.stderr
