"""Feature maps: where their channels are, and the layer that checks its input to be some."""

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from keras_selectscale.checks import as_choice
from keras_selectscale.layers.backends.configs import check_keras_arguments, create
from keras_selectscale.layers.backends.inputs import check_dense, checked_shape, is_training

MIN_RANK, MAX_RANK = 3, 5
FORMATS = ("channels_last", "channels_first")


def channel_axis(data_format: str, rank: int) -> int:
    """Returns the non-negative axis of the channels in an input of `rank` axes."""
    return rank - 1 if data_format == "channels_last" else 1


def spatial_axes(axis: int, rank: int) -> tuple[int, ...]:
    """Returns the axes of a feature map: all but the batch and the channel axis."""
    return tuple(i for i in range(1, rank) if i != axis)


def may_be_equal(shape: Sequence[int | None], other: Sequence[int | None]) -> bool:
    """Returns whether two shapes agree in their rank and in all sizes that are known."""
    return len(shape) == len(other) and all(
        a == b or a is None or b is None for a, b in zip(shape, other, strict=True)
    )


def check_feature_maps(shape: Any, data_format: str, owner: str) -> None:
    """Raises a `ValueError` that names the layer `owner` if `shape` does not fit."""
    shape = checked_shape(shape, owner)
    expected, rank = "", len(shape)
    if not MIN_RANK <= rank <= MAX_RANK:
        expected = (
            f"of rank {MIN_RANK} to {MAX_RANK}: the batch axis, one to three spatial axes and the "
            f"channel axis. Received: inputs.shape={shape} (rank {rank})"
        )
    elif shape[axis := channel_axis(data_format, rank)] is None:
        expected = (
            f"whose channel axis ({axis} for data_format={data_format!r}) has a known size. "
            f"Received: inputs.shape={shape}"
        )
    elif shape[axis] < 1:
        expected = f"of at least one channel on axis {axis}. Received: inputs.shape={shape}"
    elif 0 in shape[1:]:
        expected = f"with no axis of size 0 but the batch. Received: inputs.shape={shape}"
    if expected:
        raise ValueError(f"{owner} expects `inputs` {expected}")


class FeatureMaps(keras.layers.Layer):
    """A layer over feature maps that checks its input and returns a tensor of the same shape.

    The arguments are those of every layer of this package; see `FeatureDrop`.
    """

    def __init__(self, *, data_format: str | None = None, dtype: Any = None, **kwargs: Any):
        check_keras_arguments(dtype, **kwargs)
        super().__init__(dtype=dtype, **kwargs)
        self.supports_masking = True
        if data_format is None:
            data_format = keras.config.image_data_format()
        self.data_format = as_choice("data_format", data_format, FORMATS)

    def channel_axis(self, inputs: Any) -> int:
        """Returns the axis of the channels, counted from the front."""
        return channel_axis(self.data_format, len(inputs.shape))

    def dtype_of(self, inputs: Any) -> str:
        """Returns the dtype of `inputs` by its Keras name."""
        return keras.backend.standardize_dtype(inputs.dtype)

    def per_map(self, inputs: Any, values: Any) -> Any:
        """Returns `values` of shape (batch, channels) so that they broadcast to `inputs`."""
        axis = self.channel_axis(inputs)
        return ops.expand_dims(values, spatial_axes(axis, len(inputs.shape)))

    def check_shape(self, shape: tuple[int | None, ...]) -> None:
        """Raises a `ValueError` if `shape` is not that of a batch of feature maps."""
        check_feature_maps(shape, self.data_format, type(self).__name__)

    def checked(self, inputs: Any, training: Any) -> bool:
        """Checks that a tensor, or its spec, is a batch of feature maps; returns `training`."""
        check_dense(inputs, type(self).__name__)
        self.check_shape(inputs.shape)
        if not keras.backend.is_float_dtype(dtype := self.dtype_of(inputs)):
            raise ValueError(
                f"{type(self).__name__} expects `inputs` of a floating-point dtype. "
                f"Received: inputs.dtype={dtype}"
            )
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

    def get_config(self) -> dict[str, Any]:
        """Returns all arguments of the layer."""
        return {**super().get_config(), "data_format": self.data_format}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "FeatureMaps":
        """Creates the layer from `get_config()`."""
        return create(cls, config, ("retaining_rate", "score", "drop"))
