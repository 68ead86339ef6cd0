import keras
import numpy as np
import pytest
from matplotlib.image import imread

from keras_selectscale import data, models
from keras_selectscale.experiments import drops_at_test_time as at_test_time
from keras_selectscale.experiments import error_figure, error_table
from keras_selectscale.experiments.trained_network import EvaluationImages, load_network
from keras_selectscale.files import DamagedFileError


@pytest.fixture(scope="module")
def network(tmp_path_factory):
    """A file of a network that is not trained, but whose normalization has seen images."""
    keras.utils.set_random_seed(3)
    model = models.build("resnet-8", input_shape=(8, 8, 1), classes=10)
    model(np.random.default_rng(0).normal(size=(64, 8, 8, 1)), training=True)
    path = tmp_path_factory.mktemp("network") / "tiny.keras"
    model.save(path)
    return load_network(path)


@pytest.fixture(scope="module")
def images(network):
    return EvaluationImages(network, "digits", count=90)


def settings(images, seed=0):
    return error_table.Settings("tiny", "abc", "digits", images.count, "float32", seed)


def test_images_are_those_of_the_evaluation(network, images):
    batches = list(data.evaluation_batches(images.images, batch_size=90).take(1))
    ours = np.concatenate([batch[:used] for batch, used in images])
    np.testing.assert_allclose(ours, batches[0][0].numpy(), atol=1e-6)
    assert len(ours) == images.count == sum(used for _, used in images)


def reference_factor(maps, rate):
    """NumPy: the top maps of each sample are 0, the others divided by the rate."""
    scores = np.abs(maps).max((1, 2))
    count = int(np.floor((1 - rate) * maps.shape[-1] + 0.5 + 1e-6))
    factor = np.full(scores.shape, 1 / rate, "float32")
    order = np.argsort(-scores, axis=1, kind="stable")
    np.put_along_axis(factor, order[:, :count], 0, axis=1)
    return factor[:, None, None, :]


@pytest.mark.parametrize("rate", [0.94, 0.9, 0.5])
def test_selectout_of_the_top_maps_equals_numpy(rate):
    maps = np.random.default_rng(1).normal(size=(5, 4, 3, 32)).astype("float32")
    layer = at_test_time.TopSelectout(top_rate=1.0, retaining_rate=rate)
    expected = maps * reference_factor(maps, rate)
    ours = keras.ops.convert_to_numpy(layer(maps, training=True))
    np.testing.assert_allclose(ours, expected, rtol=1e-6)


def test_one_graph_per_method_measures_what_separate_networks_do(network, images):
    """The points equal those of networks that were built for one rate each."""
    from keras_selectscale.surgery import drop_kinds, drops_active, insert_drops

    grid = at_test_time.as_rates([0.5, 0.9])
    chosen = at_test_time.curves(["selectscale"])
    points = at_test_time.measure(
        network, images, settings=settings(images, 5), chosen=chosen, grid=grid, draws=2
    )
    assert [point.key for point in points] == [
        ("none", None, 1.0, 0),
        ("selectscale", 0.2, 0.9, 0),
        ("selectscale", 0.2, 0.5, 0),
        ("selectscale", 0.2, 0.9, 1),
        ("selectscale", 0.2, 0.5, 1),
    ]
    dropped = at_test_time.DroppedNetwork(network, chosen[0], grid)
    dropped.choose(0.5, 5, 1)
    single = insert_drops(network.model, chosen[0].make(0.5))
    for ours, other in zip(drop_kinds.find_drops(single, "all"), dropped.drops, strict=True):
        ours.seed_generator.state.assign(other.seed_generator.state)
    batch = next(iter(images))[0]
    with drops_active(single), drops_active(dropped.model):
        ours, other = single.predict_on_batch(batch), dropped.model.predict_on_batch(batch)
        np.testing.assert_allclose(ours, other, atol=1e-5)
        dropped.choose(0.9, 5, 1)
        assert not np.allclose(ours, dropped.model.predict_on_batch(batch), atol=1e-3)


def test_done_points_are_kept_and_others_added(network, images, tmp_path):
    path, ours = tmp_path / "table.csv", settings(images)
    done = [error_table.Point("none", None, 1.0, 0, 12.5)]
    error_table.write_table(path, done, ours)
    assert error_table.read_table(path, ours) == done
    grid, chosen = (0.9,), at_test_time.curves(["selectout"])
    points = at_test_time.measure(
        network, images, settings=ours, chosen=chosen, grid=grid, draws=1, done=done
    )
    assert points[0] == done[0] and len(points) == 2
    with pytest.raises(ValueError, match="another table .*seed: 0 there, 1 here"):
        error_table.read_table(path, settings(images, 1))
    path.write_text("method\nnone\n")
    with pytest.raises(DamagedFileError, match="table.csv is damaged"):
        error_table.read_table(path, ours)
    error_figure.draw(points, ours, chosen, tmp_path / "figure.png")
    assert imread(tmp_path / "figure.png").std() > 0


def test_rates_that_a_method_does_not_have_are_left_out():
    grid = at_test_time.as_rates([1, 0, 0.9, 0.7])
    plan = at_test_time.planned(at_test_time.curves(selectout_top_rate=0.2), grid, 1)
    assert [(curve.method, rate) for _, curve, rate in plan] == [
        ("dropout", 0.9),
        ("dropout", 0.7),
        ("spatial-dropout", 0.9),
        ("spatial-dropout", 0.7),
        ("spatial-scale", 0.9),
        ("spatial-scale", 0.7),
        ("spatial-scale", 0.0),
        ("selectout", 0.9),
        ("selectscale", 0.9),
        ("selectscale", 0.7),
        ("selectscale", 0.0),
    ]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: at_test_time.as_rates([1.5]), "`rates` must be in"),
        (lambda: at_test_time.as_rates([]), "`rates` must be one or more"),
        (lambda: at_test_time.curves(["none"]), "`methods` must be one of .dropout"),
        (lambda: at_test_time.curves(top_rate=0), "`top_rate` must be in"),
        (lambda: at_test_time.as_draws(0, 0), "`draws` must be"),
        (lambda: at_test_time.as_draws(1, -1), "`seed` must be"),
    ],
)
def test_bad_arguments_are_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()
