"""Feature maps: where their channels are, and the layer that checks what it is called with."""

import inspect
import numbers
import warnings
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_selectscale.checks import ArgumentTypeError, as_choice, shown, type_error, value_error
from keras_selectscale.layers.configs import create

MIN_RANK, MAX_RANK = 3, 5
FORMATS = ("channels_last", "channels_first")
ARRAYS = (np.ndarray, np.generic)
TENSORS = (*ARRAYS, keras.Variable, keras.KerasTensor)
# What the first `.keras` file of a process says.
NOTICES = ["Import keras_selectscale before you load this file, or save `strip_drops(model)`."]
# The classes of TensorFlow and JAX, by name because these may not be installed.
NOT_DENSE = {"BCOO", "BCSR", "IndexedSlices", "RaggedTensor", "SparseTensor"}
# What a size is not, though Python could take it for one.
NO_SIZES = (bool, float, str, bytes, list, tuple, dict, np.floating)


def channel_axis(data_format: str, rank: int) -> int:
    """Returns the non-negative axis of the channels in an input of `rank` axes."""
    return rank - 1 if data_format == "channels_last" else 1


def spatial_axes(axis: int, rank: int) -> tuple[int, ...]:
    """Returns the axes of a feature map: all but the batch and the channel axis."""
    return tuple(i for i in range(1, rank) if i != axis)


def may_be_equal(shape: Sequence[int | None], other: Sequence[int | None]) -> bool:
    """Returns whether two shapes agree in their rank and in all sizes that are known."""
    pairs = zip(shape, other, strict=False)
    return len(shape) == len(other) and all(a == b or None in (a, b) for a, b in pairs)


def check_dense(inputs: Any, owner: str) -> None:
    """Raises a `TypeError` that names the layer `owner` if `inputs` is not one dense tensor."""
    if not (ops.is_tensor(inputs) or isinstance(inputs, TENSORS)) or _is_special(inputs):
        expected, received = "to be one dense tensor with values", type(inputs).__name__
    elif isinstance(inputs, ARRAYS) and inputs.dtype.kind not in "biufcV":
        expected, received = "of a floating-point dtype", f"inputs.dtype={inputs.dtype}"
    else:
        return
    raise TypeError(f"{owner} expects `inputs` {expected}. Received: {received}")


def _is_special(inputs: Any) -> bool:
    """Returns whether a tensor is sparse, ragged, nested, quantized or without values."""
    if type(inputs).__name__ in NOT_DENSE or getattr(inputs, "sparse", False) is True:
        return True
    if keras.backend.backend() != "torch" or not ops.is_tensor(inputs):
        return getattr(inputs, "ragged", False) is True
    # Keras infers shapes by calls on the device "meta".
    is_empty = inputs.is_meta and not ops.convert_to_tensor(0.0).is_meta
    strided = str(inputs.layout) == "torch.strided"
    return is_empty or not strided or inputs.is_quantized or inputs.is_nested


def is_training(training: Any) -> bool:
    """Returns the value of a call's `training`: a bool, `None`, 0, 1, or a boolean scalar."""
    if training is None or isinstance(training, bool):
        return bool(training)
    kind = str(getattr(training, "dtype", type(training).__name__))
    try:
        if np.ndim(training) == 0 and (
            kind.endswith("bool") or (kind == "int" and training in (0, 1))
        ):
            return bool(training)
    except Exception:  # A tensor without a value, in a graph.
        pass
    raise type_error("training", "True, False or None", training)


def checked_shape(shape: Any, owner: str) -> tuple[Any, ...]:
    """Returns a shape as a tuple; raises an error that names the layer `owner` if it is none."""
    expected = f"{owner} expects the shape of `inputs` to be a tuple of positive integers and None"
    try:
        sizes = tuple(shape) if not isinstance(shape, str | bytes | dict | set) else ("",)
    except Exception:  # An integer, or a shape of unknown rank.
        sizes = ("",)
    # Sizes may also be symbols of a backend.
    wrong_type = any(isinstance(size, NO_SIZES) for size in sizes)
    if wrong_type or any(isinstance(size, numbers.Integral) and size < 0 for size in sizes):
        raise (TypeError if wrong_type else ValueError)(f"{expected}. Received: {shown(shape)}")
    return sizes


def check_feature_maps(shape: Any, data_format: str, owner: str) -> None:
    """Raises a `ValueError` that names the layer `owner` if `shape` does not fit."""
    shape = checked_shape(shape, owner)
    rank, axis = len(shape), channel_axis(data_format, len(shape))
    if not MIN_RANK <= rank <= MAX_RANK:
        axes = "the batch axis, one to three spatial axes and the channel axis"
        expected = f"of rank {MIN_RANK} to {MAX_RANK}: {axes}"
    elif shape[axis] is None:
        expected = f"whose channel axis ({axis} for data_format={data_format!r}) has a known size"
    elif shape[axis] < 1:
        expected = f"of at least one channel on axis {axis}"
    elif 0 in shape[1:]:
        expected = "with no axis of size 0 but the batch"
    else:
        return
    received = f"inputs.shape={shape} (rank {rank})"
    raise ValueError(f"{owner} expects `inputs` {expected}. Received: {received}")


class FeatureMaps(keras.layers.Layer):
    """A layer over feature maps that checks its input and keeps its shape; see `FeatureDrop`."""

    def __new__(cls, *args: Any, **kwargs: Any) -> Any:
        """Explains a positional argument too many, and an unknown name in place of a known one."""
        spec = inspect.getfullargspec(cls.__init__)
        wrong = [] if spec.varargs else [shown(value) for value in args[len(spec.args) - 1 :]]
        if not kwargs.keys() >= {*spec.kwonlyargs} - {*(spec.kwonlydefaults or ())}:
            starts = [inspect.signature(base.__init__) for base in cls.__mro__]  # type: ignore[misc]
            known = {name for each in starts for name in each.parameters}
            wrong += [f"{name}={shown(kwargs[name])}" for name in kwargs if name not in known]
        if wrong:
            placed = " and ".join(f"`{name}`" for name in spec.args[1:]) or "no argument"
            named = ", ".join(f"`{name}=`" for name in spec.kwonlyargs)
            hint = " (Keras' `rate=0.1` is `retaining_rate=0.9`)" * ("retaining_rate" in named)
            message = f"{cls.__name__} takes {placed} by position; write {named}{hint}. Received: "
            raise ArgumentTypeError.about("rate", message + wrong[0])
        return super().__new__(cls, *args, **kwargs)

    def __init__(self, *, data_format: str | None = None, dtype: Any = None, **kwargs: Any):
        # Keras would not name these, or would repeat the whole config.
        if (name := kwargs.get("name")) is not None and (not isinstance(name, str) or "/" in name):
            raise value_error("name", "a string without `/`", name)
        if not isinstance(trainable := kwargs.get("trainable", True), bool):
            raise type_error("trainable", "a bool", trainable)
        try:
            floating = keras.backend.is_float_dtype(keras.dtype_policies.get(dtype).compute_dtype)
        except Exception:  # Keras reads policies of several forms.
            floating = False
        if not floating:
            expected = "a floating-point dtype or a policy that computes in one"
            raise value_error("dtype", expected, dtype)
        super().__init__(dtype=dtype, **kwargs)
        self.supports_masking = True
        given = keras.config.image_data_format() if data_format is None else data_format
        self.data_format = as_choice("data_format", given, FORMATS)

    def channel_axis(self, inputs: Any) -> int:
        """Returns the axis of the channels, counted from the front."""
        return channel_axis(self.data_format, len(inputs.shape))

    def dtype_of(self, inputs: Any) -> str:
        """Returns the dtype of `inputs` by its Keras name."""
        return keras.backend.standardize_dtype(inputs.dtype)

    def per_map(self, inputs: Any, values: Any) -> Any:
        """Returns `values` of shape (batch, channels) so that they broadcast to `inputs`."""
        return ops.expand_dims(values, spatial_axes(self.channel_axis(inputs), len(inputs.shape)))

    def check_shape(self, shape: Any) -> None:
        """Raises a `ValueError` if `shape` is not that of a batch of feature maps."""
        check_feature_maps(shape, self.data_format, type(self).__name__)

    def checked(self, inputs: Any, training: Any) -> bool:
        """Checks that a tensor, or its spec, is a batch of feature maps; returns `training`."""
        check_dense(inputs, name := type(self).__name__)
        self.check_shape(inputs.shape)
        if not keras.backend.is_float_dtype(dtype := self.dtype_of(inputs)):
            expected = "`inputs` of a floating-point dtype"
            raise ValueError(f"{name} expects {expected}. Received: inputs.dtype={dtype}")
        return is_training(training)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Checks what Keras would convert or refuse without naming it, and calls the layer."""
        if args or "inputs" in kwargs:
            check_dense(args[0] if args else kwargs["inputs"], type(self).__name__)
        is_training(args[1] if len(args) > 1 else kwargs.get("training"))
        return super().__call__(*args, **kwargs)

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Checks the shape; a layer with state creates it here."""
        self.check_shape(input_shape)

    def rematerialized_call(self, layer_call: Any, *args: Any, **kwargs: Any) -> Any:
        """Returns `layer_call`: a drop that is recomputed for the gradient would draw again."""
        return layer_call

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """Returns the input's shape."""
        self.check_shape(input_shape)
        return tuple(input_shape)

    def compute_output_spec(self, inputs: Any, training: bool | None = None) -> keras.KerasTensor:
        """Returns the input's spec, without running `call`."""
        self.checked(inputs, training)
        return keras.KerasTensor(inputs.shape, dtype=inputs.dtype)

    def save_assets(self, folder: str) -> None:
        """Warns once per process; Keras calls this for files that hold the model, not weights."""
        if NOTICES:
            warnings.warn(NOTICES.pop(), stacklevel=2)

    def get_config(self) -> dict[str, Any]:
        """Returns all arguments of the layer."""
        return {**super().get_config(), "data_format": self.data_format}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "FeatureMaps":
        """Creates the layer from `get_config()`."""
        return create(cls, config, ("retaining_rate", "score", "drop"))
