"""Many predictions for the same inputs in few calls of a model."""

import contextlib
import math
import sys
import warnings
from collections.abc import Iterator
from typing import Any

import keras
import numpy as np

from keras_selectscale.layers.feature_maps import FeatureMaps
from keras_selectscale.surgery import drop_kinds
from keras_selectscale.surgery.compilation import compilation_of
from keras_selectscale.surgery.graph import ACTIVE_FUNCTION
from keras_selectscale.surgery.switching import drops_active

# Rows in one call: at least Keras' default, more while the inputs of a call stay below 4 MB.
FEWEST_ROWS, MOST_ROWS, MOST_NUMBERS = 32, 256, 2**20


def predictions(
    model: keras.Model,
    x: Any,
    samples: int,
    drops: list[keras.Layer],
    *,
    batch_size: int | None,
    which: drop_kinds.Which,
    verbose: Any,
) -> Iterator[Iterator[Any]]:
    """Yields, for each batch of inputs, chunks of predictions of shape (samples, inputs, ...)."""
    shows = sys.stdout.isatty() if verbose == "auto" else bool(verbose)
    # A model may prepare its inputs in its own `predict` (KerasHub's tasks do).
    prepares = type(model).predict is not keras.Model.predict
    prepares = prepares or getattr(model, "steps_per_execution", 1) != 1
    alone = prepares or not (draws_by_row(drops) and takes_any_batch(model))
    for number, batch in enumerate(_batches(x, batch_size)):
        rows = len(keras.tree.flatten(batch)[0])
        at_once = 1 if alone else max(1, _most_rows(batch, batch_size) // max(rows, 1))
        calls = math.ceil(samples / at_once)
        bar = keras.utils.Progbar(calls, unit_name="call") if shows else None
        if bar is not None:
            print(f"Batch {number + 1}: {samples} samples of {rows} inputs")

        def chunks(
            batch: Any = batch, rows: int = rows, calls: int = calls, bar: Any = bar
        ) -> Iterator[Any]:
            # Chunks of nearly one size: 30 samples in 4 calls are 8, 8, 7 and 7.
            sizes = [samples // calls + (call < samples % calls) for call in range(calls)]
            for call, size in enumerate(sizes):
                repeated = _repeated(batch, size)
                with _kept_function(model, drops, which):
                    if prepares:
                        out = model.predict(repeated, batch_size=batch_size, verbose=0)
                    else:
                        out = model.predict_on_batch(repeated)
                if bar is not None:
                    bar.update(call + 1)
                yield keras.tree.map_structure(lambda v, n=size: _split(v, n, rows), out)

        yield chunks()


def draws_by_row(drops: list[keras.Layer]) -> bool:
    """Returns whether each row of a batch is known to have its own draws."""
    for drop in drops:
        known = type(drop).__module__.split(".")[0] in ("keras", "keras_selectscale")
        if not known or not isinstance(drop, (FeatureMaps, *drop_kinds.KERAS_DROPS)):
            return False
        shape = getattr(drop, "noise_shape", None)
        if shape and shape[0] is not None:
            return False
    return True


def takes_any_batch(model: keras.Model) -> bool:
    """Returns whether the batch size of the inputs is open and no state depends on it."""
    if any(getattr(layer, "stateful", False) for layer in drop_kinds.all_layers(model)):
        return False
    inputs = keras.tree.flatten(getattr(model, "inputs", None) or [])
    return all(tensor.shape[0] is None for tensor in inputs)


def warn_that_nothing_changes(model: keras.Model, samples: int) -> None:
    """Warns that all predictions are equal."""
    warnings.warn(
        f"All {samples} predictions are equal: the drops of {model.name!r} change nothing, as at a "
        "retaining rate of 1 or at the start of a curriculum, or nothing that the outputs show.",
        stacklevel=3,
    )


def _batches(x: Any, batch_size: int | None) -> Iterator[Any]:
    """Yields the inputs in batches."""
    if isinstance(x, keras.utils.PyDataset):
        for place in range(x.num_batches):
            yield keras.utils.unpack_x_y_sample_weight(x[place])[0]
        return
    leaves = keras.tree.flatten(x)
    if not leaves or not all(hasattr(leaf, "shape") for leaf in leaves):
        for batch in x:
            yield keras.utils.unpack_x_y_sample_weight(batch)[0]
        return
    x = keras.tree.map_structure(
        lambda leaf: np.asarray(leaf) if hasattr(leaf, "iloc") else leaf, x
    )
    size = batch_size or _most_rows(x, None)
    for start in range(0, len(leaves[0]), size):
        yield keras.tree.map_structure(lambda leaf, at=start: leaf[at : at + size], x)


def _most_rows(batch: Any, batch_size: int | None) -> int:
    if batch_size is not None:
        return batch_size
    numbers = sum(math.prod(leaf.shape[1:]) for leaf in keras.tree.flatten(batch))
    return min(MOST_ROWS, max(FEWEST_ROWS, MOST_NUMBERS // max(numbers, 1)))


def _repeated(batch: Any, times: int) -> Any:
    """Returns the batch `times` times, one after another."""
    if times == 1:
        return batch
    return keras.tree.map_structure(
        lambda leaf: np.concatenate([keras.ops.convert_to_numpy(leaf)] * times), batch
    )


def _split(values: Any, samples: int, rows: int) -> np.ndarray:
    values = np.asarray(values)
    if len(values) != samples * rows:
        raise ValueError(
            f"The model must return a row for each of its {samples * rows} inputs. "
            f"Received: outputs of shape {values.shape}"
        )
    return values.reshape(samples, rows, *values.shape[1:])


@contextlib.contextmanager
def _kept_function(
    model: keras.Model, drops: list[keras.Layer], which: drop_kinds.Which
) -> Iterator[None]:
    """Activates the drops, and restores the function that the model has traced with them."""
    function, compilation, settings = vars(model).get(ACTIVE_FUNCTION, (None, None, None))
    same = compilation is compilation_of(model) and settings == _settings(model, drops, which)
    with drops_active(model, which=which):
        if same:
            model.predict_function = function
        yield
        kept = (model.predict_function, compilation_of(model), _settings(model, drops, which))
        # Keras would track the value.
        object.__setattr__(model, ACTIVE_FUNCTION, kept)


def _settings(model: keras.Model, drops: list[keras.Layer], which: str) -> Any:
    """Returns the numbers and switches that are constants of a trace."""
    numbers = [
        (id(drop), {k: v for k, v in vars(drop).items() if isinstance(v, (bool, int, float))})
        for drop in drops
    ]
    return model.run_eagerly, model.jit_compile, which, numbers
