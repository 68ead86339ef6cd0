"""The code of the README and of the pages runs as it stands there."""

import pathlib
import re
import runpy

import keras
import numpy as np
import pytest

import keras_selectscale

ROOT = pathlib.Path(__file__).resolve().parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def blocks(path):
    return re.findall(r"^```python\n(.*?)^```", path.read_text(encoding="utf-8"), re.M | re.S)


def cases():
    for path in PAGES:
        for number, code in enumerate(blocks(path)):
            yield pytest.param(code, id=f"{path.name}-{number}")


@pytest.mark.parametrize("code", list(cases()))
def test_a_snippet_runs(code, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    # What a reader of the page has imported before.
    names = {"keras": keras, **{name: getattr(keras_selectscale, name) for name in NAMES}}
    exec(compile(code, "snippet", "exec"), names)
    model = names.get("model")
    if isinstance(model, keras.Model):
        x = np.random.default_rng(0).normal(size=(2, *model.inputs[0].shape[1:])).astype("float32")
        quiet, again = model(x), model(x)
        np.testing.assert_array_equal(*map(keras.ops.convert_to_numpy, (quiet, again)))


NAMES = [*(set(keras_selectscale.__all__) - {"__version__"})]


@pytest.mark.parametrize(
    "name, words",
    [
        ("sequential_digits", ["test error", "loaded again"]),
        ("own_method", ["every map", "top 40%"]),
        pytest.param("finetune_digits", ["relu2", "passed", "as exported"], marks=pytest.mark.slow),
    ],
)
def test_an_example_runs(name, words, capsys):
    runpy.run_path(str(ROOT / "examples" / f"{name}.py"), run_name="__main__")
    out = capsys.readouterr().out
    assert all(word in out for word in words)
    if name in ("sequential_digits", "finetune_digits"):
        first, again = re.findall(r"test error ([\d.]+)%", out)
        assert first == again and float(first) < 20


def test_every_example_is_run():
    assert {path.stem for path in (ROOT / "examples").glob("*.py")} == {
        "sequential_digits",
        "own_method",
        "finetune_digits",
    }


def test_there_are_snippets():
    assert len(list(cases())) >= 8


def test_the_main_commands_stand_on_the_first_screen():
    lines = (ROOT / "README.md").read_text(encoding="utf-8").splitlines()[:30]
    assert any(line.endswith(".venv/bin/keras-selectscale compare") for line in lines)
    assert any(".venv/bin/python -m pytest" in line for line in lines)


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_links_between_pages_lead_somewhere(path):
    for link in re.findall(r"\]\(([^)#]+)[^)]*\)", path.read_text(encoding="utf-8")):
        if "://" not in link:
            assert (path.parent / link).exists(), link
