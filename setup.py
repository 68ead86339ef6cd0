"""Records the commit in wheels and source distributions. Everything else stands in setup.cfg."""

import pathlib
import subprocess

from setuptools import setup
from setuptools.command.build_py import build_py
from setuptools.command.sdist import sdist

ROOT = pathlib.Path(__file__).resolve().parent
FILE = pathlib.Path("keras_selectscale", "commit.txt")


def record_commit(tree: str) -> None:
    """Writes the commit of the checkout to a copy of the package.

    Outside a checkout the copy keeps what its source has: an archive or a source distribution
    recorded it already.
    """
    if not (ROOT / ".git").exists():
        return
    command = ["git", "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    try:
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=10)
    except (OSError, subprocess.TimeoutExpired):
        return
    if done.returncode == 0:
        copy = pathlib.Path(tree) / FILE
        copy.unlink(missing_ok=True)  # It may be a link to the file of the checkout.
        copy.write_text(done.stdout, encoding="utf-8")


class BuildPy(build_py):
    """Copies the package, with the commit."""

    def run(self):
        super().run()
        if not self.editable_mode:
            record_commit(self.build_lib)


class Sdist(sdist):
    """Makes the tree of a source distribution, with the commit."""

    def make_release_tree(self, base_dir, files):
        super().make_release_tree(base_dir, files)
        record_commit(base_dir)


setup(cmdclass={"build_py": BuildPy, "sdist": Sdist})
