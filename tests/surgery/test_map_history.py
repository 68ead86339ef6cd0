import keras
import numpy as np
import pytest

import keras_selectscale as ks
from keras_selectscale.files import DamagedFileError
from keras_selectscale.surgery import map_history

IMAGES = np.random.default_rng(0).normal(size=(6, 6, 8, 3)).astype("float32")


def trained(callbacks, epochs=3):
    keras.utils.set_random_seed(3)
    layers = [keras.Input((6, 8, 3)), keras.layers.Conv2D(4, 3, activation="relu")]
    layers += [ks.SelectScale(top_rate=0.5, retaining_rate=0.1)]
    layers += [keras.layers.GlobalAveragePooling2D(), keras.layers.Dense(2)]
    model = keras.Sequential(layers)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.SGD(0.1), loss)
    labels = np.arange(6) % 2
    model.fit(IMAGES, labels, batch_size=3, epochs=epochs, verbose=0, callbacks=callbacks)
    return model


def test_the_maps_of_the_epochs_are_kept_and_the_training_is_the_same(tmp_path):
    path = tmp_path / "maps.npz"
    names = ("cat", "dog")
    kept = ks.ActivationMapHistory(IMAGES[:2], [1, 3, 9], classes=1, path=path, class_names=names)
    seen, plain = trained([kept]), trained([])
    for ours, theirs in zip(seen.variables, plain.variables, strict=True):
        np.testing.assert_array_equal(*map(keras.ops.convert_to_numpy, (ours, theirs)))
    expected = ks.class_activation_maps(seen, IMAGES[:2], 1)
    history, pixels, class_names = map_history.read_maps(path)
    assert class_names == ["cat", "dog"]
    assert list(history) == list(kept.history) == [1, 3]
    np.testing.assert_allclose(history[3].maps, expected.maps, atol=1e-6)
    assert np.abs(history[1].maps - history[3].maps).max() > 1e-4
    np.testing.assert_array_equal(pixels, IMAGES[:2])
    # A training that continues after the second epoch keeps the first one's.
    again = ks.ActivationMapHistory(IMAGES[:2], [3], path=path)
    again.set_model(seen)
    again.on_train_begin()
    again.on_epoch_end(2)
    assert list(map_history.read_maps(path)[0]) == [1, 3]


def test_bad_input_and_damage_are_named(tmp_path):
    with pytest.raises(ValueError, match="`images`"):
        ks.ActivationMapHistory(IMAGES[0], [1])
    with pytest.raises(TypeError, match="`class_names`"):
        ks.ActivationMapHistory(IMAGES, [1], class_names=[1, 2])
    with pytest.raises(ValueError, match="`epochs`"):
        ks.ActivationMapHistory(IMAGES, [0])
    path = tmp_path / "maps.npz"
    with pytest.raises(FileNotFoundError):
        map_history.read_maps(path)
    maps = {"maps_1": np.ones((6, 2, 3)), "classes_1": np.arange(6), "probabilities_1": np.ones(6)}
    whole = {"pixels": IMAGES, **maps}
    np.savez(path, **whole)
    older = map_history.read_maps(path)
    assert list(older.history) == [1] and older.class_names == []
    for changed, named in (
        ({"pixels": np.array(["x"])}, "pixels"),
        ({"pixels": IMAGES * np.nan}, "pixels"),
        ({"maps_1": IMAGES}, "maps_1"),
        ({"classes_1": np.ones(6)}, "classes_1"),
        ({"class_names": np.ones(2)}, "class_names"),
        ({"probabilities_1": np.ones(5)}, "probabilities_1"),
        ({"maps_x": np.ones((6, 2, 3))}, "maps_x"),
        ({"maps_2": np.ones((6, 2, 3))}, "classes_2"),
    ):
        np.savez(path, **{**whole, **changed})
        with pytest.raises(DamagedFileError, match=f"maps.npz is damaged: .*{named}"):
            map_history.read_maps(path)
    np.savez(path, pixels=IMAGES)
    with pytest.raises(DamagedFileError, match="no epoch"):
        map_history.read_maps(path)
    np.savez_compressed(path, **whole)
    content = bytearray(path.read_bytes())
    content[200] ^= 1  # zlib's own error.
    path.write_bytes(content)
    with pytest.raises(DamagedFileError, match="maps.npz is damaged"):
        map_history.read_maps(path)
