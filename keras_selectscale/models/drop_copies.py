"""Copies of a drop layer, one for each site of a network."""

from typing import Any

import keras
import numpy as np

from keras_selectscale.layers.scaled_drop_rate import ScaledDropRate


def copy_for_site(
    template: keras.layers.Layer, site_name: str, factor: float = 1.0
) -> keras.layers.Layer:
    """Returns a copy of a drop layer for one site, called `<site_name>_drop`.

    Each seed that the template has, those of nested layers too, is replaced by one that follows
    from it and from the site's name: one template gives one site the same seed in every network,
    and two sites different ones. `None` stays `None`.

    Args:
        template: The drop layer, which stays as it is.
        site_name: Name of the site.
        factor: Factor of the drop rate: of 1 - `retaining_rate`, be it a number or a schedule, and
            of Keras' `rate`.

    Raises:
        ValueError: Where `factor` is not 1 and the template has no rate.
    """
    config = _with_new_seeds(template.get_config(), site_name)
    if factor != 1.0:
        if not _has_rate(config):
            raise ValueError(
                "Argument `drop` must have a `retaining_rate` or a `rate` to be scaled by a factor "
                f"of {factor:g}; a callable may choose its layers otherwise. Received: "
                f"drop={template!r}"
            )
        config = _with_scaled_rates(config, factor)
    return type(template).from_config({**config, "name": f"{site_name}_drop"})


def _with_new_seeds(config: dict[str, Any], site_name: str, depth: int = 0) -> dict[str, Any]:
    copy = {}
    for key, value in config.items():
        if key == "seed" and value is not None:
            # 31 bits fit the state of a seed generator on every backend.
            sequence = np.random.SeedSequence([value, depth, *site_name.encode()])
            value = int(sequence.generate_state(1)[0] >> 1)
        elif isinstance(value, dict):
            value = _with_new_seeds(value, site_name, depth + 1)
        copy[key] = value
    return copy


def _has_rate(config: dict[str, Any]) -> bool:
    return any(
        key in ("retaining_rate", "rate") or (isinstance(value, dict) and _has_rate(value))
        for key, value in config.items()
    )


def _with_scaled_rates(config: dict[str, Any], factor: float) -> dict[str, Any]:
    copy = {}
    for key, value in config.items():
        if key == "retaining_rate":
            value = _scaled_retaining_rate(value, factor)
        elif key == "rate":
            value = factor * value
        elif isinstance(value, dict):
            value = _with_scaled_rates(value, factor)
        copy[key] = value
    return copy


def _scaled_retaining_rate(rate: Any, factor: float) -> Any:
    if not isinstance(rate, dict):
        return 1.0 - factor * (1.0 - rate)
    schedule = ScaledDropRate(keras.saving.deserialize_keras_object(rate), factor)
    return keras.saving.serialize_keras_object(schedule)
