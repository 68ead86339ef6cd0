"""Models without drops."""

import warnings
from typing import Any, Literal

import keras

from keras_selectscale.object_checks import as_boolean
from keras_selectscale.surgery import compilation, drop_kinds, graph
from keras_selectscale.surgery.drop_kinds import Which
from keras_selectscale.surgery.rebuild import Rebuild
from keras_selectscale.surgery.round_trip import check_round_trip


def strip_drops(
    model: keras.Model,
    *,
    which: Which = "all",
    unreachable: Literal["raise", "warn"] = "raise",
    check: bool = False,
) -> keras.Model:
    """Returns the model without its drop layers, with its weights: what one ships.

    The drops are gone from the graph, those called with `training=True` too, and the model saves
    to a `.keras` file that loads where this package is not installed. At inference its outputs
    equal the original's to the bit. The original stays as it is.

    Nested Functional and Sequential models are reached; shared layers stay shared; names, trainable
    flags, dtype policies and random states of other layers are kept. A compiled model comes back
    compiled, with a new optimizer of the same config, unless the compilation holds an object of
    this package (such as `CoupledSGD`, or a curriculum as a learning rate), which a file would need
    it for: then the new model is not compiled. Where a drop is one of several outputs, or all that
    there is between an input and an output, a `keras.layers.Identity` of its name stands in its
    place.

    Args:
        model: A built Functional or Sequential model.
        which: `"all"` for the drops of this package and of Keras (Dropout, SpatialDropout1D to 3D,
            GaussianDropout, GaussianNoise, AlphaDropout), `"selectscale"` for this package's.
        unreachable: What to do about drops that are no layers of a graph: inside TimeDistributed,
            recurrent layers, attention and other composite layers. `"raise"` names each in an
            error, `"warn"` in a warning and leaves them where they are.
        check: Whether to save the new model to a temporary `.keras` file, load it and compare
            weights and outputs. A class that rebuilds itself from its own config loads although
            the configs of its layers are incomplete; the stripped model, which is built from them,
            would not. The check takes about as long as saving and loading.

    Returns:
        A model of its own, of the class of `model` where that is made as Keras' is, else a plain
        one.

    Raises:
        TypeError: Where `model` is no model.
        ValueError: Where it, or one inside, is a subclassed model or not built, where an argument
            is none of its values, or where a drop cannot be reached. If `check` is true and the new
            model does not survive being saved and loaded; the message names the layer.

    Example:

    ```python
    strip_drops(model, check=True).save("network.keras")
    ```
    """
    as_boolean("check", check)
    stripped = without_drops(model, which=which, unreachable=unreachable)
    if check:
        check_round_trip(stripped)
    compilation.copy_compilation(model, stripped, foreign_only=True)
    return stripped


def without_drops(
    model: keras.Model, *, which: Which = "all", unreachable: Literal["raise", "warn"] = "raise"
) -> keras.Model:
    """Returns what `strip_drops` does, not compiled; the arguments are the same."""
    drop_kinds.check_which(which)
    if unreachable not in ("raise", "warn"):
        raise ValueError(
            'Argument `unreachable` must be "raise" or "warn". '
            f"Received: unreachable={unreachable!r}"
        )
    graph.check_rewritable(model)
    _say_unreachable(model, which, unreachable)

    def leaves_out(operation: Any) -> bool:
        return drop_kinds.is_drop(operation, which)

    return Rebuild(leaves_out=leaves_out)(model)


def _say_unreachable(model: keras.Model, which: str, unreachable: str) -> None:
    paths = list(_unreachable(model, which, ""))
    if not paths:
        return
    message = (
        f"Drops inside of layers that are no Functional or Sequential model cannot be taken out: "
        f"{', '.join(paths)}."
    )
    if unreachable == "raise":
        raise ValueError(
            f'{message} Build the model without them, or leave them in with `unreachable="warn"`.'
        )
    warnings.warn(f"{message} They stay.", stacklevel=4)


def _unreachable(model: keras.Model, which: str, path: str) -> Any:
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
