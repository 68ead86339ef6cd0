"""The code of the README and of the pages runs as it stands there."""

import ast
import builtins
import importlib
import inspect
import pathlib
import re
import textwrap

import keras
import numpy as np
import pytest

ROOT = pathlib.Path(__file__).resolve().parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def blocks(path):
    found = re.findall(
        r"^( *)```python\n(.*?)^\1```", path.read_text(encoding="utf-8"), re.M | re.S
    )
    return [textwrap.dedent(code) for _, code in found]


@pytest.mark.slow
@pytest.mark.parametrize("path", [path for path in PAGES if blocks(path)], ids=lambda p: p.name)
def test_a_page_runs_from_top_to_bottom(path, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    # As in a new process: a page imports every name that it uses.
    names = {"__name__": "page"}
    checked = set()
    for number, code in enumerate(blocks(path)):
        exec(compile(code, f"{path.name}, block {number}", "exec"), names)
        model = names.get("model")
        if isinstance(model, keras.Model) and id(model) not in checked:
            checked.add(id(model))
            shape = [3 if size is None else size for size in model.inputs[0].shape[1:]]
            x = np.random.default_rng(0).normal(size=(2, *shape)).astype("float32")
            quiet, again = map(keras.ops.convert_to_numpy, (model(x), model(x)))
            np.testing.assert_array_equal(quiet, again)


def test_a_block_on_troubleshooting_imports_what_it_uses():
    for code in blocks(ROOT / "docs" / "troubleshooting.md"):
        names = [node for node in ast.walk(ast.parse(code)) if isinstance(node, ast.Name)]
        used = {node.id for node in names if isinstance(node.ctx, ast.Load)}
        bound = {node.id for node in names if isinstance(node.ctx, ast.Store)}
        for node in ast.walk(ast.parse(code)):
            if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.ExceptHandler):
                bound.add(node.name)
            elif isinstance(node, ast.Import | ast.ImportFrom):
                bound |= {(each.asname or each.name).split(".")[0] for each in node.names}
            elif isinstance(node, ast.arg):
                bound.add(node.arg)
        assert used <= bound | set(dir(builtins)), code


def test_every_public_name_stands_in_the_reference():
    for path in (ROOT / "docs" / "reference").glob("*.md"):
        # A function with the name of its module stands there with the module's.
        pattern = r"^::: (keras_selectscale\.\w+)\.(?:\w+\.)?(\w+)$"
        lines = re.findall(pattern, path.read_text(encoding="utf-8"), re.M)
        (package,) = {package for package, _ in lines}
        module = importlib.import_module(package)
        shown = {getattr(module, name) for _, name in lines}
        values = [getattr(module, name) for name in getattr(module, "__all__", ())]
        assert {x for x in values if inspect.isclass(x) or inspect.isroutine(x)} <= shown, path


@pytest.mark.parametrize("path", [*PAGES, ROOT / "CHANGELOG.md", ROOT / "CONTRIBUTING.md"])
def test_what_follows_in_a_list_item_is_indented_by_four(path):
    """Two spaces suffice on GitHub, and end the list on the site."""
    text = re.sub(r"^```.*?^```", "", path.read_text(encoding="utf-8"), flags=re.M | re.S)
    assert not re.search(r"\n\n {1,3}\S", text)


def test_the_navigation_has_every_page():
    docs = ROOT / "docs"
    pages = {str(path.relative_to(docs)) for path in docs.rglob("*.md")}
    # `notebook_pages.py` makes those of the notebooks.
    pages |= {f"notebooks/{path.stem}.md" for path in (ROOT / "examples").glob("*.ipynb")}
    shown = re.findall(r": ([\w/-]+\.md)$", (ROOT / "mkdocs.yml").read_text(), re.M)
    assert len(shown) == len(set(shown)) and set(shown) == pages


def test_there_are_snippets():
    assert sum(len(blocks(path)) for path in PAGES) >= 40


def test_the_main_commands_stand_on_the_first_screen():
    lines = (ROOT / "README.md").read_text(encoding="utf-8").splitlines()[:30]
    assert any(line.endswith(".venv/bin/keras-selectscale compare") for line in lines)
    assert any(".venv/bin/python -m pytest" in line for line in lines)


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_links_between_pages_lead_somewhere(path):
    for link in re.findall(r"\]\(([^)#]+)[^)]*\)", path.read_text(encoding="utf-8")):
        if "://" not in link:
            assert (path.parent / link).exists(), link
