"""Calls of layers, scores and other functions of tensors on inputs of every kind."""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from hypothesis import strategies as st

import keras_selectscale as ks
from tests.fuzz.values import Hostile, NoHash, shown
from tests.fuzz.verdict import Case

DTYPES = ("float32", "float64", "float16", "bfloat16", "int32", "uint8", "bool", "complex64")
FLOATS = DTYPES[:4]
SCORES = (
    "max",
    "average_pool",
    "global_average",
    "lowest",
    "random",
    ks.AveragePoolScore(window=2**16, strides=2**16),
    ks.AveragePoolScore(window=5, strides=3),
)
TRAINING: tuple[Any, ...] = (
    "no", "", 2, -1, 0.5, 1.0, [], [True], {}, b"x", np.array([True, False]), np.zeros(3), object(),
    Hostile(), NoHash("no"), "9" * 5000,
)  # fmt: skip


def layers() -> dict[str, Callable[[], keras.layers.Layer]]:
    """Returns makers of a layer of each kind, by name."""
    half = keras.optimizers.schedules.PolynomialDecay(1.0, 10, 0.5)
    made = {
        "StandardDropout": lambda: ks.StandardDropout(retaining_rate=0.5),
        "SpatialDropout": lambda: ks.SpatialDropout(retaining_rate=0.5),
        "SpatialScale": lambda: ks.SpatialScale(retaining_rate=0.5),
        "SpatialScale(1)": lambda: ks.SpatialScale(retaining_rate=1.0),
        "SpatialScale(schedule)": lambda: ks.SpatialScale(retaining_rate=half),
        "SpatialScale(first)": lambda: ks.SpatialScale(
            retaining_rate=0.5, data_format="channels_first"
        ),
        "DropPath": lambda: ks.DropPath(retaining_rate=0.5),
        "DropBlock": lambda: ks.DropBlock(retaining_rate=0.5),
        "DropBlock(shared)": lambda: ks.DropBlock(
            retaining_rate=0.5, block_size=2, shared=True, data_format="channels_first"
        ),
        "Selective": lambda: ks.Selective(keras.layers.GaussianDropout(0.2), top_rate=0.5),
        "Selective(DropBlock)": lambda: ks.Selective(
            ks.DropBlock(retaining_rate=0.5), top_rate=0.5, score="average_pool"
        ),
        "Selectout": lambda: ks.Selectout(top_rate=0.5, retaining_rate=0.7),
    }
    for number, score in enumerate(SCORES):
        made[f"SelectScale(score {number})"] = lambda score=score: ks.SelectScale(
            top_rate=0.5, retaining_rate=0.5, score=score
        )
    return made


def _tensor(shape: tuple[int, ...], dtype: str, fill: float) -> Any:
    return keras.ops.cast(keras.ops.full(shape, fill, "float32"), dtype)


@st.composite
def tensors(draw: Any) -> tuple[str, Callable[[], Any], bool]:
    """Draws an input: its text, its maker, and whether every layer must refuse it."""
    form = draw(st.sampled_from(["eager"] * 4 + ["array", "spec", "variable"]))
    rank = draw(st.sampled_from([0, 1, 2, 3, 3, 4, 4, 4, 4, 5, 5, 6, 7]))
    # DropPath takes every rank from 2 on.
    shape = tuple(draw(st.sampled_from([0, 1, 1, 2, 3, 5])) for _ in range(rank))
    dtype = draw(st.sampled_from(FLOATS * 3 + DTYPES))
    fill = draw(st.sampled_from([0.0, 1.0, -2.5, np.nan, np.inf]))
    text = f"{form} {dtype} {shape} of {fill}"
    # Keras casts arrays to the layer's dtype, and leaves integer tensors alone.
    refused = rank < 2
    if form == "spec":
        shape = tuple(draw(st.sampled_from([None, size])) for size in shape)
        return f"spec {dtype} {shape}", lambda: keras.KerasTensor(shape, dtype), refused
    if form == "array":
        numbers = "float32" if dtype == "bfloat16" else dtype

        def array() -> Any:
            with np.errstate(invalid="ignore"):
                return np.full(shape, fill, "float32").astype(numbers)

        return text, array, refused
    if form == "variable":
        dtype = dtype if dtype in FLOATS else "float32"
        text = f"variable {dtype} {shape} of {fill}"
        return text, lambda: keras.Variable(_tensor(shape, dtype, fill), dtype=dtype), refused
    return text, lambda: _tensor(shape, dtype, fill), refused


def _odd() -> list[tuple[str, Callable[[], Any], bool]]:
    """Returns inputs that are no tensors."""
    ones = np.ones((2, 4, 4, 3), "float32")
    odd: list[tuple[str, Callable[[], Any], bool]] = [
        ("None", lambda: None, True),
        ("'x'", lambda: "x", True),
        ("bytes", lambda: b"x", True),
        ("1.5", lambda: 1.5, True),
        ("an object", object, True),
        ("a hostile object", Hostile, True),
        ("a set", lambda: {1.0}, True),
        ("[]", list, True),
        ("{}", dict, True),
        ("a dict", lambda: {"x": keras.ops.convert_to_tensor(ones)}, True),
        ("a list of tensors", lambda: [keras.ops.convert_to_tensor(ones)] * 2, True),
        ("a nested list", lambda: [[[[1.0]]], [[[2.0]]]], False),
        ("a ragged list", lambda: [[[[1.0], [2.0]]], [[[2.0]]]], True),
        ("a list of strings", lambda: [[["a"]]], True),
        ("strings", lambda: np.full((2, 3, 3, 1), "a"), True),
        ("objects", lambda: np.full((2, 3, 3, 1), None, object), True),
        ("a model", lambda: keras.Sequential(), True),
        ("a layer", lambda: keras.layers.Dense(1), True),
    ]
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        odd += [
            ("a string tensor", lambda: tf.fill((2, 3, 3, 1), "a"), True),
            ("a sparse tensor", lambda: tf.sparse.from_dense(ones), True),
            ("a ragged tensor", lambda: tf.ragged.constant([[[1.0], [2.0]], [[3.0]]]), True),
            ("a dataset", lambda: tf.data.Dataset.range(3), True),
            ("a tensor spec", lambda: tf.TensorSpec((2, 3, 3, 1)), True),
            ("indexed slices", lambda: tf.IndexedSlices(tf.ones((1, 3, 3, 1)), [0]), True),
            ("a tensor array", lambda: tf.TensorArray("float32", 2), True),
        ]
    elif keras.backend.backend() == "torch":
        import torch

        odd += [
            ("a meta tensor", lambda: torch.ones((2, 4, 4, 3), device="meta"), False),
            ("a sparse tensor", lambda: torch.ones((2, 4, 4, 3)).to_sparse(), True),
            ("a quantized tensor", lambda: torch.quantize_per_tensor(
                torch.ones((2, 4, 4, 3)), 0.1, 0, torch.quint8), True),
            ("a nested tensor", lambda: torch.nested.nested_tensor([torch.ones(2, 3)]), True),
        ]  # fmt: skip
    elif keras.backend.backend() == "jax":
        from jax.experimental import sparse

        odd.append(("a sparse tensor", lambda: sparse.BCOO.fromdense(ones), True))
    return odd


@st.composite
def cases(draw: Any) -> Case:
    """Draws a call of a layer, or of one of its functions of shapes."""
    name = draw(st.sampled_from(sorted(layers())))
    make = layers()[name]
    how = draw(st.sampled_from(["call"] * 8 + ["shape", "spec", "build", "eager call()"]))
    if how in ("shape", "build"):
        shape, refused = draw(shapes())
        if how == "shape":
            return Case(
                f"{name}.compute_output_shape({shown(shape)})",
                lambda: make().compute_output_shape(shape),
                ("input_shape", "inputs"),
                refused,
            )
        return Case(
            f"{name}.build({shown(shape)})",
            lambda: make().build(shape),
            ("input_shape", "inputs"),
            refused,
        )
    text, inputs, refused = draw(
        st.one_of(tensors(), tensors(), tensors(), st.sampled_from(_odd()))
    )
    training = draw(st.sampled_from([True, True, True, False, None, "bad"]))
    must_fail = refused
    if training == "bad":
        training = draw(st.sampled_from(TRAINING))
        must_fail = True

    def call() -> None:
        layer, x = make(), inputs()
        if how == "spec":
            layer.compute_output_spec(x, training=training)
        elif how == "eager call()" and keras.ops.is_tensor(x):
            layer.build((None, 4, 4, 3) if layer.data_format == "channels_last" else (None, 3, 4))
            layer.call(x, training=training)
        else:
            outputs = layer(x, training=training)
            if not isinstance(outputs, keras.KerasTensor):
                keras.ops.convert_to_numpy(outputs)

    return Case(
        f"{name}.{how}({text}, training={shown(training)})",
        call,
        ("inputs", "training"),
        must_fail,
    )


@st.composite
def shapes(draw: Any) -> tuple[Any, bool]:
    """Draws a shape, and whether it must be refused."""
    if draw(st.integers(0, 2)) == 0:
        bad = st.sampled_from(
            [None, 3, "x", [], (), {}, {"a": (2, 3, 3, 1)}, [(2, 3, 3, 1)] * 2, (2, "x", 3, 1),
             (2, 3.5, 3, 1), (2, -1, 3, 1), (None, True, 3, 1), (2, 3, [3], 1), b"abcd",
             np.array([2, -3, 3, 1]), (2, 3, 3, np.nan), (2, 3, 3, None)]
        )  # fmt: skip
        shape = draw(bad)
        # Without a known number of channels, a layer that needs none may work.
        return shape, shape[-1:] != (None,) if isinstance(shape, tuple) else True
    rank = draw(st.integers(0, 7))
    sizes = st.sampled_from([None, 0, 1, 2, 3, 8, 2**40])
    shape = tuple(draw(sizes) for _ in range(rank))
    return shape, rank < 2
