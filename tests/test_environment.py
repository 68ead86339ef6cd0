import json
import pathlib
import re
import shutil
import subprocess
import sys
import tarfile

import keras
import pytest

from keras_selectscale import __version__, environment


def test_it_says_what_a_result_was_made_with():
    described = json.loads(json.dumps(environment.describe()))
    assert described["keras_selectscale"] == __version__
    assert described["packages"]["keras"] == keras.__version__
    assert described["backend"] == keras.backend.backend()
    assert described["machine"].endswith("cores")


def test_what_is_not_installed_is_left_out(monkeypatch):
    monkeypatch.setattr(environment, "PACKAGES", ("keras", "surely-not-installed"))
    assert list(environment.describe()["packages"]) == ["keras"]


ROOT = pathlib.Path(__file__).resolve().parents[1]


def commit_from(monkeypatch, package):
    monkeypatch.setattr(environment, "__file__", str(package / "environment.py"))
    return environment.describe()["commit"]


def test_outside_a_checkout_there_is_no_commit(monkeypatch, tmp_path):
    assert commit_from(monkeypatch, tmp_path) is None
    for content in ("$Format:%H$\n", ""):
        (tmp_path / "commit.txt").write_text(content)
        assert commit_from(monkeypatch, tmp_path) is None


@pytest.fixture(scope="module")
def checkout(tmp_path_factory):
    """A checkout with what decides how the commit is recorded, and its commit."""
    if shutil.which("git") is None:
        pytest.skip("git is not installed")
    folder = tmp_path_factory.mktemp("checkout")
    package = folder / "keras_selectscale"
    package.mkdir()
    for name in ("setup.py", "pyproject.toml", ".gitattributes"):
        shutil.copy(ROOT / name, folder)
    for name in ("version.py", "commit.txt"):
        shutil.copy(ROOT / "keras_selectscale" / name, package)
    (package / "__init__.py").touch()
    lines = (ROOT / "setup.cfg").read_text().splitlines(keepends=True)
    left_out = ("long_description", "license")  # They name files.
    kept = [line for line in lines if not line.startswith(left_out)]
    (folder / "setup.cfg").write_text("".join(kept))
    git = ["git", "-C", str(folder), "-c", "user.name=x", "-c", "user.email=x@x"]
    for arguments in (["init", "-q"], ["add", "-A"], ["commit", "-qm", "x", "--no-gpg-sign"]):
        subprocess.run([*git, *arguments], check=True)
    head = subprocess.run([*git, "rev-parse", "HEAD"], capture_output=True, text=True, check=True)
    return folder, head.stdout.strip()


def test_an_archive_of_git_records_its_commit(monkeypatch, tmp_path, checkout):
    folder, commit = checkout
    archive = tmp_path / "archive.tar"
    subprocess.run(["git", "-C", str(folder), "archive", "-o", str(archive), "HEAD"], check=True)
    with tarfile.open(archive) as file:
        file.extractall(tmp_path, filter="data")
    assert commit_from(monkeypatch, tmp_path / "keras_selectscale") == commit


def test_a_wheel_and_a_source_distribution_record_their_commit(monkeypatch, tmp_path, checkout):
    folder, commit = checkout
    command = [sys.executable, "setup.py", "-q", "build_py", "--build-lib", str(tmp_path / "lib")]
    command += ["sdist", "--dist-dir", str(tmp_path), "--formats=tar"]
    subprocess.run(command, cwd=folder, check=True, capture_output=True)
    assert commit_from(monkeypatch, tmp_path / "lib" / "keras_selectscale") == commit
    with tarfile.open(next(tmp_path.glob("*.tar"))) as file:
        member = next(each for each in file.getnames() if each.endswith("/commit.txt"))
        assert file.extractfile(member).read().decode().strip() == commit
    # The checkout keeps its placeholder, and says so if it was changed.
    assert (folder / "keras_selectscale" / "commit.txt").read_text().startswith("$Format")
    assert commit_from(monkeypatch, folder / "keras_selectscale") == commit
    (folder / "setup.py").write_text("")
    assert commit_from(monkeypatch, folder / "keras_selectscale") == f"{commit}-dirty"


def test_an_accelerator_is_recorded_with_its_memory_and_driver(monkeypatch):
    monkeypatch.setattr(environment, "_device_names", lambda backend: ["NVIDIA X", "NVIDIA X"])
    rows = "NVIDIA X, 81559, 550.1\nNVIDIA X, 81559, 550.1\nNVIDIA Y, 1, 550.1\nbroken\n"
    monkeypatch.setattr(environment, "_answer", lambda command: rows)
    expected = {"name": "NVIDIA X", "count": 2, "memory_mib": 81559, "driver": "550.1"}
    assert environment.accelerator() == expected
    monkeypatch.setattr(environment, "_answer", lambda command: None)
    assert environment.accelerator() == {**expected, "memory_mib": None, "driver": None}
    monkeypatch.setattr(environment, "_device_names", lambda backend: [])
    assert environment.accelerator() is None


def test_the_version_is_that_of_the_changelog_and_of_the_citation():
    newest = re.search(r"^## \[(.+?)\]", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)[1]
    # A version that is not released ends with .dev0, and its changes are listed as such.
    assert newest == ("Unreleased" if __version__.endswith(".dev0") else __version__)
    assert f"\nversion: {__version__}\n" in (ROOT / "CITATION.cff").read_text()


def test_the_source_distribution_holds_the_whole_repository():
    found = subprocess.run(
        ["git", "-C", str(ROOT), "ls-files"], capture_output=True, text=True
    ).stdout.split()
    manifest = (ROOT / "MANIFEST.in").read_text()
    named = set(re.sub(r"^(include|graft) ", "", manifest, flags=re.MULTILINE).split())
    named |= {"keras_selectscale", "setup.cfg", "setup.py", "MANIFEST.in"}  # They always are in it.
    named |= {".gitignore", ".gitattributes"}  # Of use in a checkout only.
    missing = {file for file in found if not {file, file.partition("/")[0]} & named}
    assert missing == set()
