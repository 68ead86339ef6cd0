"""The house rules that can be read off the source."""

import ast
import collections
import pathlib
import re
import sys

import pytest

PACKAGE = pathlib.Path(__file__).resolve().parents[1] / "keras_selectscale"
# What each room may import of this package; imports run down.
ROOMS = {
    "layers": set(),
    "models": {"layers"},
    "optimizers": {"layers"},
    "surgery": {"layers", "models"},
    "data": set(),
    "exporting": {"layers", "surgery"},
    "training": {"layers", "optimizers", "models", "surgery", "data", "exporting"},
    "recipes": {"training"},
    "experiments": {"layers", "models", "surgery", "data", "exporting", "training", "recipes"},
    "tuning": {"layers", "models", "surgery", "data", "exporting", "training", "recipes"},
    "benchmarking": {"layers", "models", "surgery", "data", "training", "tuning"},
    "cli": {
        "layers",
        "models",
        "surgery",
        "data",
        "exporting",
        "training",
        "recipes",
        "experiments",
        "tuning",
        "benchmarking",
    },
}
# The ground floor, which every room may use.
GROUND = {
    "argument_names",
    "array_files",
    "checks",
    "child_processes",
    "object_checks",
    "console",
    "disk_errors",
    "environment",
    "files",
    "gpus",
    "registration",
    "regular_files",
    "stopping",
    "streams",
    "tables",
    "version",
    "wording",
}
FILES = sorted(PACKAGE.rglob("*.py"))


def imported(path):
    """Yields the absolute name of every module that a file imports, at any level."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} imports relatively"
            if node.module == "keras_selectscale":
                yield from (f"{node.module}.{alias.name}" for alias in node.names)
            else:
                yield node.module


def room_of(path):
    parts = path.relative_to(PACKAGE).parts
    return parts[0] if len(parts) > 1 else None


def test_every_room_is_known():
    assert {room_of(path) for path in FILES} - {None} == set(ROOMS)


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_run_down(path):
    room = room_of(path)
    if room is None:
        return
    for name in imported(path):
        parts = name.split(".")
        if parts[0] == "keras_selectscale" and len(parts) > 1:
            assert parts[1] in ROOMS[room] | {room} | GROUND, f"{room} imports {name}"


@pytest.mark.parametrize("path", sorted((PACKAGE / "layers").rglob("*.py")), ids=lambda p: p.name)
def test_the_layers_import_keras_alone(path):
    allowed = set(sys.stdlib_module_names) | {"keras", "keras_selectscale", "numpy", "ml_dtypes"}
    others = {name.split(".")[0] for name in imported(path)} - allowed
    # The calls of one backend are in one file.
    own = {"training_steps": "tensorflow"} | {each: each for each in ("tensorflow", "jax", "torch")}
    assert others <= ({own.get(path.stem)} if path.parent.name == "backends" else set())


def reached(path, found):
    """Adds the files of the package that a file imports, directly or not, but for backend calls."""
    for node in ast.walk(ast.parse(path.read_text())):
        if not isinstance(node, ast.ImportFrom) or not node.module.startswith("keras_selectscale"):
            continue
        for alias in node.names:
            for name in (node.module, f"{node.module}.{alias.name}"):
                file = PACKAGE.parent.joinpath(*name.split(".")).with_suffix(".py")
                if file.is_file() and "backends" not in file.parts and file not in found:
                    found.add(file)
                    reached(file, found)
    return found


def test_select_scale_is_understood_from_a_few_files():
    files = reached(PACKAGE / "layers" / "select_scale.py", set())
    lines = {file.relative_to(PACKAGE): len(file.read_text().splitlines()) for file in files}
    print(f"select_scale.py reaches {len(lines)} files of {sum(lines.values())} lines: {lines}")
    assert len(lines) <= 7
    assert sum(lines.values()) <= 800


# Modules of Keras and KerasTuner whose names are private.
PRIVATE_MODULES = re.compile(r"(keras\.src|keras_tuner\.(src|engine))\b")
ATTRIBUTE_FUNCTIONS = ("getattr", "hasattr", "setattr", "delattr")
# Public in spite of the underscore.
PUBLIC = {"_asdict", "_fields", "_make", "_replace", "_exit"}


def private_names(path, own):
    """Yields the private names of other libraries that a file uses.

    Args:
        path: The file.
        own: Private names that this package defines.
    """
    tree = ast.parse(path.read_text())
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and PRIVATE_MODULES.match(node.module or ""):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from (a.name for a in node.names if PRIVATE_MODULES.match(a.name))
        elif isinstance(node, ast.Attribute) and re.match("_[a-z]", node.attr):
            whose = ast.unparse(node.value)
            if whose not in ("self", "cls", "super()") or node.attr not in own:
                yield node.attr
        elif isinstance(node, ast.Call) and ast.unparse(node.func) in ATTRIBUTE_FUNCTIONS:
            name = node.args[1]
            if isinstance(name, ast.Constant) and re.match("_[a-z]", name.value):
                yield name.value


def defined(path):
    """Yields the names that a file defines, and the attributes that its methods set."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            yield node.name
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            if ast.unparse(node.value) in ("self", "cls"):
                yield node.attr
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            yield node.target.id


def test_each_private_name_of_a_library_is_in_one_file():
    root = PACKAGE.parent
    files = [*FILES, *sorted(root.glob("examples/*.py")), *sorted(root.glob("benchmarks/*.py"))]
    own = {name for path in files for name in defined(path)} | PUBLIC
    places = collections.defaultdict(set)
    for path in files:
        for name in set(private_names(path, own)) - PUBLIC:
            places[name].add(str(path.relative_to(root)))
    print("\n".join(f"{name}: {', '.join(sorted(each))}" for name, each in sorted(places.items())))
    assert {"_flatten_layers", "_jax_state"} <= set(places)  # The test finds them.
    assert {name: each for name, each in places.items() if len(each) > 1} == {}


@pytest.mark.parametrize(("room", "most"), [("layers", 20), ("data", 18), ("tuning", 15)])
def test_a_package_has_few_files(room, most):
    count = len(list((PACKAGE / room).glob("*.py")))
    print(f"{room} has {count} files")
    assert count <= most


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_no_file_grows_past_a_sitting(path):
    assert len(path.read_text().splitlines()) <= 300
    assert not any(word in path.stem for word in ("util", "helper", "misc", "manager"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_what_is_returned_is_no_type_for_the_site(path):
    # The site takes what stands before the first colon of `Returns:` for a type.
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            text = ast.get_docstring(node) or ""
            first = re.search(r"^Returns:\n +(.*)$", text, re.MULTILINE)
            assert first is None or ": " not in first[1], node.name
