"""The constructors of layers, scores, schedules, the optimizer, and the builders of networks."""

from typing import Any

import keras
from hypothesis import strategies as st
from keras.optimizers.schedules import LearningRateSchedule, PolynomialDecay

import keras_selectscale as ks
from keras_selectscale import models, optimizers
from tests.fuzz.arguments import Target, calls
from tests.fuzz.values import (
    Kind,
    boolean,
    choice,
    instance,
    integer,
    number,
    optional,
    unknown,
)
from tests.fuzz.verdict import Case


def rate(low: float = 0, above: bool = False) -> Kind:
    """Returns the kind of rates and their schedules."""
    numbers = number(low, 1, above)

    def allows(value: Any) -> bool | None:
        return None if isinstance(value, LearningRateSchedule) else numbers.allows(value)

    schedules = st.builds(lambda end: PolynomialDecay(1.0, 10, end), st.floats(0.1, 1))
    return Kind(allows, st.one_of(numbers.good, schedules))


FORMATS = optional(choice("channels_last", "channels_first"))
SEED = optional(integer(0, 2**31 - 1))
COMMON = {
    "data_format": FORMATS,
    "seed": SEED,
    "dtype": unknown(None, "float32", "bfloat16", "mixed_float16"),
    "name": Kind(
        lambda value: None if value is None or isinstance(value, str) else False,
        st.sampled_from([None, "x"]),
    ),
}
# A string, or a function.
SCORE = Kind(
    lambda value: (
        None
        if callable(value)
        else choice("max", "average_pool", "global_average", "lowest", "random").allows(value)
    ),
    st.sampled_from(
        ["max", "average_pool", "global_average", "lowest", "random", ks.AveragePoolScore(2)]
    ),
)
TOP = {"top_rate": number(0, 1, above=True), "score": SCORE}
IMAGES = {
    "drop": Kind(
        lambda value: (
            None
            if value is None or callable(value) or isinstance(value, keras.layers.Layer)
            else False
        ),
        st.sampled_from([None, ks.SpatialScale(retaining_rate=0.5)]),
    ),
    "input_shape": Kind(
        lambda value: None if isinstance(value, tuple | list) and len(value) == 3 else False,
        st.sampled_from([(8, 8, 1), (None, None, 3), [16, 16, 3]]),
    ),
    "classes": integer(1, 2**31 - 1),
    "data_format": FORMATS,
    "name": unknown(None, "x"),
}


def _layer(name: str, kinds: dict[str, Kind], *required: str) -> Target:
    return Target(name, getattr(ks, name), {**COMMON, **kinds}, required)


def cases() -> st.SearchStrategy[Case]:
    """Draws constructors and their arguments."""
    divisor, free, steps = rate(0, above=True), rate(), integer(1, 2**31 - 1)
    layers = [
        _layer("StandardDropout", {"retaining_rate": divisor}, "retaining_rate"),
        _layer("SpatialDropout", {"retaining_rate": divisor}, "retaining_rate"),
        _layer("SpatialScale", {"retaining_rate": free}, "retaining_rate"),
        _layer("FeatureDrop", {"retaining_rate": free}, "retaining_rate"),
        _layer("SelectScale", {**TOP, "retaining_rate": free}, "top_rate", "retaining_rate"),
        _layer("Selectout", {**TOP, "retaining_rate": divisor}, "top_rate", "retaining_rate"),
        _layer("DropPath", {"retaining_rate": divisor}, "retaining_rate"),
        _layer(
            "DropBlock",
            {"retaining_rate": divisor, "block_size": integer(1, 2**16), "shared": boolean()},
            "retaining_rate",
        ),
        Target(
            "Selective",
            ks.Selective,
            {
                **{key: kind for key, kind in COMMON.items() if key != "seed"},
                **TOP,
                "drop": instance(
                    keras.layers.Layer,
                    lambda: keras.layers.GaussianDropout(0.2),
                    lambda: ks.SpatialScale(retaining_rate=0.5),
                ),
            },
            ("drop", "top_rate"),
        ),
    ]
    others = [
        Target(
            "AveragePoolScore",
            ks.AveragePoolScore,
            {"window": integer(1, 2**16), "strides": integer(1, 2**16)},
        ),
        Target(
            "ExponentialCurriculum",
            ks.ExponentialCurriculum,
            {"final_rate": number(0, 1), "steps": steps, "decay": number(0, 1e308, above=True)},
            ("final_rate", "steps"),
        ),
        Target(
            "linear_curriculum",
            ks.linear_curriculum,
            {"final_rate": number(0, 1), "steps": steps},
            ("final_rate", "steps"),
        ),
        Target(
            "ScaledDropRate",
            ks.ScaledDropRate,
            {
                "schedule": instance(LearningRateSchedule, lambda: PolynomialDecay(1.0, 10, 0.5)),
                "factor": number(0, 1),
            },
            ("schedule", "factor"),
        ),
        Target(
            "CoupledSGD",
            optimizers.CoupledSGD,
            {
                "learning_rate": Kind(
                    lambda value: None if callable(value) else number(0, 1e38).allows(value),
                    st.floats(0.01, 1),
                ),
                "momentum": number(0, 1),
                "nesterov": boolean(),
                "l2": number(0, 1e38),
                "name": Kind(lambda value: isinstance(value, str), st.just("x")),
            },
        ),
        Target(
            "by_group",
            models.by_group,
            {
                "drop": instance(ks.FeatureDrop, lambda: ks.SpatialScale(retaining_rate=0.5)),
                "factors": unknown({1: 0.5}, {3: 1.0, 2: 0.0}),
            },
            ("drop", "factors"),
        ),
        Target(
            "models.build",
            models.build,
            {"name": choice("resnet-8", "vgg-16", "wrn-14-2"), **_without(IMAGES, "name")},
            ("name",),
            costly=True,
            others=("network",),
        ),
    ]
    builders = [
        Target("CifarResNet", models.CifarResNet, {**_depth(8, 14), "width": integer(1, 1000, 2)}),
        Target(
            "CifarResNeXt",
            models.CifarResNeXt,
            {**_depth(29), "cardinality": integer(1, 1000), "base_width": integer(1, 1000)},
        ),
        Target("VGG", models.VGG, _depth(16)),
        Target("ResNet50", models.ResNet50, {"stem": choice("imagenet", "cifar")}),
    ]
    builders = [
        each._replace(
            kinds={**each.kinds, **IMAGES},
            required=("depth",) if each.name == "CifarResNet" else (),
            costly=True,
        )
        for each in builders
    ]
    return calls([*layers, *layers, *others, *builders])


def _depth(*good: int) -> dict[str, Kind]:
    any_depth = integer(1, 10_000)
    return {"depth": Kind(lambda v: None if any_depth.allows(v) else False, st.sampled_from(good))}


def _without(kinds: dict[str, Kind], name: str) -> dict[str, Kind]:
    return {key: kind for key, kind in kinds.items() if key != name}
