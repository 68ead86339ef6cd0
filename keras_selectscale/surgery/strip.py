"""Removes drops from models, and converts models to float32."""

import warnings
from collections.abc import Iterator
from typing import Any, Literal, TypeAlias

import keras

from keras_selectscale.argument_names import named_arguments
from keras_selectscale.checks import as_choice
from keras_selectscale.object_checks import as_boolean
from keras_selectscale.surgery import compilation, drop_kinds, graph
from keras_selectscale.surgery.drop_kinds import Which
from keras_selectscale.surgery.rebuild import Rebuild
from keras_selectscale.surgery.round_trip import check_round_trip

Unreachable: TypeAlias = Literal["raise", "warn"]


@named_arguments
def strip_drops(
    model: keras.Model,
    *,
    which: Which = "all",
    unreachable: Unreachable = "raise",
    copy: bool = True,
    check: bool = False,
) -> keras.Model:
    """Returns the model without its drop layers and with its weights, for deployment.

    The drops are removed from the graph, including those called with `training=True`, and the model
    saves to a `.keras` file that loads without this package. In inference its outputs equal those
    of the original to the bit. The original does not change.

    Nested Functional and Sequential models are reached. Shared layers stay shared. Names, trainable
    flags, dtype policies, the random states of other layers, and the classes and attributes of
    models are kept. A compiled model is returned compiled, with a new optimizer of the same config.
    If the compilation contains an object of this package, such as `CoupledSGD` or a curriculum as a
    learning rate, the new model is not compiled, because its file would need this package. If a
    drop is one of several outputs, or the only layer between an input and an output, a
    `keras.layers.Identity` of the same name replaces it.

    The result is compared with the original on one random batch before it is returned.

    Args:
        model: A built Functional or Sequential model.
        which: `"all"` for the drops of this package and of Keras (Dropout, SpatialDropout1D to 3D,
            GaussianDropout, GaussianNoise, AlphaDropout), `"selectscale"` for those of this package
            only.
        unreachable: What to do about drops inside layers that are not a graph: TimeDistributed,
            recurrent layers, attention and other composite layers. `"raise"` names them in an
            error. `"warn"` names them in a warning and leaves them where they are.
        copy: Whether the new model has its own layers. With `copy=False` it shares the layers of
            `model` and their weights. Use this if a layer cannot be copied.
        check: Whether to save the new model to a temporary `.keras` file, load it and compare
            weights and outputs. A class that rebuilds itself from its own config can be loaded even
            if the configs of its layers are incomplete. The stripped model is built from these
            configs and could not. The check takes about as long as saving and loading.

    Returns:
        A model of the class of `model`. If the class saves the arguments of its constructor instead
        of its graph, a file of the new model holds a plain Functional or Sequential model.

    Raises:
        TypeError: If `model` is not a model.
        ValueError: If `model` or a model inside is subclassed or not built, an argument has an
            invalid value, a drop cannot be reached, a layer cannot be copied, or the new model
            differs from the original. Also if `check` is true and the new model cannot be saved and
            loaded; the message names the layer.

    Example:

    ```python
    strip_drops(model, check=True).save("network.keras")
    ```
    """
    as_boolean("check", check)
    as_boolean("copy", copy)
    stripped = without_drops(model, which=which, unreachable=unreachable, copy=copy)
    if check:
        check_round_trip(stripped)
    compilation.copy_compilation(model, stripped, foreign_only=True)
    return stripped


def without_drops(
    model: keras.Model,
    *,
    which: Which = "all",
    unreachable: Unreachable = "raise",
    copy: bool = True,
) -> keras.Model:
    """Returns what `strip_drops` returns, not compiled; the arguments are the same."""
    drop_kinds.check_which(which)
    as_choice("unreachable", unreachable, ("raise", "warn"))
    graph.check_rewritable(model)
    _say_unreachable(model, which, unreachable)

    def leaves_out(operation: Any) -> bool:
        return drop_kinds.is_drop(operation, which)

    return Rebuild(leaves_out=leaves_out, copy=copy)(model)


def in_float32(model: keras.Model) -> keras.Model:
    """Returns a copy of a model of any dtype policy that computes in float32.

    Under a mixed policy, the weights are already float32 and do not change; the computed values are
    no longer rounded to half precision.

    Args:
        model: A built Functional or Sequential model, which does not change.

    Returns:
        A new model, not compiled.

    Raises:
        TypeError: If `model` is not a model.
        ValueError: If `model` or a model inside is subclassed or not built.
    """
    graph.check_rewritable(model)
    return Rebuild(dtype="float32")(model)


def _say_unreachable(model: keras.Model, which: str, unreachable: str) -> None:
    paths = list(_unreachable(model, which, ""))
    if not paths:
        return
    message = (
        "Drops inside layers that are not a Functional or Sequential model cannot be removed: "
        f"{', '.join(paths)}."
    )
    if unreachable == "raise":
        raise ValueError(
            f'{message} Build the model without them, or leave them in with `unreachable="warn"`.'
        )
    warnings.warn(f"{message} They stay.", stacklevel=4)


def _unreachable(model: keras.Model, which: str, path: str) -> Iterator[str]:
    seen: set[int] = set()
    for node in graph.nodes(model):
        operation = node.operation
        if id(operation) in seen or drop_kinds.is_drop(operation, which):
            continue
        seen.add(id(operation))
        inside = f"{path}{operation.name}"
        if graph.is_model(operation):
            yield from _unreachable(operation, which, f"{inside}/")
        else:
            yield from drop_kinds.drops_within(operation, which, inside)
