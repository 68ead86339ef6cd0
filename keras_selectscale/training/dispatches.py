"""How many steps of JAX's training loop one dispatch takes."""

import dataclasses
from collections.abc import Iterator

import keras

from keras_selectscale.training.devices import Devices

# With fewer steps, the host has to hurry; after more, a run is slow to stop.
FEWEST, MOST = 10, 50
# What a run's config records if no number was given.
AUTO = "auto"


def steps_per_dispatch(devices: Devices, steps: int) -> int:
    """Returns the largest number of steps per dispatch.

    Unless the devices have a number, it is 1 on a CPU. On other devices it divides the epoch, so
    that a single loop is compiled.

    Args:
        devices: Devices on JAX.
        steps: Number of full batches of an epoch.
    """
    import jax

    if devices.steps_per_dispatch:
        return devices.steps_per_dispatch
    return 1 if jax.default_backend() == "cpu" else dividing(steps)


def dividing(steps: int) -> int:
    """Returns the largest number from 10 to 50 that divides `steps`, or 50 if none does."""
    if steps < FEWEST:
        return max(steps, 1)
    most = min(steps, MOST)
    return next((number for number in range(most, FEWEST - 1, -1) if steps % number == 0), MOST)


def as_begun(devices: Devices, recorded: int | str | None) -> Devices:
    """Returns the devices with the steps per dispatch of a run, unless they have a number.

    Args:
        devices: The devices.
        recorded: `steps_per_dispatch` of the run's config: a number, `"auto"`, or `None` for a run
            of an earlier version, whose loops had 50 steps on a device other than a CPU.
    """
    if devices.steps_per_dispatch is not None or keras.backend.backend() != "jax":
        return devices
    import jax

    if recorded is None and jax.default_backend() != "cpu":
        recorded = MOST
    if not isinstance(recorded, int):
        return devices
    return dataclasses.replace(devices, steps_per_dispatch=recorded)


def dispatches(
    begin: int, images: int, batch_size: int, most: int
) -> Iterator[tuple[int, int, int]]:
    """Yields the first step, the number of steps and the batch size of each dispatch of an epoch.

    Dispatches start at multiples of `most`, wherever a run continues, so that it uses the same
    compiled loops as before. A smaller last batch has its own dispatch.

    Args:
        begin: First step within the epoch.
        images: Number of training images.
        batch_size: Images per step.
        most: Largest number of steps per dispatch.
    """
    whole, rest = divmod(images, batch_size)
    first = begin
    while first < whole:
        count = min(most - first % most, whole - first)
        yield first, count, batch_size
        first += count
    if rest and first == whole:
        yield whole, 1, rest
