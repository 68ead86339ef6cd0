"""Curriculum drop: retaining rates that fall from 1 during training (Section 3.4).

"The co-adaptations will not occur at the beginning of training, because the networks are
initialized randomly": no drop at first, the full drop at the end. Each helper gives a schedule for
`retaining_rate=`, over the layer's own count of training steps.
"""

from keras.optimizers.schedules import LearningRateSchedule, PolynomialDecay

from keras_selectscale.layers import rates
from keras_selectscale.layers.exponential_curriculum import ExponentialCurriculum


def linear_curriculum(final_rate: float, steps: int) -> LearningRateSchedule:
    """Returns a rate that falls linearly from 1 to `final_rate` over `steps`, the paper's form.

        rate(step) = 1 - (1 - final_rate) * min(step / steps, 1)

    Args:
        final_rate: Rate at the end, in [0, 1].
        steps: Steps (batches) of the whole training, a positive integer.

    Raises:
        TypeError: Where `final_rate` is no number.
        ValueError: Where an argument is out of its range.

    Example:

    ```python
    SelectScale(top_rate=0.1, retaining_rate=linear_curriculum(0.2, steps=390 * 200))
    ```
    """
    return PolynomialDecay(1.0, rates.as_steps(steps), rates.as_final_rate(final_rate))


def exponential_curriculum(
    final_rate: float, steps: int, decay: float = 10.0
) -> LearningRateSchedule:
    """Returns a rate that falls exponentially from 1 towards `final_rate`, Morerio et al.'s form.

    The arguments are those of `ExponentialCurriculum`.
    """
    return ExponentialCurriculum(final_rate, steps, decay)
