import keras
import numpy as np
import pytest

import keras_selectscale as ks
from keras_selectscale.layers import Selective, Selectout, SelectScale, SpatialDropout, SpatialScale

RANDOM = np.random.default_rng(0)
IMAGES = RANDOM.normal(size=(12, 6, 8, 3)).astype("float32")
LABELS = np.arange(12) % 2


def model(*drops):
    keras.utils.set_random_seed(3)
    layers = [keras.Input((6, 8, 3))]
    for drop in drops:
        layers += [keras.layers.Conv2D(10, 3, padding="same"), keras.layers.BatchNormalization()]
        layers.append(drop)
    made = keras.Sequential([*layers, keras.layers.GlobalAveragePooling2D(), keras.layers.Dense(2)])
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    made.compile(keras.optimizers.SGD(0.1), loss)
    return made


def trained(*drops, callbacks=(), epochs=2):
    made = model(*drops)
    made.fit(IMAGES, LABELS, batch_size=4, epochs=epochs, verbose=0, callbacks=list(callbacks))
    return made


def every_drop():
    schedule = keras.optimizers.schedules.PolynomialDecay(1.0, 3, 0.8)
    return [
        SelectScale(top_rate=0.3, retaining_rate=0.2, seed=1, name="scaled"),
        Selective(SpatialScale(retaining_rate=0.0, seed=2), top_rate=0.2, name="selective"),
        Selective(keras.layers.GaussianDropout(0.2, seed=5), top_rate=0.2, name="of_keras"),
        Selectout(top_rate=0.5, retaining_rate=schedule, seed=3, name="out"),
        SpatialDropout(retaining_rate=0.5, seed=4, name="spatial"),
        SelectScale(top_rate=0.3, retaining_rate=0.1, score="random", seed=1, name="random"),
    ]


def test_a_training_is_the_same_to_the_bit():
    diagnostics = ks.DropDiagnostics(IMAGES[:5])
    plain = trained(*every_drop()[0:4:3])
    seen = trained(*every_drop()[0:4:3], callbacks=[diagnostics])
    assert sorted(diagnostics.history) == [0, 1]
    for ours, theirs in zip(seen.variables, plain.variables, strict=True):
        np.testing.assert_array_equal(
            keras.ops.convert_to_numpy(ours.value), keras.ops.convert_to_numpy(theirs.value)
        )


def test_what_is_recorded_equals_numpy():
    diagnostics = ks.DropDiagnostics(IMAGES)
    seen = trained(*every_drop(), callbacks=[diagnostics], epochs=1)
    found = diagnostics.history[0]
    assert list(found) == ["scaled", "selective", "of_keras", "out", "spatial", "random"]
    maps = keras.ops.convert_to_numpy(seen.layers[1](seen.layers[0](IMAGES)))
    order = np.argsort(-np.abs(maps).max((1, 2)), axis=1)[:, :3]
    expected = np.bincount(order.ravel(), minlength=10) / len(IMAGES)
    np.testing.assert_allclose(found["scaled"].selected, expected, atol=1e-6)
    p = expected[expected > 0] / 3
    assert found["scaled"].entropy == pytest.approx(-(p * np.log(p)).sum(), abs=1e-5)
    for name, chosen in {"selective": 2, "of_keras": 2, "out": 5, "random": 3}.items():
        assert found[name].selected.sum() == pytest.approx(chosen, abs=1e-5)
        assert np.log(chosen) - 1e-6 <= found[name].entropy <= np.log(10)
    assert found["spatial"].selected is None and np.isnan(found["spatial"].entropy)
    assert np.isnan(found["of_keras"].mean_factor)
    assert found["out"].mean_factor == pytest.approx(1.0, abs=1e-5)  # 8 of 10 maps by 1 / 0.8.
    for name in ("scaled", "selective", "random"):
        assert 0.5 < found[name].mean_factor < 1.5 and found[name].mean_factor != 1


def test_logs_and_the_file_and_only_every_second_epoch(tmp_path):
    path = tmp_path / "drops.csv"
    path.write_text("epoch,site,entropy,mean_factor,selected\n1,scaled,a,b,c\n2,scaled,,,\n")
    diagnostics = ks.DropDiagnostics(IMAGES[:4], every=2, path=path)
    drop = SelectScale(top_rate=0.3, retaining_rate=0.1, seed=1, name="scaled")
    seen = trained(drop, callbacks=[diagnostics], epochs=4)
    lines = path.read_text().splitlines()
    assert [line.split(",")[0] for line in lines] == ["epoch", "1", "2", "4"]
    assert len(lines[-1].split(",")[-1].split()) == 10
    assert lines[1] == "1,scaled,a,b,c" and lines[2] != "2,scaled,,,"
    assert sorted(diagnostics.history) == [1, 3]
    assert len(seen.history.history["drop_entropy/scaled"]) == 2


def test_without_a_number_it_observes_as_often_as_2_percent_allow(monkeypatch):
    diagnostics = ks.DropDiagnostics(IMAGES[:4], every=None)
    drop = SelectScale(top_rate=0.3, retaining_rate=0.1, seed=1)
    times = iter([0, *(1, 1, 2), *(3, 12, 13), *(60, 61, 62), 1000])
    clock = "keras_selectscale.surgery.drop_diagnostics.time.monotonic"
    diagnostics.set_model(model(drop))
    monkeypatch.setattr(clock, lambda: next(times))
    diagnostics.on_train_begin()
    diagnostics.on_epoch_end(0)  # Compiled from 1 on, and then one second.
    diagnostics.on_epoch_end(1)  # One second after that.
    diagnostics.on_epoch_end(2)
    assert sorted(diagnostics.history) == [0]
    monkeypatch.setattr(clock, lambda: 1000)
    diagnostics.on_epoch_end(3)
    assert sorted(diagnostics.history) == [0, 3]


def test_bad_input_is_named():
    with pytest.raises(ValueError, match="`images`"):
        ks.DropDiagnostics([])
    with pytest.raises(ValueError, match="`every`"):
        ks.DropDiagnostics(IMAGES, every=0)
    with pytest.raises(ValueError, match="must have a drop layer"):
        trained(keras.layers.Dropout(0.5), callbacks=[ks.DropDiagnostics(IMAGES)])
