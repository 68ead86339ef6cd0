"""The selecting version of any drop layer."""

import inspect
from typing import Any

import keras
from keras import ops

from keras_selectscale.checks import as_choice, shown, type_error, value_error
from keras_selectscale.layers import factors, feature_maps
from keras_selectscale.layers.feature_drop import FeatureDrop
from keras_selectscale.layers.feature_maps import FORMATS
from keras_selectscale.layers.selection import TopRanked


@keras.saving.register_keras_serializable(package="keras_selectscale")
class Selective(TopRanked):
    """Makes any drop layer selective: it acts only on the most important feature maps.

    "Given a new data drop method, it is easy to construct a 'selecting version'" (Section 5). The
    drop may be a layer of this package or of Keras, such as `keras.layers.GaussianDropout(0.2)`, or
    any layer with a `training` argument that keeps the shape of its input.

        y = drop(x) on the top t feature maps of each sample, x elsewhere

    `Selective(SpatialScale(retaining_rate=q), top_rate=t)` is `SelectScale`.

    The drop draws as it does without `Selective`: under a `tf.distribute` strategy, all replicas
    draw the same with Keras' drops, and different factors with those of this package.

    Args:
        drop: The drop layer; it is the only positional argument.
        top_rate: t in (0, 1], the share of the feature maps of each sample on which it acts.
        score: `"max"` (max |x|, the paper's), `"average_pool"`, `"global_average"`, the controls
            `"random"` and `"lowest"`, or a callable `(inputs, channel_axis) -> (batch, channels)`.
        data_format: `"channels_last"` or `"channels_first"`; `None` takes that of `drop` if it
            has one, and `keras.config.image_data_format()` otherwise.
        **kwargs: `name`, `dtype` and `trainable`. Its seed is that of `drop`.

    Call arguments:
        inputs: Floating-point tensor of rank 3 to 5 with a known number of channels.
        training: Whether to draw. If `False` or omitted, `inputs` is returned unchanged.

    Input shape:
        (batch, ..., channels) or (batch, channels, ...), depending on `data_format`.

    Output shape:
        Same as the input shape.

    Raises:
        TypeError: If an argument has the wrong type.
        ValueError: If an argument is out of range, `drop` has no `training` argument or
            another data format, or the input is not a batch of feature maps.

    Example:

    ```python
    Selective(keras.layers.GaussianDropout(0.2), top_rate=0.2)
    ```

    Reference:
        Section 2.3 and Section 5 of Chen et al., IJCAI 2020.
    """

    def __init__(
        self,
        drop: keras.layers.Layer,
        *,
        top_rate: float,
        score: Any = "max",
        data_format: str | None = None,
        **kwargs: Any,
    ):
        if not isinstance(drop, keras.layers.Layer):
            raise type_error("drop", "a layer, such as SpatialScale(retaining_rate=0.4)", drop)
        if "training" not in inspect.signature(drop.call).parameters:
            raise ValueError(
                "Argument `drop` must be a drop layer, whose `call` has a `training` argument. "
                f"Received: drop={shown(drop)}"
            )
        theirs = getattr(drop, "data_format", None)
        if data_format is None:
            data_format = theirs
        elif theirs is not None and as_choice("data_format", data_format, FORMATS) != theirs:
            raise value_error("data_format", f"that of `drop`, which is {theirs!r}", data_format)
        super().__init__(top_rate=top_rate, score=score, data_format=data_format, **kwargs)
        self.drop = drop
        if getattr(self._score_function, "draws", False) and self.seed_generator is None:
            expected = "one that draws nothing, because `drop` has no `seed_generator`"
            raise value_error("score", expected, score)

    @property
    def seed_generator(self) -> Any:
        """The random state of the drop, or `None` if it has none of this name."""
        return getattr(self.drop, "seed_generator", None)

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Checks the shape and builds the drop."""
        super().build(input_shape)
        if not self.drop.built:
            self.drop.build(input_shape)

    def call(self, inputs: Any, training: bool | None = False) -> Any:
        """Returns the drop's output on the top maps in training, `inputs` itself otherwise."""
        if not self.checked(inputs, training):
            return inputs
        selected = self.per_map(inputs, self.candidates(inputs))
        if self._has_factor:
            factor = self.factor_on(selected, self.drop.next_factor(inputs))
            return factors.apply(factor, inputs, self.drop.may_drop)
        dropped = ops.cast(self.drop(inputs, training=True), inputs.dtype)
        if not feature_maps.may_be_equal(dropped.shape, inputs.shape):
            raise ValueError(
                "Argument `drop` must be a layer that keeps the shape of its input. "
                f"Received: drop={shown(self.drop)}, which makes {tuple(dropped.shape)} of "
                f"{tuple(inputs.shape)}"
            )
        return ops.where(selected, dropped, inputs)

    def factor_on(self, selected: Any, factor: Any) -> Any:
        """Returns the factor of the drop on the selected maps, and 1 elsewhere."""
        chosen = ops.where(selected, factor, ops.ones_like(factor))
        # Keeping a factor of the size of the maps costs more than recomputing it.
        is_one_a_map = chosen.shape[1:] == selected.shape[1:]
        return factors.computed_once(chosen) if is_one_a_map else chosen

    @property
    def _has_factor(self) -> bool:
        # A product with the chosen factor is the same as the choice between two tensors of the
        # size of the input, and moves a fraction of the bytes.
        return (
            isinstance(self.drop, FeatureDrop)
            and type(self.drop).call is FeatureDrop.call
            and self.drop.compute_dtype == self.compute_dtype
            and not self.drop.is_identity
        )

    def save_own_variables(self, store: dict) -> None:
        """Saves the random state of a drop that does not save it itself, such as Keras' own."""
        super().save_own_variables(store)
        if self._holds_seed_state:
            factors.save_seed_state(self.drop.seed_generator, store)

    def load_own_variables(self, store: dict) -> None:
        """Restores what `save_own_variables` saved; ignores the state of another kind of drop."""
        generator = self.drop.seed_generator if self._holds_seed_state else None
        super().load_own_variables(factors.load_seed_state(generator, store))

    @property
    def _holds_seed_state(self) -> bool:
        generator = getattr(self.drop, "seed_generator", None)
        return isinstance(generator, keras.random.SeedGenerator) and not isinstance(
            generator, factors.DropSeedGenerator
        )

    def get_config(self) -> dict[str, Any]:
        """Returns all arguments of the layer, the drop in Keras' serialized form."""
        return {
            **super().get_config(),
            "drop": keras.saving.serialize_keras_object(self.drop),
        }
