"""Configs of layers, scores, schedules and the optimizer, also within a saved model."""

import functools
import json
import pathlib
import zipfile
from collections.abc import Mapping
from typing import Any

import keras
from hypothesis import strategies as st

import keras_selectscale as ks
from keras_selectscale.optimizers import CoupledSGD
from tests.fuzz import layer_calls
from tests.fuzz.damage import NESTED, as_bytes, changed
from tests.fuzz.verdict import Case


def makers() -> dict[str, Any]:
    """Returns makers of the objects, by name."""
    half = keras.optimizers.schedules.PolynomialDecay(1.0, 10, 0.5)
    return {
        **layer_calls.layers(),
        "AveragePoolScore": ks.AveragePoolScore,
        "ExponentialCurriculum": lambda: ks.ExponentialCurriculum(0.2, 10),
        "ScaledDropRate": lambda: ks.ScaledDropRate(half, 0.5),
        "CoupledSGD": lambda: CoupledSGD(0.1),
    }


@functools.cache
def saved(name: str) -> bytes:
    """Returns a model with a layer, as a `.keras` file."""
    path = pathlib.Path("model.keras")
    layer = layer_calls.layers()[name]()
    shape = (3, 4, 4) if layer.data_format == "channels_first" else (4, 4, 3)
    keras.Sequential([keras.Input(shape), layer]).save(path)
    content = path.read_bytes()
    path.unlink()
    return content


@st.composite
def cases(draw: Any) -> Case:
    """Draws a changed config."""
    name = draw(st.sampled_from(sorted(makers())))
    thing = makers()[name]()
    config = json.loads(json.dumps(thing.get_config()))
    if draw(st.integers(0, 15)) == 0:
        after = draw(st.sampled_from([None, [], "x", 1, {}, {"x": 1}, [("seed", 1)]]))
        text, key = f"all by {after!r}", ""
    else:
        text, after, path = draw(changed(config))
        key = str(path[0]) if path else ""
    names = (key, type(thing).__name__) if key in ("", "unexpected") else (key,)
    how = draw(st.sampled_from(["from_config", "from_config", "deserialize", "load_model"]))
    if NESTED in json.dumps(after):  # Keras itself fails to read such a file.
        after, text = _unnested(after), text.replace(NESTED, "900 lists")
    # Keras itself refuses what is no config at all.
    if how == "load_model" and isinstance(after, dict) and name in layer_calls.layers():
        return Case(
            f"{name}.load_model({text})",
            lambda: _load(name, after),
            (*names, "model.keras", "config.json"),
        )

    def call() -> None:
        if how == "deserialize":
            whole = keras.saving.serialize_keras_object(thing)
            keras.saving.deserialize_keras_object({**whole, "config": after})
        else:
            type(thing).from_config(after)

    return Case(f"{name}.{how}({text})", call, names)


def _unnested(content: Any) -> Any:
    """Returns JSON with lists that are nested as deeply as Python can write them."""
    if isinstance(content, Mapping):
        return {key: _unnested(value) for key, value in content.items()}
    return json.loads("[" * 900 + "]" * 900) if content == NESTED else content


def _load(name: str, config: Any) -> None:
    content = saved(name)
    pathlib.Path("before.keras").write_bytes(content)
    with (
        zipfile.ZipFile("before.keras") as before,
        zipfile.ZipFile("model.keras", "w") as after,
    ):
        for entry in before.namelist():
            data = before.read(entry)
            if entry == "config.json":
                model = json.loads(data)
                model["config"]["layers"][1]["config"] = config
                data = as_bytes(model)
            after.writestr(entry, data)
    keras.models.load_model("model.keras")
