import pytest

from keras_selectscale import models
from keras_selectscale.benchmarking import plain_pytorch, result_rows, step_table
from keras_selectscale.benchmarking.bench_options import BenchOptions

torch = pytest.importorskip("torch")


@pytest.mark.parametrize("name", ["resnet-14", "wrn-8-2"])
def test_it_is_the_same_network(name):
    ours, theirs = models.build(name), plain_pytorch._network(name, drop=True)
    shapes = sorted(tuple(sorted(w.shape)) for w in ours.trainable_weights)
    assert sorted(tuple(sorted(w.shape)) for w in theirs.parameters()) == shapes
    drops = [each for each in theirs.modules() if isinstance(each, torch.nn.Dropout2d)]
    assert len(drops) == int(name.split("-")[1]) - 1 and {each.p for each in drops} == {0.5}
    assert theirs.eval()(torch.zeros(2, 3, 32, 32)).shape == (2, 10)


def test_a_step_trains():
    work = plain_pytorch.step_work("resnet-8", 4, drop=False, precision="bfloat16", seed=0)
    losses = [float(work()) for _ in range(8)]
    assert losses[-1] < losses[0]


@pytest.mark.parametrize(
    ("network", "precision", "expected"),
    [
        ("resnet-20", "bfloat16", True),
        ("wrn-20-4", "float32", True),
        ("resnet-50", "float32", False),
        ("vgg-16", "float32", False),
    ],
)
def test_only_networks_that_it_has_are_measured(network, precision, expected):
    assert plain_pytorch.is_available(network, precision) == expected
    sides = step_table.timed_sides(
        BenchOptions(networks=(network,)), {"network": network, "precision": precision}
    )
    assert ("pytorch" in sides) == ("pytorch-dropout2d" in sides) == expected
    assert "pytorch" not in step_table.sides(BenchOptions())


def test_ratios_are_to_the_peer_with_the_same_drop():
    seconds = {"none": [1.0], "pytorch": [2.0], "selectscale": [3.0], "pytorch-dropout2d": [4.0]}
    case = {"network": "resnet-8", "mode": "graph", "precision": "float32", "batch_size": 4}
    rows = {row["side"]: row for row in result_rows.step_rows([{**case, "seconds": seconds}], [])}
    assert rows["none"]["over_pytorch"].median == 0.5
    assert rows["selectscale"]["over_pytorch"].median == 0.75
    assert rows["pytorch"]["over_pytorch"].median == 1.0


def test_pytorch_that_is_missing_is_named(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert BenchOptions().step_methods == ("selectscale", "fit", "train")
    with pytest.raises(ValueError, match="`step_methods` must be sides that are installed"):
        BenchOptions(step_methods=("pytorch",))
