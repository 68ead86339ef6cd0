"""A file read back."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np


class Consumer(NamedTuple):
    """A file in what runs it.

    Attributes:
        inputs: Names of the inputs, in the file's order.
        run: Function of the input arrays by name that gives the output arrays by name.
    """

    inputs: list[str]
    run: Callable[[Mapping[str, np.ndarray]], Mapping[str, Any]]


@dataclasses.dataclass(frozen=True)
class ExportedFile:
    """A file read back.

    Attributes:
        nodes: Type of every node, of all functions and subgraphs; of every layer, where the file
            holds layers.
        weights: The variables by their name in the file, or `None` where a conversion folds and
            transposes them.
        load: Loads the file into what runs it; what cannot be loaded can be looked into.
        drops: Classes of the drop layers in a file that holds layers, `None` for one with a graph.
        reasons: What is wrong with the file beyond its graph, a sentence each.
    """

    nodes: list[str]
    weights: Mapping[str, np.ndarray] | None
    load: Callable[[], Consumer]
    drops: tuple[str, ...] | None = None
    reasons: tuple[str, ...] = ()
