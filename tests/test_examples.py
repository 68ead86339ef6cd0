"""The examples and notebooks run, are short, use the public API and print what they say."""

import json
import os
import pathlib
import re
import runpy
import subprocess
import sys

import pytest

EXAMPLES = pathlib.Path(__file__).resolve().parents[1] / "examples"
SCRIPTS = sorted(EXAMPLES.glob("*.py"))
NOTEBOOKS = sorted(EXAMPLES.glob("*.ipynb"))
PAGES = EXAMPLES.parent / "docs" / "notebook_pages.py"
# Their backend is another one than that of the tests, so they run in a process of their own.
NEEDS = {"loop_jax": "jax", "jax_fit": "jax", "loop_torch": "torch"}


def code_of(path):
    if path.suffix == ".py":
        return path.read_text(encoding="utf-8")
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    return "\n\n".join("".join(c["source"]) for c in cells if c["cell_type"] == "code")


@pytest.mark.slow
@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.stem)
def test_an_example_prints_what_its_top_says(path, capsys, tmp_path):
    if path.stem in NEEDS:
        pytest.importorskip(NEEDS[path.stem])
        environment = {**os.environ, "PYTHONPATH": str(EXAMPLES.parent)}
        done = subprocess.run(
            [sys.executable, path], env=environment, capture_output=True, text=True, timeout=500
        )
        assert done.returncode == 0, done.stderr[-2000:]
        out = done.stdout
    else:
        for package in ("onnxruntime", "ai_edge_litert") if path.stem == "export_and_serve" else ():
            pytest.importorskip(package)
        runpy.run_path(str(path), run_name="__main__")
        out = capsys.readouterr().out
    shown = re.findall(r"^    (\S.*)$", code_of(path).split('"""')[1], re.MULTILINE)
    assert shown and all(line.split()[0] in out for line in shown), out
    if path.stem in ("sequential_digits", "finetune_digits"):
        first, again = re.findall(r"test error ([\d.]+)%", out)
        assert first == again and float(first) < 20


@pytest.mark.slow
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs_from_top_to_bottom(path, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    exec(compile(code_of(path), str(path), "exec"), {"__name__": "__main__"})


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_holds_its_outputs_for_its_page(path):
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    code = [cell for cell in cells if cell["cell_type"] == "code"]
    assert [cell["execution_count"] for cell in code] == list(range(1, len(code) + 1))
    assert any(cell["outputs"] for cell in code)
    page = runpy.run_path(str(PAGES))["pages"]()[f"notebooks/{path.stem}.md"]
    for cell in cells:
        assert "".join(cell["source"]).splitlines()[-1] in page
        for output in cell.get("outputs", []):
            assert output.get("name") != "stderr"
            assert "".join(output.get("text", "")).rstrip() in page
    assert page.startswith("# ") and page.count("![") == page.count(f"({path.stem}-")


@pytest.mark.parametrize("path", [*SCRIPTS, *NOTEBOOKS], ids=lambda path: path.stem)
def test_an_example_is_short_public_and_in_the_gallery(path):
    code = code_of(path)
    assert path.suffix != ".py" or len(code.splitlines()) <= 80
    assert not re.search(r"keras_selectscale(\.\w+){2}|\bimport _|\._[a-z]", code)
    assert f"]({path.name})" in (EXAMPLES / "README.md").read_text(encoding="utf-8")
