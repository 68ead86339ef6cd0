import keras
import numpy as np
import pytest

from keras_selectscale import (
    Selective,
    SelectScale,
    SpatialDropout,
    insert_drops,
    linear_curriculum,
    models,
)
from keras_selectscale.models import CifarResNet, DropSite
from keras_selectscale.models.drop_copies import copy_for_site
from tests.models.inspection import drops


def test_no_two_sites_share_a_seed_and_one_seed_gives_the_same_ones():
    def seeds(seed):
        template = SelectScale(top_rate=0.2, retaining_rate=0.4, seed=seed)
        return [layer.seed for layer in drops(CifarResNet(20, drop=template), SelectScale)]

    first = seeds(7)
    assert len(set(first)) == 19
    assert seeds(7) == first
    assert not set(first) & set(seeds(8))


@pytest.mark.parametrize("seed", [0, 1, 2, 2**31 - 1])
def test_the_many_sites_of_a_deep_network_share_no_seed(seed):
    template = SpatialDropout(retaining_rate=0.9, seed=seed)
    names = [f"group{g}_block{b}_{c}" for g in range(1, 5) for b in range(1, 51) for c in (1, 2, 3)]
    copies = [copy_for_site(template, name) for name in names]
    assert len({copy.seed for copy in copies}) == len(names)
    assert all(0 <= copy.seed < 2**31 for copy in copies)


def test_without_a_seed_no_two_sites_share_their_state():
    model = CifarResNet(20, drop=SpatialDropout(retaining_rate=0.5))
    states = [
        tuple(keras.ops.convert_to_numpy(layer.seed_generator.state.value).tolist())
        for layer in drops(model, SpatialDropout)
    ]
    assert len(set(states)) == 19
    assert all(layer.seed is None for layer in drops(model, SpatialDropout))


def test_two_sites_draw_different_factors():
    model = CifarResNet(8, drop=SpatialDropout(retaining_rate=0.5, seed=0))
    first, second = drops(model, SpatialDropout)[1:3]
    ones = np.ones((8, 3, 5, 16), "float32")
    drawn = [
        keras.ops.convert_to_numpy(layer(ones, training=True))[:, 0, 0] for layer in (first, second)
    ]
    assert set(np.unique(drawn)) == {0.0, 2.0}
    assert not np.array_equal(*drawn)


def test_the_template_is_copied_with_every_argument_and_not_used_itself():
    template = SelectScale(
        top_rate=0.3, retaining_rate=linear_curriculum(0.2, 10), score="global_average", seed=5
    )
    copies = drops(CifarResNet(8, drop=template), SelectScale)
    assert template not in copies and not template.built
    for copy in copies:
        theirs, ours = copy.get_config(), template.get_config()
        for key in set(ours) - {"name", "seed"}:
            assert theirs[key] == ours[key], key


def test_a_nested_drop_and_a_drop_of_keras_get_seeds_of_their_own():
    nested = Selective(keras.layers.GaussianDropout(0.2, seed=3), top_rate=0.5)
    seeds = [layer.drop.seed for layer in drops(CifarResNet(8, drop=nested), Selective)]
    assert len(set(seeds)) == 7
    plain = keras.layers.Dropout(0.2, seed=3)
    seeds = [layer.seed for layer in drops(CifarResNet(8, drop=plain), keras.layers.Dropout)]
    assert len(set(seeds)) == 7


def test_a_callable_chooses_by_site():
    seen = []

    def choose(site):
        seen.append(site)
        if site.group < 2:
            return None
        return SpatialDropout(retaining_rate=1 - 0.1 * site.group / 3, name=f"{site.name}_own")

    model = CifarResNet(8, 2, drop=choose)
    assert seen[:3] == [
        DropSite("stem", 0, 32),
        DropSite("group1_block1_1", 1, 32),
        DropSite("group1_block1_2", 1, 32),
    ]
    assert [site.channels for site in seen] == [32, 32, 32, 64, 64, 128, 128]
    assert [layer.name for layer in drops(model, SpatialDropout)] == [
        f"group{group}_block1_{conv}_own" for group in (2, 3) for conv in (1, 2)
    ]


@pytest.mark.parametrize("drop", [0.1, "selectscale", SpatialDropout, {"rate": 1}])
def test_what_is_no_drop_is_refused(drop):
    with pytest.raises(TypeError, match="`drop`"):
        CifarResNet(8, drop=drop)


def test_drops_in_a_list_of_layers_get_seeds_of_their_own_too():
    inner = keras.Sequential(
        [keras.layers.GaussianDropout(0.2, seed=3), keras.layers.Dropout(0.2, seed=3)]
    )
    template = Selective(inner, top_rate=0.5)
    sites = drops(CifarResNet(8, drop=template), Selective)
    seeds = [layer.seed for site in sites for layer in site.drop.layers]
    assert len(seeds) == len(set(seeds)) == 14


@pytest.mark.parametrize(
    ("layer", "words"),
    [
        (keras.layers.Dense(4), "trainable weights"),
        (keras.layers.BatchNormalization(), "2 trainable weights"),
        (keras.layers.Activation("relu"), "no `training` argument"),
        (keras.layers.RandomCrop(2, 2), "returns the shape"),
    ],
    ids=lambda value: getattr(value, "name", ""),
)
def test_a_layer_that_is_not_a_drop_is_refused(layer, words):
    network = keras.Sequential([keras.Input((8, 6, 3)), keras.layers.Conv2D(4, 3, name="conv")])
    network.add(keras.layers.Conv2D(4, 3))
    for insert in (
        lambda: models.build("resnet-8", drop=layer),
        lambda: models.build("resnet-8", drop=models.by_group(layer, {1: 1.0})),
        lambda: insert_drops(network, layer, after=["conv"]),
    ):
        with pytest.raises(ValueError, match=f"`drop` must be a drop layer.*{words}"):
            insert()
    if isinstance(layer, keras.layers.BatchNormalization):  # A callable may return any layer.
        models.build("resnet-8", drop=lambda site: keras.layers.BatchNormalization())


def test_drops_of_other_packages_are_accepted():
    class Noise(keras.layers.Layer):
        """A drop with a state and for one rank only."""

        def build(self, shape):
            self.count = self.add_weight(name="count", shape=(), trainable=False)

        def call(self, inputs, training=False):
            return inputs * 2 if training else inputs

    for drop in (Noise(), keras.layers.GaussianNoise(0.1), keras.layers.AlphaDropout(0.1)):
        model = models.build("resnet-8", drop=drop)
        assert sum(isinstance(layer, type(drop)) for layer in model.layers) == 7
