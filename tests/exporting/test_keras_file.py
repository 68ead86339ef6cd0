import json
import os
import subprocess
import sys
import zipfile

import keras
import numpy as np
import pytest

from keras_selectscale import SelectScale, export, verify_export
from keras_selectscale.exporting import ExportError
from tests.exporting.models import MODELS, Subclassed

# A process in which this package cannot be imported.
LOAD = """
import sys
sys.modules["keras_selectscale"] = None
import keras, numpy as np
for path in sys.argv[1:]:
    model = keras.models.load_model(path)
    inputs = np.load(path + ".inputs.npz")
    values = {name: inputs[name] for name in inputs}
    outputs = model(values if len(values) > 1 else next(iter(values.values())))
    outputs = keras.tree.flatten(outputs)
    np.savez(path + ".outputs.npz", *[keras.ops.convert_to_numpy(y) for y in outputs])
    assert not hasattr(model, "optimizer") or model.optimizer is None
"""
KINDS = [m for m in MODELS if m not in ("subclassed", "several", "recurrent")]


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """Returns the models, and the folder of their exports with inputs."""
    folder = tmp_path_factory.mktemp("keras")
    models = {}
    generator = np.random.default_rng(0)
    for name in KINDS:
        models[name] = model = MODELS[name]()
        report = export(model, folder / f"{name}.keras", "keras")
        assert report.passed and report.largest_difference == 0.0
        values = {}
        for tensor in model.inputs:
            shape = [2 if name != "fixed_batch" else 4, *(n or 16 for n in tensor.shape[1:])]
            values[tensor.name] = generator.integers(0, 3, shape).astype(tensor.dtype)
        np.savez(folder / f"{name}.keras.inputs.npz", **values)
    return models, folder


@pytest.fixture(scope="module")
def loaded_elsewhere(exported):
    """Runs the exports in another process."""
    models, folder = exported
    done = subprocess.run(
        [sys.executable, "-c", LOAD, *(str(folder / f"{name}.keras") for name in KINDS)],
        env={**os.environ, "PYTHONPATH": ""},
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    return models, folder


@pytest.mark.slow
@pytest.mark.parametrize("name", [m for m in KINDS if m not in ("monte_carlo", "in_bfloat16")])
def test_it_loads_where_this_package_is_not_and_gives_the_same(loaded_elsewhere, name):
    models, folder = loaded_elsewhere
    inputs = dict(np.load(folder / f"{name}.keras.inputs.npz"))
    found = np.load(folder / f"{name}.keras.outputs.npz")
    values = inputs if len(inputs) > 1 else next(iter(inputs.values()))
    expected = keras.tree.flatten(models[name](values, training=False))
    assert len(found.files) == len(expected)
    for file, value in zip(found.files, expected, strict=True):
        value = keras.ops.convert_to_numpy(value)
        np.testing.assert_allclose(found[file], value, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("name", KINDS)
def test_the_file_names_no_class_of_this_package_and_no_drop(exported, name):
    _, folder = exported
    with zipfile.ZipFile(folder / f"{name}.keras") as archive:
        config = archive.read("config.json").decode()
    assert "selectscale" not in config and "Dropout" not in config
    assert not json.loads(config).get("compile_config")


def test_a_compiled_model_stays_compiled_and_its_optimizer_at_home(exported):
    models, folder = exported
    assert models["sequential"].optimizer.iterations == 1
    with zipfile.ZipFile(folder / "sequential.keras") as archive:
        assert b"optimizer" not in archive.read("model.weights.h5")


def test_drops_inside_of_recurrent_layers_are_refused_by_name(tmp_path):
    with pytest.raises(ValueError, match=r"lstm.*\(dropout=0.5\)"):
        export(MODELS["recurrent"](), tmp_path / "model.keras", "keras")
    assert list(tmp_path.iterdir()) == []


def test_a_subclassed_model_with_drops_is_refused_with_what_to_do(tmp_path):
    with pytest.raises(ValueError, match="subclassed.*Functional"):
        export(MODELS["subclassed"](), tmp_path / "model.keras", "keras")
    assert list(tmp_path.iterdir()) == []


@keras.saving.register_keras_serializable(package="tests")
class Plain(keras.Model):
    """A subclassed model without drops."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.dense = keras.layers.Dense(2)

    def call(self, inputs):
        return self.dense(inputs)


def test_a_subclassed_model_without_drops_is_written_and_stays_compiled(tmp_path):
    model = Plain()
    model.compile("adam", "mse")
    model.fit(np.ones((2, 3)), np.zeros((2, 2)), verbose=0)
    optimizer = model.optimizer
    assert export(model, tmp_path / "model.keras", "keras").passed
    assert model.compiled and model.optimizer is optimizer and optimizer.iterations == 1
    assert keras.models.load_model(tmp_path / "model.keras").compiled is False


def test_a_plain_save_does_not_pass(tmp_path):
    inputs = keras.Input((4, 3))
    x = SelectScale(top_rate=0.5, retaining_rate=0.0)(inputs)
    model = keras.Model(inputs, keras.layers.Dropout(0.5)(keras.layers.Dense(2)(x)))
    model.compile("adam", "mse")
    model.save(tmp_path / "model.keras")
    report = verify_export(tmp_path / "model.keras", model)
    assert not report.passed and report.largest_difference == 0.0
    assert report.random_nodes == ("Dropout", "SelectScale")
    text = " ".join(report.reasons)
    assert "needs keras_selectscale" in text and "compilation" in text


def test_other_weights_do_not_pass(tmp_path):
    model = MODELS["fixed_batch"]()
    export(model, tmp_path / "model.keras", "keras")
    kernel = model.get_layer("out").kernel
    kernel.assign(kernel + 1.0)
    report = verify_export(tmp_path / "model.keras", model)
    assert not report.passed and report.largest_difference > 0.1
    assert any("lacks 1 of the 2 weights" in reason for reason in report.reasons)


def test_the_model_that_it_is_held_against_may_be_subclassed(tmp_path):
    report = verify_export_of_a_subclassed(tmp_path)
    assert not report.passed and "Selectout" in report.random_nodes


def verify_export_of_a_subclassed(folder):
    model = Subclassed()
    x = {"image": np.ones((2, 6, 7, 3), "float32"), "steps": np.ones((2, 3, 4), "float32")}
    model(x)
    model.save(folder / "model.keras")
    return verify_export(folder / "model.keras", model)


def test_attention_without_a_rate_holds_no_drop(tmp_path):
    inputs = keras.Input((6, 4))
    attended = keras.layers.MultiHeadAttention(2, 2)(inputs, inputs)
    model = keras.Model(inputs, keras.layers.GlobalAveragePooling1D()(attended))
    assert export(model, tmp_path / "attention.keras", "keras").passed


def test_two_models_inside_may_have_layers_of_one_name(tmp_path):
    def encoder(name):
        inputs = keras.Input((8, 7, 3))
        return keras.Model(inputs, keras.layers.Conv2D(4, 3, name="conv")(inputs), name=name)

    inputs = keras.Input((8, 7, 3))
    both = keras.layers.Concatenate()([encoder("left")(inputs), encoder("right")(inputs)])
    report = export(keras.Model(inputs, both), tmp_path / "both.keras", "keras")
    assert report.passed and report.variables == 4


def test_what_cannot_be_compiled_again_is_written_all_the_same(tmp_path):
    class WithoutConfig(keras.optimizers.schedules.LearningRateSchedule):
        def __call__(self, step):
            return 0.1

    inputs = keras.Input((4,))
    model = keras.Model(inputs, keras.layers.Dense(2)(keras.layers.Dropout(0.5)(inputs)))
    model.compile(keras.optimizers.SGD(WithoutConfig()), "mse")
    assert export(model, tmp_path / "model.keras", "keras").passed


def with_lora(layer, shape, dtype="float32"):
    inputs = keras.Input(shape, dtype=dtype)
    model = keras.Model(inputs, keras.layers.Dropout(0.5)(layer(inputs)))
    layer.enable_lora(2, lora_alpha=3)
    for weight in layer.weights:
        weight.assign(np.random.default_rng(1).normal(size=weight.shape))
    return model


LORA = {
    "dense": lambda: with_lora(keras.layers.Dense(5), (4,)),
    "einsum": lambda: with_lora(keras.layers.EinsumDense("ab,bc->ac", 5), (4,)),
    "embedding": lambda: with_lora(keras.layers.Embedding(5, 4), (3,), "int32"),
    "conv": lambda: with_lora(keras.layers.Conv2D(3, 2), (5, 5, 2)),
}


@pytest.mark.parametrize("kind", LORA)
def test_lora_is_merged_into_the_file(kind, tmp_path):
    model = LORA[kind]()
    layer = next(x for x in model.layers if getattr(x, "lora_enabled", False))
    assert export(model, tmp_path / "merged.keras", "keras").passed
    assert layer.lora_rank == 2 and layer.lora_enabled
    loaded = keras.models.load_model(tmp_path / "merged.keras")
    assert not any("lora" in weight.path for weight in loaded.weights)
    model.save(tmp_path / "plain.keras")  # Keras keeps an update of zero.
    stripped_of_lora = verify_export(tmp_path / "plain.keras", model)
    assert stripped_of_lora.largest_difference == 0.0
    assert not any("weights" in reason for reason in stripped_of_lora.reasons)


def test_lora_on_quantized_weights_is_refused_before_the_work(tmp_path):
    model = LORA["dense"]()
    model.layers[1].quantize("int8")
    with pytest.raises(ExportError, match="LoRA.*int8.*Merge before"):
        export(model, tmp_path / "model.keras", "keras")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.filterwarnings("ignore:Layer .* does not have a `quantize`")
@pytest.mark.parametrize("mode", ["int8", "int4", "float8"])
def test_a_quantized_model_is_exported(mode, tmp_path):
    inputs = keras.Input((6,))
    x = keras.layers.Dropout(0.5)(keras.layers.Dense(8)(inputs))
    model = keras.Model(inputs, keras.layers.Dense(4)(x))
    model.quantize(mode)
    report = export(model, tmp_path / "model.keras", "keras")
    assert report.passed and report.largest_difference == 0.0


def test_python_code_in_the_file_is_trusted_only_on_request(tmp_path):
    inputs = keras.Input((4,))
    x = keras.layers.Lambda(lambda x: 2 * x, name="doubled")(inputs)
    model = keras.Model(inputs, keras.layers.Dropout(0.5)(keras.layers.Dense(2)(x)))
    with pytest.raises(ExportError, match="lambda in the layer 'doubled'.*safe_mode=False"):
        export(model, tmp_path / "model.keras", "keras")
    assert list(tmp_path.iterdir()) == []
    assert export(model, tmp_path / "model.keras", "keras", safe_mode=False).passed
    assert not verify_export(tmp_path / "model.keras", model).passed
    assert verify_export(tmp_path / "model.keras", model, safe_mode=False).passed
    with pytest.raises(TypeError, match="`safe_mode`"):
        export(model, tmp_path / "other.keras", "keras", safe_mode="no")


@keras.saving.register_keras_serializable(package="tests")
class WithATuple(keras.layers.Layer):
    """A layer that computes something else with a list, which a file makes of a tuple."""

    def __init__(self, rates, **kwargs):
        super().__init__(**kwargs)
        self.rates = rates

    def call(self, inputs):
        return inputs * (3.0 if isinstance(self.rates, tuple) else 1.0)

    def get_config(self):
        return {**super().get_config(), "rates": self.rates}


def test_the_layer_that_does_not_survive_is_named(tmp_path):
    inputs = keras.Input((4,))
    x = WithATuple((1, 2), name="culprit")(keras.layers.Dense(3)(inputs))
    model = keras.Model(inputs, keras.layers.Dropout(0.5)(x))
    with pytest.raises(ExportError, match=r"'culprit' \(of type WithATuple\)"):
        export(model, tmp_path / "model.keras", "keras")
    assert list(tmp_path.iterdir()) == []
