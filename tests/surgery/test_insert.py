import keras
import numpy as np
import pytest
from keras import layers

from keras_selectscale import (
    Selective,
    SelectScale,
    SpatialDropout,
    StandardDropout,
    insert_drops,
    linear_curriculum,
    models,
)
from keras_selectscale.models import DropSite
from keras_selectscale.surgery import find_drop_sites
from tests.surgery.models import (
    IMAGE,
    assert_equal_to_the_bit,
    by_layer,
    everything_in,
    images,
    many_inputs,
    many_ways,
    randomize,
    sequential,
    small,
    walk,
)

DROP = SpatialDropout(retaining_rate=0.5, seed=3)


def drops(model, kind=SpatialDropout):
    return [layer for layer in everything_in(model) if isinstance(layer, kind)]


def sites(model, **kwargs):
    return [site.path for site in find_drop_sites(model, **kwargs)]


def sources(model):
    """Returns what each drop of a model is behind."""
    return {name: source for name, source in walk(model) if name.endswith("_drop")}


def test_behind_whole_units_of_a_convolution_and_what_follows_it():
    model = small()
    new = insert_drops(model, DROP)
    graph = dict(walk(new))
    (tanh,) = (name for name in graph if name.startswith("tanh") and not name.endswith("_drop"))
    assert sources(new) == {
        "a_relu_drop": ("a_relu",),
        "b_conv_drop": ("b_conv",),
        "c_bn_drop": ("c_bn",),
        f"{tanh}_drop": (tanh,),
    }
    # Every reader of a site reads the drop.
    assert graph["b_conv"] == ("a_relu_drop",)
    assert graph["add"] == ("c_bn_drop", "a_relu_drop")
    assert graph["pool"] == (f"{tanh}_drop",)
    assert_equal_to_the_bit(model, new, images())


def test_the_rest_of_the_graph_is_the_same():
    model = small()
    new = insert_drops(model, DROP)
    behind = {name: source[0] for name, source in walk(new) if name.endswith("_drop")}
    kept = {
        (name, tuple(behind.get(source, source) for source in read))
        for name, read in walk(new)
        if name not in behind
    }
    assert kept == set(walk(model))


def test_it_draws_in_training_and_each_site_by_itself():
    model = small()
    new = insert_drops(model, DROP)
    assert len({layer.seed for layer in drops(new)}) == 4
    x = images()
    quiet, loud = (keras.ops.convert_to_numpy(new(x, training=flag)) for flag in (False, True))
    assert np.abs(quiet - loud).max() > 1e-3
    layer = new.get_layer("b_conv_drop")
    factors = layer(np.ones((6, 4, 3, 4), "float32"), training=True)
    factors = keras.ops.convert_to_numpy(factors)
    assert set(np.unique(factors)) == {0.0, 2.0}


def test_the_original_stays_untouched():
    model = small()
    before, config = model.get_weights(), model.get_config()
    calls = [len(operation._inbound_nodes) for operation in model.operations]
    template = SpatialDropout(retaining_rate=0.5)
    new = insert_drops(model, template)
    randomize(new, seed=9)
    for ours, theirs in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert model.get_config() == config and not template.built
    assert [len(operation._inbound_nodes) for operation in model.operations] == calls
    assert not set(map(id, everything_in(model))) & set(map(id, everything_in(new)))


def test_a_sequential_model_stays_one():
    model = sequential()
    new = insert_drops(model, DROP, after="conv")
    assert type(new) is keras.Sequential and new.name == "sequential"
    assert [layer.name for layer in new.layers][:6] == [
        "a_conv",
        "a_bn",
        "a_relu",
        "a_relu_drop",
        "b_conv",
        "b_conv_drop",
    ]
    assert_equal_to_the_bit(model, new, images())


def test_several_inputs_and_outputs_shared_layers_and_nested_models():
    model = many_ways()
    assert sites(model) == ["shared", "shared", "inner/stack/deep_relu"]
    new = insert_drops(model, DROP)
    assert sorted(layer.name for layer in drops(new)) == [
        "inner_stack_deep_relu_drop",
        "shared_call2_drop",
        "shared_drop",
    ]
    inner = [layer for layer in everything_in(new) if layer.name == "inner"]
    assert len(inner) == 1 and len(inner[0]._inbound_nodes) == 2
    assert_equal_to_the_bit(model, new, many_inputs())
    theirs, ours = by_layer(model), by_layer(new)
    assert theirs.keys() == ours.keys() and len(ours) == 6
    for key, value in theirs.items():
        np.testing.assert_array_equal(value, ours[key])


def test_a_drop_behind_an_output_takes_its_place_and_its_name():
    model = many_ways()
    model.compile("sgd", loss={"maps": "mse", "rest": [None, "mse"]})
    new = insert_drops(model, DROP, after="last")
    assert new.output["maps"]._keras_history.operation.name == "last_drop"
    assert new.output_names == model.output_names
    targets = {"maps": np.zeros((2, 8, 8, 2)), "rest": [np.zeros((2, 256)), np.zeros((2, 4))]}
    one, other = (m.evaluate(many_inputs(), targets, verbose=0) for m in (model, new))
    assert one == other


@pytest.mark.parametrize(
    "after, paths",
    [
        (layers.BatchNormalization, ["a_bn", "c_bn"]),
        ((layers.ReLU, layers.Add), ["a_relu", "add"]),
        ("?_bn", ["a_bn", "c_bn"]),
        (["a_*", layers.Add], ["a_conv", "a_bn", "a_relu", "add"]),
        (lambda layer: getattr(layer, "activation", None) is keras.activations.relu, ["b_conv"]),
    ],
)
def test_the_other_ways_to_say_where(after, paths):
    model = small()
    assert sites(model, after=after) == paths
    new = insert_drops(model, DROP, after=after)
    assert {source for (source,) in sources(new).values()} == set(paths)
    assert_equal_to_the_bit(model, new, images())


def fails(layer):
    return layer.no_such_attribute


@pytest.mark.parametrize(
    ("argument", "value", "error"),
    [
        ("summary", 0, TypeError),
        ("copy", 1, TypeError),
        ("after", np.array([None, "max"], object), TypeError),
        ("after", np.array("max"), TypeError),
        ("after", fails, ValueError),
        ("drop", fails, ValueError),
    ],
)
def test_an_argument_that_is_something_else_is_named(argument, value, error):
    with pytest.raises(error, match=f"Argument `{argument}` must"):
        insert_drops(small(), **{"drop": DROP, argument: value})


def test_a_pattern_takes_the_path_of_a_nested_layer():
    assert sites(many_ways(), after="inner/*") == [
        "inner/stack/deep",
        "inner/stack/deep_relu",
        "inner/stack",
    ]
    assert sites(many_ways(), after="deep") == ["inner/stack/deep"]


def test_depths_are_shares_of_the_sites_or_their_numbers():
    model = models.build("resnet-20")
    every = sites(model)
    assert len(every) == 19
    assert sites(model, depths=(0.0, 1.0)) == every
    assert sites(model, depths=(0.5, 1.0)) == every[9:]
    assert sites(model, depths=(0.0, 0.25)) == every[:5]
    assert sites(model, depths=range(3, 9)) == every[3:9]


def test_groups_are_the_stages_of_one_resolution():
    model = keras.applications.VGG16(weights=None, input_shape=(32, 32, 3), classes=10)
    found = find_drop_sites(model)
    assert [site.group for site in found] == [0, 0, 1, 1, 2, 2, 2, 3, 3, 3, 4, 4, 4]
    assert [site.channels for site in found][::3] == [64, 128, 256, 512, 512]
    assert sites(model, groups=4) == [f"block5_conv{i}" for i in (1, 2, 3)]
    assert sites(model, groups=(0, 2), depths=(0.0, 0.4)) == [
        "block1_conv1",
        "block1_conv2",
        "block3_conv1",
    ]


def test_unknown_sizes_have_groups_too():
    model = keras.applications.VGG16(weights=None, include_top=False)
    found = find_drop_sites(model)
    assert [site.group for site in found] == [0, 0, 1, 1, 2, 2, 2, 3, 3, 3, 4, 4, 4]
    assert found[0].shape == (None, None, None, 64)


def test_rates_by_group():
    model = small()  # Three sites of 12x10, one of 5x4.
    drop = SelectScale(top_rate=0.5, retaining_rate=0.2, seed=1)
    new = insert_drops(model, models.by_group(drop, {0: 0.5, 1: 1.0}))
    assert [layer.retaining_rate for layer in map(new.get_layer, ("a_relu_drop", "c_bn_drop"))] == [
        0.6,
        0.6,
    ]
    assert sorted(layer.retaining_rate for layer in drops(new, SelectScale)) == [0.2, 0.6, 0.6, 0.6]
    new = insert_drops(model, {0: None, 1: drop})
    assert [layer.retaining_rate for layer in drops(new, SelectScale)] == [0.2]
    with pytest.raises(ValueError, match=r"`drop` must name groups .* \[0, 1\]. Received: \[4\]"):
        insert_drops(model, {4: drop})


def test_a_callable_chooses_by_site():
    seen = []

    def choose(site):
        seen.append(site)
        if site.name == "b_conv":
            return StandardDropout(retaining_rate=0.9, name="mine")
        return None

    new = insert_drops(small(), choose)
    assert [site.name for site in seen][:3] == ["a_relu", "b_conv", "c_bn"]
    assert seen[0] == DropSite("a_relu", 0, 4, "channels_last", "float32")
    assert [layer.name for layer in drops(new, StandardDropout)] == ["mine"]


def test_drops_of_keras_and_selective_ones():
    for drop in (
        layers.SpatialDropout2D(0.5, seed=1),
        Selective(layers.GaussianDropout(0.5, seed=1), top_rate=0.5),
    ):
        model = small()
        new = insert_drops(model, drop)
        assert len(drops(new, type(drop))) == 4
        assert_equal_to_the_bit(model, new, images())


def test_the_data_format_is_that_of_the_site():
    inputs = keras.Input((3, 12, 10))
    x = layers.BatchNormalization(axis=1, name="bn")(inputs)
    x = layers.ReLU(name="relu")(x)
    x = layers.MaxPooling2D(2, data_format="channels_first", name="pool")(x)
    # A padding in the other format: the channels stay where they are.
    x = layers.ZeroPadding2D(1, data_format="channels_last", name="pad")(x)
    x = layers.Permute((2, 3, 1), name="permute")(x)
    x = layers.Conv2D(4, 1, data_format="channels_last", name="conv")(x)
    model = keras.Model(inputs, x)
    found = {s.path: s for s in find_drop_sites(model, after=("relu", "pad", "conv"))}
    assert [s.data_format for s in found.values()] == [
        "channels_first",
        "channels_first",
        "channels_last",
    ]
    assert [s.channels for s in found.values()] == [3, 5, 4]
    nested = Selective(layers.SpatialDropout2D(0.5, seed=1), top_rate=0.5)
    new = insert_drops(model, nested, after=("relu", "conv"))
    assert new.get_layer("relu_drop").data_format == "channels_first"
    assert new.get_layer("relu_drop").drop.data_format == "channels_first"
    assert new.get_layer("conv_drop").data_format == "channels_last"
    with pytest.raises(ValueError, match="'channels_first'. Received: data_format='channels_last'"):
        insert_drops(model, lambda site: SpatialDropout(retaining_rate=0.5), after="relu")


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "float64"])
def test_the_dtype_is_that_of_the_site(policy):
    inputs = keras.Input(IMAGE)
    x = layers.Conv2D(4, 3, dtype=policy, name="conv")(inputs)
    x = layers.ReLU(dtype=policy, name="relu")(x)
    model = keras.Model(inputs, keras.ops.mean(x, axis=(1, 2)))
    new = insert_drops(model, DROP)
    assert new.get_layer("conv").dtype_policy.name == policy
    assert new.output.dtype == model.output.dtype
    assert_equal_to_the_bit(model, new, images())
    with pytest.raises(ValueError, match="keep the shape and the dtype"):
        insert_drops(model, lambda site: SpatialDropout(retaining_rate=0.5, dtype="float32"))


def test_flags_policies_and_random_states_are_kept():
    inputs = keras.Input(IMAGE)
    augment = layers.RandomFlip(seed=4, name="flip")
    backbone = keras.Sequential(
        [layers.Conv2D(4, 3, name="one"), layers.Conv2D(4, 3, name="two")], name="backbone"
    )
    x = layers.Conv2D(2, 1, name="head")(backbone(augment(inputs)))
    model = randomize(keras.Model(inputs, x))
    backbone.trainable = False
    backbone.get_layer("two").trainable = True
    backbone.get_layer("two").bias.trainable = False
    augment(images(), training=True)
    new = insert_drops(model, DROP)
    names = [weight.path for weight in model.trainable_weights]
    assert [weight.path for weight in new.trainable_weights] == names and len(names) == 3
    assert new.get_layer("backbone").trainable is False
    states = [
        keras.ops.convert_to_numpy(m.get_layer("flip").generator.state.value) for m in (model, new)
    ]
    np.testing.assert_array_equal(*states)
    assert states[0][1] > 0


def test_the_compilation_is_kept():
    def weird_loss(y_true, y_pred):
        return keras.ops.mean(keras.ops.abs(y_true - y_pred) ** 3)

    model = small()
    model.compile(
        keras.optimizers.Adam(0.5, beta_1=0.8),
        loss=weird_loss,
        metrics=["mae", keras.metrics.MeanMetricWrapper(weird_loss, name="own")],
        run_eagerly=True,
        steps_per_execution=1,
    )
    model.optimizer.learning_rate = 0.25
    x, y = images(4), np.zeros((4, 3), "float32")
    expected = model.evaluate(x, y, verbose=0, return_dict=True)
    new = insert_drops(model, DROP)
    assert isinstance(new.optimizer, keras.optimizers.Adam)
    assert new.optimizer is not model.optimizer
    assert float(new.optimizer.learning_rate) == 0.25 and new.optimizer.beta_1 == 0.8
    assert new.run_eagerly and not new.jit_compile
    assert new.evaluate(x, y, verbose=0, return_dict=True) == expected
    assert set(expected) == {"loss", "mae", "own"}
    before = model.get_weights()
    new.fit(x, y, verbose=0)
    for old, now in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, now)
    assert not insert_drops(small(), DROP).compiled


def test_drops_can_be_put_into_a_model_that_has_some():
    once = insert_drops(small(), DROP, after="a_relu")
    twice = insert_drops(once, DROP, after="a_relu")
    assert set(sources(twice)) == {"a_relu_drop", "a_relu_2_drop"}
    with pytest.raises(ValueError, match="it is a drop itself"):
        insert_drops(once, DROP, after="a_relu_drop")


def test_a_scheduled_rate_counts_at_each_site_and_the_model_is_saved(tmp_path):
    drop = SelectScale(top_rate=0.5, retaining_rate=linear_curriculum(0.2, 10), seed=1)
    model = small()
    new = insert_drops(model, drop)
    assert len(new.weights) == len(model.weights)
    new(images(), training=True)
    new.save(tmp_path / "new.keras")
    loaded = keras.saving.load_model(tmp_path / "new.keras")
    assert_equal_to_the_bit(new, loaded, images())
    assert [int(layer.training_calls) for layer in drops(loaded, SelectScale)] == [1] * 4


def test_it_says_which_sites_it_took(capsys):
    insert_drops(small(), DROP, after=("*_bn", "logits"), summary=True)
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines[:3]] == ["site", "a_bn", "c_bn"]
    assert "a_bn_drop (SpatialDropout)" in lines[1]
    assert lines[3] == "2 drops"
    assert lines[4].startswith("none after logits: its output of shape (None, 3)")
    insert_drops(small(), DROP)
    assert capsys.readouterr().out == ""


class Subclassed(keras.Model):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.conv = layers.Conv2D(4, 3)

    def call(self, x):
        return self.conv(x)


def with_subclassed():
    inputs = keras.Input(IMAGE)
    return keras.Model(inputs, layers.Conv2D(4, 3)(Subclassed(name="own")(inputs)))


def with_own_call():
    class Own(keras.Model):
        def call(self, x):
            return super().call(x) + 1.0

    source = small()
    return Own(source.input, source.output)


@pytest.mark.parametrize(
    "make, error, words",
    [
        (Subclassed, ValueError, "subclassed model.*Functional model"),
        (with_subclassed, ValueError, "'own' inside of `model` is a subclassed model.*'conv2d"),
        (with_own_call, ValueError, "overrides `call`"),
        (lambda: keras.Sequential([layers.Conv2D(4, 3)]), ValueError, "must be built"),
        (lambda: layers.Conv2D(4, 3), TypeError, "`model`"),
    ],
)
def test_models_that_cannot_be_rewritten_are_refused(make, error, words):
    with pytest.raises(error, match=words):
        insert_drops(make(), DROP)


def test_what_is_inside_of_other_layers_is_said(capsys):
    inputs = keras.Input((5, *IMAGE))
    x = layers.TimeDistributed(layers.Conv2D(4, 3, name="inner"), name="times")(inputs)
    x = layers.Conv3D(4, 1, name="conv")(x)
    model = keras.Model(inputs, layers.GlobalAveragePooling3D()(x))
    insert_drops(model, DROP, summary=True)
    assert "none after times/inner: it is inside of times (of type TimeDistributed)" in (
        capsys.readouterr().out
    )
    with pytest.raises(ValueError, match="not after times/inner: it is inside of times"):
        insert_drops(model, DROP, after="inner")


@pytest.mark.parametrize(
    "kwargs, error, words",
    [
        ({"after": layers.Conv1D}, ValueError, "selects none of its layers, which are"),
        ({"after": "nothing*"}, ValueError, "`after` must select a site"),
        ({"after": layers.Dense}, ValueError, "not a batch of feature maps"),
        ({"after": 3}, TypeError, "`after`"),
        ({"after": []}, TypeError, "`after`"),
        ({"after": [3]}, TypeError, "`after`"),
        ({"depths": (0.9, 0.1)}, ValueError, "`depths`"),
        ({"depths": (0, 2)}, ValueError, "`depths`"),
        ({"depths": "half"}, ValueError, "`depths`"),
        ({"depths": range(50, 60)}, ValueError, "`depths` and `groups` must leave"),
        ({"groups": "first"}, TypeError, "`groups`"),
        ({"groups": []}, TypeError, "`groups`"),
        ({"groups": 7}, ValueError, r"`groups` must name groups .* \[0, 1\]. Received: \[7\]"),
        ({"drop": None}, TypeError, "`drop`"),
        ({"drop": 0.5}, TypeError, "`drop`"),
        ({"drop": layers.ReLU()}, ValueError, "`training` argument"),
        ({"drop": {}}, TypeError, "`drop`"),
        ({"drop": {0: 0.5}}, TypeError, "`drop`"),
        ({"drop": lambda site: None}, ValueError, "a drop for at least one site"),
        ({"drop": lambda site: 3}, TypeError, "a layer or None for each site"),
    ],
)
def test_bad_arguments_are_refused(kwargs, error, words):
    with pytest.raises(error, match=words):
        insert_drops(small(), kwargs.pop("drop", DROP), **kwargs)
