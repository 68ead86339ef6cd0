"""Copies of a drop layer, one for each site of a network."""

from typing import Any

import keras
import numpy as np

from keras_selectscale.checks import shown
from keras_selectscale.layers.schedules import ScaledDropRate
from keras_selectscale.models.remake import remake

RATES = ("retaining_rate", "rate")


def copy_for_site(
    template: keras.layers.Layer,
    site_name: str,
    factor: float = 1.0,
    *,
    data_format: str | None = None,
    dtype: str | None = None,
) -> keras.layers.Layer:
    """Returns a copy of a drop layer for one site, called `<site_name>_drop`.

    Each seed of the template and of its nested layers is replaced by one that is derived from it
    and from the site's name. With the same template, a site therefore has the same seed in every
    network, and two sites have different seeds. `None` stays `None`.

    Args:
        template: The drop layer, which does not change.
        site_name: Name of the site.
        factor: Factor of the drop rate, which is 1 - `retaining_rate` (a number or a schedule), or
            Keras' `rate`.
        data_format: Data format of the copy and of drops inside it; `None` for the template's.
        dtype: Dtype of the copy; `None` for the template's.

    Raises:
        ValueError: If `factor` is not 1 and the template has no rate.
    """

    def for_site(config: dict[str, Any]) -> dict[str, Any]:
        config = _with_new_seeds(config, site_name)
        if factor != 1.0:
            if not _has_rate(config):
                raise ValueError(
                    "Argument `drop` must have a `retaining_rate` or a `rate` to be scaled by a "
                    f"factor of {factor:g}; a callable may choose its layers otherwise. Received: "
                    f"drop={shown(template)}"
                )
            config = _with_scaled_rates(config, factor)
        if data_format is not None:
            config = _with_data_format(config, data_format)
        if dtype is not None:
            config["dtype"] = dtype
        return {**config, "name": f"{site_name}_drop"}

    return remake(template, for_site)


def _with_new_seeds(config: Any, site_name: str, place: tuple[int, ...] = ()) -> Any:
    """Replaces seeds; `place`, the positions that lead to a nested layer, distinguishes them."""
    if isinstance(config, (list, tuple)):
        return type(config)(
            _with_new_seeds(value, site_name, (*place, number))
            for number, value in enumerate(config)
        )
    if not isinstance(config, dict):
        return config
    copy = {}
    for key, value in config.items():
        if key == "seed" and value is not None:
            # 31 bits fit the state of a seed generator on every backend.
            sequence = np.random.SeedSequence([value, len(place), *place, *site_name.encode()])
            copy[key] = int(sequence.generate_state(1)[0] >> 1)
        else:
            copy[key] = _with_new_seeds(value, site_name, (*place, 0))
    return copy


def _with_data_format(config: Any, data_format: str) -> Any:
    if isinstance(config, (list, tuple)):
        return type(config)(_with_data_format(value, data_format) for value in config)
    if not isinstance(config, dict):
        return config
    return {
        key: data_format if key == "data_format" else _with_data_format(value, data_format)
        for key, value in config.items()
    }


def _has_rate(config: Any) -> bool:
    if isinstance(config, (list, tuple)):
        return any(_has_rate(value) for value in config)
    return isinstance(config, dict) and any(
        key in RATES or _has_rate(value) for key, value in config.items()
    )


def _with_scaled_rates(config: Any, factor: float) -> Any:
    if isinstance(config, (list, tuple)):
        return type(config)(_with_scaled_rates(value, factor) for value in config)
    if not isinstance(config, dict):
        return config
    copy = {}
    for key, value in config.items():
        if key == "retaining_rate":
            copy[key] = _scaled_retaining_rate(value, factor)
        elif key == "rate":
            copy[key] = factor * value
        else:
            copy[key] = _with_scaled_rates(value, factor)
    return copy


def _scaled_retaining_rate(rate: Any, factor: float) -> Any:
    if isinstance(rate, dict):
        rate = keras.saving.deserialize_keras_object(rate)
    if isinstance(rate, keras.optimizers.schedules.LearningRateSchedule):
        return ScaledDropRate(rate, factor)
    return 1.0 - factor * (1.0 - rate)
