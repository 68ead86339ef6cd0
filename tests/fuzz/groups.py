"""The groups of generators, by name."""

from collections.abc import Callable

from hypothesis import strategies as st

from tests.fuzz import configs, constructors, layer_calls
from tests.fuzz.verdict import Case

GROUPS: dict[str, Callable[[], st.SearchStrategy[Case]]] = {
    "constructors": constructors.cases,
    "calls": layer_calls.cases,
    "configs": configs.cases,
}
