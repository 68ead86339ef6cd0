import itertools

import numpy as np
import pytest
import tensorflow as tf

from keras_selectscale.data import evaluation_batches, steps_per_epoch, training_batches
from tests.data.made_up import image_data, normalised


def batches(count, data, **arguments):
    """Returns the first batches as pairs of arrays."""
    dataset = training_batches(data, **{"batch_size": 5, "seed": 3, **arguments})
    return [(x.numpy(), y.numpy()) for x, y in dataset.take(count)]


def order(epochs, data, **arguments):
    """Returns the labels of whole epochs, an epoch a row; label i is image i."""
    steps = steps_per_epoch(data, arguments.get("batch_size", 5))
    labels = np.concatenate([y for _, y in batches(epochs * steps, data, **arguments)])
    return labels.reshape(epochs, -1)


@pytest.mark.parametrize(("batch_size", "steps"), [(1, 23), (5, 5), (22, 2), (23, 1), (99, 1)])
def test_each_epoch_is_a_permutation_in_ceil_batches(batch_size, steps):
    data = image_data(23)
    assert steps_per_epoch(data, batch_size) == steps
    epochs = order(3, data, batch_size=batch_size)
    np.testing.assert_array_equal(np.sort(epochs), [range(23)] * 3)
    sizes = [len(y) for _, y in batches(2 * steps, data, batch_size=batch_size)]
    assert sizes == 2 * ([batch_size] * (steps - 1) + [23 - batch_size * (steps - 1)])


def test_epochs_and_seeds_differ_and_repeat():
    data = image_data(23)
    orders = [tuple(epoch) for seed in (0, 1, 2**62) for epoch in order(4, data, seed=seed)]
    assert len(set(orders)) == 12
    assert tuple(range(23)) not in orders
    np.testing.assert_array_equal(order(4, data, seed=1), orders[4:8])


def test_every_place_is_as_likely():
    """Chi-square of 6 images at 6 places: a right shuffle fails for one seed in a million."""
    epochs = order(1200, image_data(6), batch_size=6)
    table = np.array([np.bincount(place, minlength=6) for place in epochs.T])
    # The rows and columns have fixed sums: 25 degrees of freedom, and 5/6 of the variance.
    statistic = np.square(table - 200).sum() / 200
    assert statistic * 5 / 6 < 78.0  # The 1 - 1e-6 quantile is 77.8.


def test_image_and_label_stay_together_and_are_normalised():
    data = image_data(23, padding=0, flip=False)
    for images, labels in batches(5, data):
        assert images.dtype == np.float32 and labels.dtype == np.int64
        expected = normalised(data.train_images[labels], data)
        np.testing.assert_allclose(images, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_floating_pixels_give_the_same_batches(dtype):
    for (x, _), (z, _) in zip(
        batches(2, image_data()), batches(2, image_data(dtype=dtype)), strict=True
    ):
        np.testing.assert_array_equal(x, z)


def test_shapes_are_known_but_for_the_batch():
    data = image_data(23, shape=(6, 5, 2))
    for dataset in (
        training_batches(data, batch_size=5, seed=0),
        evaluation_batches(data, batch_size=5),
    ):
        images, labels = dataset.element_spec
        assert images == tf.TensorSpec((None, 6, 5, 2), tf.float32)
        assert labels == tf.TensorSpec((None,), tf.int64)


def test_training_is_endless():
    dataset = training_batches(image_data(), batch_size=5, seed=0)
    assert dataset.cardinality() == tf.data.INFINITE_CARDINALITY


@pytest.mark.parametrize("first_step", [1, 4, 5, 7, 13, 10**12 + 2])
@pytest.mark.parametrize("batch_size", [5, 23])
def test_a_later_start_goes_on_to_the_bit(first_step, batch_size):
    data = image_data(23)
    steps = steps_per_epoch(data, batch_size)
    # The far one is held against a start half an epoch before it, not against 10**12 batches.
    before = 0 if first_step < 100 else first_step - 3
    run = batches(first_step - before + 2 * steps, data, batch_size=batch_size, first_step=before)
    resumed = batches(2 * steps, data, batch_size=batch_size, first_step=first_step)
    for (x, y), (z, w) in zip(run[first_step - before :], resumed, strict=True):
        np.testing.assert_array_equal(x.view("int32"), z.view("int32"))
        np.testing.assert_array_equal(y, w)


def test_numbers_of_tensorflow_do_not_matter():
    tf.random.set_seed(1)
    first = batches(3, image_data())
    tf.random.set_seed(2)
    for (x, _), (z, _) in zip(first, batches(3, image_data()), strict=True):
        np.testing.assert_array_equal(x, z)


def test_batches_outlive_the_data():
    iterator = iter(training_batches(image_data(23, padding=0, flip=False), batch_size=5, seed=3))
    tf.ones((1000, 1000))
    data = image_data(23, padding=0, flip=False)
    for images, labels in itertools.islice(iterator, 12):
        expected = normalised(data.train_images[labels.numpy()], data)
        np.testing.assert_allclose(images, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("split", ["test", "train"])
@pytest.mark.parametrize("batch_size", [1, 5, 23, 99])
def test_evaluation_is_in_order_and_plain(split, batch_size):
    data = image_data(23)
    dataset = evaluation_batches(data, batch_size=batch_size, split=split)
    pairs = [(x.numpy(), y.numpy()) for x, y in dataset]
    assert dataset.cardinality() == len(pairs) == -(-23 // batch_size)
    images, labels = (np.concatenate(arrays) for arrays in zip(*pairs, strict=True))
    assert images.dtype == np.float32
    np.testing.assert_array_equal(labels, getattr(data, f"{split}_labels"))
    expected = normalised(getattr(data, f"{split}_images"), data)
    np.testing.assert_allclose(images, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", ["batch_size", "seed", "first_step"])
@pytest.mark.parametrize("value", [-1, 2**63, 1.0, True, None, "1"])
def test_training_refuses_bad_values(name, value):
    error = ValueError if type(value) is int else TypeError
    with pytest.raises(error, match=f"`{name}` must be .*{name}={value!r}"):
        training_batches(image_data(), **{"batch_size": 5, "seed": 0, name: value})


def test_evaluation_and_steps_refuse_bad_values():
    data = image_data()
    with pytest.raises(
        ValueError, match="`batch_size` must be an integer of at least 1.*batch_size=0"
    ):
        evaluation_batches(data, batch_size=0)
    with pytest.raises(ValueError, match="`batch_size`.*batch_size=0"):
        steps_per_epoch(data, 0)
    with pytest.raises(ValueError, match="`split` must be one of 'train', 'test'.*'validation'"):
        evaluation_batches(data, batch_size=5, split="validation")
