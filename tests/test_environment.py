import json
import pathlib
import re
import subprocess

import keras

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


def test_outside_a_checkout_there_is_no_commit(monkeypatch, tmp_path):
    monkeypatch.setattr(environment, "__file__", str(tmp_path / "a" / "b" / "c.py"))
    assert environment.describe()["commit"] is None


def test_the_version_is_that_of_the_changelog_and_of_the_citation():
    root = pathlib.Path(__file__).resolve().parents[1]
    newest = re.search(r"^## \[(.+?)\]", (root / "CHANGELOG.md").read_text(), re.MULTILINE)[1]
    # A version that is not released ends with .dev0, and its changes are listed as such.
    assert newest == ("Unreleased" if __version__.endswith(".dev0") else __version__)
    assert f"\nversion: {__version__}\n" in (root / "CITATION.cff").read_text()


def test_the_source_distribution_holds_the_whole_repository():
    root = pathlib.Path(__file__).resolve().parents[1]
    found = subprocess.run(
        ["git", "-C", str(root), "ls-files"], capture_output=True, text=True
    ).stdout.split()
    manifest = (root / "MANIFEST.in").read_text()
    named = set(re.sub(r"^(include|graft) ", "", manifest, flags=re.MULTILINE).split())
    named |= {"keras_selectscale", "setup.cfg", "MANIFEST.in"}  # They always are in it.
    named.add(".gitignore")  # Of use in a checkout only.
    missing = {file for file in found if not {file, file.partition("/")[0]} & named}
    assert missing == set()
