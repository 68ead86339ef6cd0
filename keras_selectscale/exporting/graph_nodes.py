"""Recognizes the nodes that a drop would leave in a graph, by their type's name in any format."""

import re
from collections.abc import Iterable

# TensorFlow's (StatelessRandomUniformV2, StatefulUniform, TruncatedNormal, …), ONNX's
# (RandomUniformLike, Bernoulli, Dropout, …) and LiteRT's (RANDOM_UNIFORM, FlexRandomUniform, …),
# without underscores and in lower case.
_RANDOM = re.compile(
    r"random|bernoulli|multinomial|dropout|rng(read|skip|bit|uniform)|shuffle|truncatednormal|"
    r"stateful(uniform|standardnormal)|candidatesampler|sampledistorted|samplingdataset|sobol|"
    r"fractional(max|avg)pool|seedgenerator"
)
# The layers take the n-th highest integer in TensorFlow graphs.
_SELECTING = re.compile(r"topk|nthelement|(?<!un)(?<!ten)sort|rightshift|bitshift")
# These run code that is not in the graph, or not as nodes.
_OPAQUE = re.compile(r"pyfunc|xlacallmodule")


def is_random(node: str) -> bool:
    """Returns whether a node of this type draws, or hides what it does."""
    plain = _plain(node)
    return bool(_RANDOM.search(plain) or _OPAQUE.search(plain))


def is_selecting(node: str) -> bool:
    """Returns whether a node of this type ranks its input."""
    return bool(_SELECTING.search(_plain(node)))


def forbidden(nodes: Iterable[str], of_the_model: Iterable[str]) -> tuple[str, ...]:
    """Returns the types among `nodes` that an export must not have.

    Args:
        nodes: Types of the nodes of the file.
        of_the_model: Types of the nodes of the model without its drops. A model itself may rank,
            for example to return its five best classes, but not draw.
    """
    may_select = any(map(is_selecting, of_the_model))
    return tuple(sorted({n for n in nodes if is_random(n) or (is_selecting(n) and not may_select)}))


def _plain(node: str) -> str:
    return node.replace("_", "").lower()
