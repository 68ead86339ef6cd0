"""The groups of generators, by name."""

from collections.abc import Callable

from hypothesis import strategies as st

from tests.fuzz import (
    command_lines,
    configs,
    constructors,
    functions,
    image_folders,
    layer_calls,
    packed_datasets,
    recipes,
    run_folders,
    search_folders,
)
from tests.fuzz.verdict import Case

GROUPS: dict[str, Callable[[], st.SearchStrategy[Case]]] = {
    "constructors": constructors.cases,
    "calls": layer_calls.cases,
    "configs": configs.cases,
    "recipes": recipes.cases,
    "functions": functions.cases,
    "command-lines": command_lines.cases,
    "run-folders": run_folders.cases,
    "search-folders": search_folders.cases,
    "packed-datasets": packed_datasets.cases,
    "image-folders": image_folders.cases,
}
