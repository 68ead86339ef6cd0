"""What a layer may be called with: one dense tensor, and a flag.

Keras passes other inputs on or refuses them in words of its own, and each backend has kinds of
tensors that compute something else or nothing.
"""

import numbers
from typing import Any

import keras
import numpy as np

from keras_selectscale.checks import shown, type_error

ARRAYS = (np.ndarray, np.generic)
BESIDES_TENSORS = (*ARRAYS, keras.Variable, keras.KerasTensor)
# What a shape and a size are not, though Python could take it for one.
NO_SHAPES = (str, bytes, dict, set)
NO_SIZES = (bool, float, str, bytes, list, tuple, dict, np.floating)
# The classes of TensorFlow and JAX, by name because these may not be installed.
NOT_DENSE = {"BCOO", "BCSR", "IndexedSlices", "RaggedTensor", "SparseTensor"}


def check_dense(inputs: Any, owner: str) -> None:
    """Raises a `TypeError` that names the layer `owner` if `inputs` is not one dense tensor."""
    found = keras.ops.is_tensor(inputs) or isinstance(inputs, BESIDES_TENSORS)
    if not found or _is_special(inputs):
        received = f"an object of type {type(inputs).__name__}"
        if found:
            received = f"inputs.shape={_shape(inputs)} of type {type(inputs).__name__}"
        raise TypeError(
            f"{owner} expects `inputs` to be one dense tensor with values. Received: {received}"
        )
    if isinstance(inputs, ARRAYS) and inputs.dtype.kind not in "biufcV":
        raise TypeError(
            f"{owner} expects `inputs` of a floating-point dtype. "
            f"Received: inputs.dtype={inputs.dtype}"
        )


def is_training(training: Any) -> bool:
    """Returns the value of a call's `training`, or raises a `TypeError`.

    `None` is `False`. 0, 1 and boolean scalars of NumPy and the backend are taken as well.
    """
    if training is None or isinstance(training, bool):
        return bool(training)
    dtype = getattr(training, "dtype", None)
    scalar = dtype is not None and str(dtype).endswith("bool") and _shape(training) == ()
    if scalar or (isinstance(training, int) and training in (0, 1)):
        try:
            return bool(training)
        except Exception:  # A tensor without a value, in a graph.
            pass
    raise type_error("training", "True, False or None", training)


def _is_special(inputs: Any) -> bool:
    """Returns whether a tensor is sparse, ragged, nested, quantized or without values."""
    if type(inputs).__name__ in NOT_DENSE or getattr(inputs, "sparse", False) is True:
        return True
    if keras.backend.backend() != "torch" or not keras.ops.is_tensor(inputs):
        return getattr(inputs, "ragged", False) is True
    strided = str(inputs.layout) == "torch.strided"
    # Keras infers shapes by calls on the device "meta".
    meta = inputs.is_meta and not keras.ops.convert_to_tensor(0.0).is_meta
    return not strided or meta or inputs.is_quantized or inputs.is_nested


def _shape(inputs: Any) -> Any:
    try:
        return tuple(inputs.shape)
    except Exception:  # Of a nested tensor, or of unknown rank.
        return "unknown"


def checked_shape(shape: Any, owner: str) -> tuple[Any, ...]:
    """Returns a shape as a tuple; raises an error that names the layer `owner` if it is none."""
    expected = f"{owner} expects the shape of `inputs` to be a tuple of positive integers and None"
    try:
        sizes = tuple(shape)
    except Exception:  # An integer, or a shape of unknown rank.
        raise TypeError(f"{expected}. Received: {shown(shape)}") from None
    # Sizes may also be symbols of a backend.
    if isinstance(shape, NO_SHAPES) or any(isinstance(size, NO_SIZES) for size in sizes):
        raise TypeError(f"{expected}. Received: {shown(shape)}")
    if any(isinstance(size, numbers.Integral) and size < 0 for size in sizes):
        raise ValueError(f"{expected}. Received: {shown(shape)}")
    return sizes
