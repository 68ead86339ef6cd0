import pytest

from keras_selectscale.layers.methods import METHODS


def test_it_lists_everything(command):
    status, out, _ = command("list")
    assert status == 0
    for word in ("networks", "drops", "datasets", "resnet-D", "wrn-D-K", "digits", "cifar10"):
        assert word in out
    assert all(name in out for name in METHODS)
    assert "--top-rate 0.2 --retaining-rate 0.4" in out


@pytest.mark.parametrize(
    "what, inside, outside",
    [("drops", "spatial-scale", "cifar10"), ("datasets", "cifar10", "resnet-D")],
)
def test_it_lists_one_kind(command, what, inside, outside):
    _, out, _ = command("list", what)
    assert inside in out and outside not in out
