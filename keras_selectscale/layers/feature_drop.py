"""The base class of the drop layers: a drop method is its factor."""

from typing import Any

import keras
import numpy as np
from keras import ops
from keras.optimizers.schedules import LearningRateSchedule

from keras_selectscale.checks import as_integer
from keras_selectscale.layers import factors, rates
from keras_selectscale.layers.backends import training_steps
from keras_selectscale.layers.feature_maps import FeatureMaps


@keras.saving.register_keras_serializable(package="keras_selectscale")
class FeatureDrop(FeatureMaps):
    """Base of the layers that multiply feature maps by a random factor in training.

    A subclass draws its factor in `draw_factor` and inherits everything else.

        training:    y = r * x      r: the factor, drawn at each call, a constant for the gradient
        otherwise:   y = x          the same tensor

    If r is 0, y and its gradient are 0, whatever x is, infinity and NaN included.

    Args:
        retaining_rate: Number in [0, 1], or (0, 1] if `divides_by_retaining_rate`; 1 is the
            identity, lower is stronger. Or a `keras.optimizers.schedules.LearningRateSchedule` of
            it over the layer's count of training steps, which is saved with the weights. A step is
            one forward pass of the model in training, no matter how often it calls the layer.
        {shared}

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
    training_calls: Any = None  # The count of training steps, by its name in older files.

    def __init__(self, *, retaining_rate: Any, seed: int | None = None, **kwargs: Any):
        super().__init__(**kwargs)
        divides_in = self.compute_dtype if self.divides_by_retaining_rate else None
        self.retaining_rate = rates.as_retaining_rate(retaining_rate, divides_in)
        self.seed = None if seed is None else as_integer("seed", seed, 0, factors.MAX_SEED)
        self.seed_generator = factors.DropSeedGenerator(self.seed)

    @property
    def _is_scheduled(self) -> bool:
        return isinstance(self.retaining_rate, LearningRateSchedule)

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Checks the shape, and creates the count of training steps if there is a schedule."""
        super().build(input_shape)
        if self._is_scheduled and self.training_calls is None:
            self.training_calls = self.add_weight(
                name="training_calls", shape=(), dtype="int32", trainable=False, autocast=False
            )

    def call(self, inputs: Any, training: bool | None = False) -> Any:
        """Returns `factor * inputs` in training, and `inputs` itself otherwise."""
        if not self.checked(inputs, training) or self.is_identity:
            return inputs
        factor = self.next_factor(inputs)
        return factors.apply(factor, inputs, self.may_drop)

    def next_factor(self, inputs: Any) -> Any:
        """Returns the factor of this call, in the dtype of `inputs` and without a gradient."""
        factor = self.draw_factor(inputs, self.next_retaining_rate())
        return ops.cast(ops.stop_gradient(factor), inputs.dtype)

    @property
    def is_identity(self) -> bool:
        """Whether the layer returns its input in training too: the rate is the number 1."""
        return not self._is_scheduled and self.retaining_rate == 1.0

    @property
    def may_drop(self) -> bool:
        """Whether a factor may be 0. If not, a plain product suffices."""
        return True

    def draw_factor(self, inputs: Any, retaining_rate: Any) -> Any:
        """Returns a factor that broadcasts to `inputs`; a subclass must define it.

        The rate is a float, or a scalar float32 tensor if it follows a schedule.
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
        # Rounding must not leave the range, nor a schedule after the steps that were probed.
        return ops.clip(rate, *self.scheduled_range())

    def scheduled_range(self) -> tuple[float, float]:
        """Returns the lowest and the highest rate, to which a schedule is clipped."""
        divides = self.divides_by_retaining_rate
        return (rates.SMALLEST_DIVISORS[self.compute_dtype] if divides else 0.0), 1.0

    def map_shape(self, inputs: Any) -> tuple:
        """Returns (batch, 1, ..., channels), the shape of one factor per feature map."""
        axis = self.channel_axis(inputs)
        sizes = {0: ops.shape(inputs)[0], axis: inputs.shape[axis]}
        return tuple(sizes.get(i, 1) for i in range(len(inputs.shape)))

    def save_own_variables(self, store: dict) -> None:
        """Saves the weights and the random state, so that a loaded layer continues its draws."""
        super().save_own_variables(store)
        factors.save_seed_state(self.seed_generator, store)

    def load_own_variables(self, store: dict) -> None:
        """Restores what `save_own_variables` saved.

        A random state or a count that is missing keeps its value, and a surplus one is ignored.
        """
        store = factors.load_seed_state(self.seed_generator, store)
        own: dict[str, Any] = {}
        super().save_own_variables(own)
        places = [str(place) for place in range(len(store.keys()))]
        if set(places) == set(store.keys()):
            values = self._fitted([store[place] for place in places], list(own.values()))
            store = {str(place): value for place, value in enumerate(values)}
        super().load_own_variables(store)

    @property
    def weights(self) -> list[Any]:
        """Weights, without the count of training steps: like a random state, it is a variable."""
        return [weight for weight in super().weights if weight is not self.training_calls]

    def _fitted(self, values: list[Any], variables: list[Any]) -> list[Any]:
        """Returns a value for each variable, whether or not a count is among the values."""
        count, missing = self.training_calls, len(variables) - len(values)
        counts = [v for v in values if v.shape == () and np.issubdtype(v.dtype, np.integer)]
        if count is None and not self._is_scheduled and missing == -1 and len(counts) == 1:
            return [value for value in values if value is not counts[0]]
        if count is not None and missing == 1 and not counts:
            place = next(i for i, variable in enumerate(variables) if variable is count)
            return [*values[:place], count.numpy(), *values[place:]]
        return values

    def get_config(self) -> dict[str, Any]:
        """Returns all arguments of the layer, a schedule in Keras' serialized form."""
        rate = self.retaining_rate
        rate = keras.saving.serialize_keras_object(rate) if self._is_scheduled else rate
        return {**super().get_config(), "retaining_rate": rate, "seed": self.seed}
