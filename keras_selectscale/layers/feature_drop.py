"""The base of the drop layers."""

from typing import Any

import keras
from keras import ops
from keras.optimizers.schedules import LearningRateSchedule

from keras_selectscale.layers import (
    drop_seed_generator,
    factors,
    layout,
    rates,
    step_count,
    training_steps,
)
from keras_selectscale.layers.drop_seed_generator import DropSeedGenerator
from keras_selectscale.layers.feature_maps import FeatureMaps


@keras.saving.register_keras_serializable(package="keras_selectscale")
class FeatureDrop(FeatureMaps):
    """Base of the layers that multiply feature maps by a random factor in training.

    A drop method is its factor; a subclass says how it is drawn, in `draw_factor`, and has the
    rest from here: the training flag, the seed and its saving, rates that follow a schedule,
    checks and config.

        training:    y = r * x      r: the factor, drawn at each call, a constant for the gradient
        otherwise:   y = x          the same tensor

    If r is 0, y and its gradient are 0, whatever x is, infinity and NaN included.

    Args:
        retaining_rate: Float, or a `keras.optimizers.schedules.LearningRateSchedule` over the
            layer's count of training steps, which is saved with the weights. A step is one forward
            pass of the model in training, however often the layer is called in it. 1 is the
            identity, lower is stronger. The range is [0, 1], or (0, 1] if the method divides by it
            (`divides_by_retaining_rate`).
        data_format: `"channels_last"` or `"channels_first"`; `None` takes
            `keras.config.image_data_format()`.
        seed: Integer in [0, 2**31), or `None` for one of the layer's own.
        name: Name of the layer.
        dtype: Dtype or dtype policy of the layer.
        trainable: Kept for the config; there is nothing to train.

    Call arguments:
        inputs: Floating-point tensor of rank 3 to 5 with a known number of channels.
        training: Whether to draw. `False` and absent give `inputs` itself.

    Input shape:
        (batch, steps, channels) to (batch, d1, d2, d3, channels), or with the channels on axis 1
        for `data_format="channels_first"`.

    Output shape:
        That of the input.

    Raises:
        TypeError: Where a rate is no number.
        ValueError: Where an argument is out of its range, or the input is no batch of feature maps.

    Example:

    ```python
    @keras.saving.register_keras_serializable(package="mine")
    class SignFlip(FeatureDrop):
        def draw_factor(self, inputs, retaining_rate):
            noise = keras.random.uniform(self.map_shape(inputs), seed=self.seed_generator)
            return ops.where(noise < retaining_rate, 1.0, -1.0)
    ```
    """

    divides_by_retaining_rate = False
    # The count of training steps. It keeps the name that it has in older files.
    training_calls: Any = None

    def __init__(
        self,
        *,
        retaining_rate: float | LearningRateSchedule,
        data_format: str | None = None,
        seed: int | None = None,
        name: str | None = None,
        dtype: Any = None,
        trainable: bool = True,
        **kwargs: Any,
    ):
        super().__init__(
            data_format=data_format, name=name, dtype=dtype, trainable=trainable, **kwargs
        )
        self.retaining_rate = rates.as_retaining_rate(
            retaining_rate, divides=self.divides_by_retaining_rate
        )
        if self.divides_by_retaining_rate:
            rates.check_inverse_fits(self.retaining_rate, self.compute_dtype)
        self.seed = drop_seed_generator.as_seed(seed)
        self.seed_generator = DropSeedGenerator(self.seed)

    @property
    def _is_scheduled(self) -> bool:
        return isinstance(self.retaining_rate, LearningRateSchedule)

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Checks the shape, and creates the count of training steps if there is a schedule."""
        super().build(input_shape)
        if self._is_scheduled and self.training_calls is None:
            self.training_calls = self.add_weight(
                name="training_calls",
                shape=(),
                dtype="int32",
                initializer="zeros",
                trainable=False,
                autocast=False,
            )

    def call(self, inputs: Any, training: bool | None = False) -> Any:
        """Returns `factor * inputs` in training and `inputs` itself otherwise."""
        self.check_inputs(inputs)
        if not training or self.is_identity:
            return inputs
        factor = self.next_factor(inputs)
        return factors.apply(factor, inputs) if self.may_drop else factor * inputs

    def next_factor(self, inputs: Any) -> Any:
        """Returns the factor of this training call.

        Args:
            inputs: The layer's input.

        Returns:
            A tensor in the dtype of `inputs` that broadcasts to it. No gradient flows through it.
        """
        factor = self.draw_factor(inputs, self.next_retaining_rate())
        return ops.cast(ops.stop_gradient(factor), inputs.dtype)

    @property
    def is_identity(self) -> bool:
        """Whether the layer returns its input in training too: the rate is the number 1."""
        return not self._is_scheduled and self.retaining_rate == 1.0

    @property
    def may_drop(self) -> bool:
        """Whether a factor may be 0. If not, a plain product does."""
        return True

    def draw_factor(self, inputs: Any, retaining_rate: Any) -> Any:
        """Draws the factor; the one thing that a subclass must say.

        Args:
            inputs: The layer's input.
            retaining_rate: The rate of this call: a float, or a scalar float32 tensor if it follows
                a schedule.

        Returns:
            A tensor that broadcasts to `inputs`.
        """
        raise NotImplementedError(f"{type(self).__name__} must define `draw_factor`.")

    def next_retaining_rate(self) -> Any:
        """Returns the rate of this training step, which the first call in the step counts."""
        if not self._is_scheduled:
            return self.retaining_rate
        return training_steps.once_a_step(self, self._begin_step)

    def _begin_step(self) -> Any:
        rate = self.current_retaining_rate()
        self.training_calls.assign(self.training_calls + 1)
        return rate

    def current_retaining_rate(self) -> Any:
        """Returns the rate after the steps counted so far, and does not count."""
        if not isinstance(self.retaining_rate, LearningRateSchedule):
            return self.retaining_rate
        rate = ops.cast(self.retaining_rate(self.training_calls), "float32")
        # Rounding must not leave the range, nor a schedule past the steps that were probed.
        return ops.clip(rate, *self.scheduled_range())

    def scheduled_range(self) -> tuple[float, float]:
        """Returns the lowest and the highest rate to which a schedule is held."""
        divides = self.divides_by_retaining_rate
        return (rates.smallest_divisor(self.compute_dtype) if divides else 0.0), 1.0

    def map_shape(self, inputs: Any) -> tuple:
        """Returns (batch, 1, …, channels): the shape of one factor a feature map a sample."""
        shape = [1] * len(inputs.shape)
        axis = layout.channel_axis(self.data_format, len(shape))
        shape[0], shape[axis] = ops.shape(inputs)[0], inputs.shape[axis]
        return tuple(shape)

    def save_own_variables(self, store: dict) -> None:
        """Saves the weights and the random state, so that a loaded layer goes on with its draws."""
        super().save_own_variables(store)
        drop_seed_generator.save_seed_state(self.seed_generator, store)

    def load_own_variables(self, store: dict) -> None:
        """Restores what `save_own_variables` saved.

        The random state and the count of training steps stay as they are if the file lacks them,
        and a count is ignored if the rate is constant.
        """
        store = drop_seed_generator.load_seed_state(self.seed_generator, store)
        own: dict[str, Any] = {}
        super().save_own_variables(own)
        places = [str(place) for place in range(len(store.keys()))]
        if set(places) == set(store.keys()):
            values = self._fitted([store[place] for place in places], list(own.values()))
            store = {str(place): value for place, value in enumerate(values)}
        super().load_own_variables(store)

    def set_weights(self, weights: list[Any]) -> None:
        """Sets the values of the weights from a list of arrays.

        The count of training steps may be missing or left over, as in `load_own_variables`.
        """
        super().set_weights(self._fitted(weights, self.weights))

    def _fitted(self, values: list[Any], variables: list[Any]) -> list[Any]:
        if self._is_scheduled and self.training_calls is None:
            return values  # It is not built; Keras says so.
        return step_count.fitted(values, variables, self.training_calls)

    def get_config(self) -> dict[str, Any]:
        """Returns every argument of the layer, a schedule in Keras' serialised form."""
        rate = self.retaining_rate
        if self._is_scheduled:
            rate = keras.saving.serialize_keras_object(rate)
        return {**super().get_config(), "retaining_rate": rate, "seed": self.seed}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "FeatureDrop":
        """Makes the layer again from `get_config()`."""
        rate = config["retaining_rate"]
        if isinstance(rate, dict):
            rate = keras.saving.deserialize_keras_object(rate)
        return super().from_config({**config, "retaining_rate": rate})
