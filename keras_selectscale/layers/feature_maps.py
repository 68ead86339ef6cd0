"""What every layer of this package knows of its input: a batch of feature maps."""

from typing import Any

import keras
from keras import ops

from keras_selectscale.layers import layout


class FeatureMaps(keras.layers.Layer):
    """A layer over a batch of feature maps, which gives out what has the shape of its input.

    It holds the data format and the checks of the input; it draws nothing.

    Args:
        data_format: `"channels_last"` or `"channels_first"`; `None` takes
            `keras.config.image_data_format()`.
        dtype: Dtype or dtype policy of the layer, which must compute in floating point.
        **kwargs: `name` and `trainable` as in `keras.layers.Layer`.
    """

    def __init__(self, *, data_format: str | None = None, dtype: Any = None, **kwargs: Any):
        super().__init__(dtype=dtype, **kwargs)
        self.supports_masking = True
        if data_format is None:
            data_format = keras.config.image_data_format()
        if data_format not in ("channels_last", "channels_first"):
            raise ValueError(
                'Argument `data_format` must be "channels_last", "channels_first" or None. '
                f"Received: data_format={data_format!r}"
            )
        self.data_format = data_format
        if not keras.backend.is_float_dtype(self.compute_dtype):
            raise ValueError(
                "Argument `dtype` must be a floating-point dtype or a policy that computes in one. "
                f"Received: dtype={dtype!r}"
            )

    def channel_axis(self, inputs: Any) -> int:
        """Returns the axis of the channels, counted from the front."""
        return layout.channel_axis(self.data_format, len(inputs.shape))

    def dtype_of(self, inputs: Any) -> str:
        """Returns the dtype of `inputs` by its Keras name."""
        return keras.backend.standardize_dtype(inputs.dtype)

    def per_map(self, inputs: Any, values: Any) -> Any:
        """Returns `values` of shape (batch, channels) so that they broadcast to `inputs`."""
        axis = self.channel_axis(inputs)
        return ops.expand_dims(values, layout.spatial_axes(axis, len(inputs.shape)))

    def check_inputs(self, inputs: Any) -> None:
        """Raises where `inputs`, a tensor or its spec, is no batch of feature maps."""
        self.check_shape(inputs.shape)
        dtype = self.dtype_of(inputs)
        if not keras.backend.is_float_dtype(dtype):
            raise ValueError(
                f"{type(self).__name__} expects `inputs` of a floating-point dtype. "
                f"Received: inputs.dtype={dtype}"
            )

    def check_shape(self, shape: tuple[int | None, ...]) -> None:
        """Raises a `ValueError` if `shape` is not that of a batch of feature maps."""
        layout.check_feature_maps(shape, self.data_format, type(self).__name__)

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Checks the shape; a layer with state makes it here."""
        self.check_shape(input_shape)

    def rematerialized_call(self, layer_call: Any, *args: Any, **kwargs: Any) -> Any:
        """Returns `layer_call` itself, in a `keras.RematScope` too.

        Computed again for the gradient, a drop would draw another factor. It keeps no activation
        that recomputation could save.
        """
        return layer_call

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """Returns the input's shape."""
        self.check_shape(input_shape)
        return tuple(input_shape)

    def compute_output_spec(self, inputs: Any, training: bool | None = None) -> keras.KerasTensor:
        """Returns the input's spec, without running `call`."""
        self.check_inputs(inputs)
        return keras.KerasTensor(inputs.shape, dtype=inputs.dtype)

    def get_config(self) -> dict[str, Any]:
        """Returns every argument of the layer."""
        return {**super().get_config(), "data_format": self.data_format}
