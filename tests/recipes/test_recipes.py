"""The recipes against the paper's tables, typed in here a second time, cell by cell."""

import dataclasses

import pytest

from keras_selectscale import recipes
from keras_selectscale.training import Recipe

# Table, network, method: error, deviation, top rate, retaining rate.
TABLES_1_AND_2 = """
1 resnet-110 none            5.88 0.13 -   -
1 resnet-110 dropout         5.78 0.11 -   0.9
1 resnet-110 spatial-dropout 5.42 0.15 -   0.9
1 resnet-110 spatial-scale   5.40 0.06 -   0.4
1 resnet-110 selectscale     5.22 0.08 0.4 0.4
1 wrn-20-4   none            5.04 0.07 -   -
1 wrn-20-4   dropout         4.84 0.06 -   0.9
1 wrn-20-4   spatial-dropout 4.55 0.07 -   0.9
1 wrn-20-4   spatial-scale   4.64 0.12 -   0.4
1 wrn-20-4   selectscale     4.24 0.05 0.2 0
1 wrn-20-8   none            4.93 0.08 -   -
1 wrn-20-8   dropout         4.37 0.07 -   0.9
1 wrn-20-8   spatial-dropout 4.21 0.11 -   0.9
1 wrn-20-8   spatial-scale   4.14 0.05 -   0.4
1 wrn-20-8   selectscale     3.89 0.10 0.2 0.1
2 resnet-110 none            26.16 0.14 -   -
2 resnet-110 dropout         25.85 0.24 -   0.9
2 resnet-110 spatial-dropout 24.12 0.29 -   0.9
2 resnet-110 spatial-scale   24.12 0.19 -   0.4
2 resnet-110 selectscale     23.48 0.22 0.1 0.1
2 wrn-20-4   none            22.90 0.21 -   -
2 wrn-20-4   dropout         22.53 0.23 -   0.9
2 wrn-20-4   spatial-dropout 21.24 0.17 -   0.9
2 wrn-20-4   spatial-scale   21.40 0.08 -   0.4
2 wrn-20-4   selectscale     20.20 0.18 0.1 0.1
2 wrn-20-8   none            20.99 0.18 -   -
2 wrn-20-8   dropout         20.78 0.19 -   0.9
2 wrn-20-8   spatial-dropout 19.70 0.27 -   0.9
2 wrn-20-8   spatial-scale   19.50 0.23 -   0.2
2 wrn-20-8   selectscale     18.52 0.22 0.2 0.1
"""
ROWS = [line.split() for line in TABLES_1_AND_2.strip().splitlines()]
# Row, method: epochs, schedule, curriculum, error.
TABLE_3 = [
    ("none/1", 200, "step", "none", 4.19),
    ("none/2", 200, "cosine", "none", 4.07),
    ("none/3", 600, "cosine", "none", 3.51),
    ("dropout/4", 600, "cosine", "none", 3.69),
    ("dropout/5", 600, "cosine", "linear", 3.66),
    ("spatial-dropout/6", 600, "cosine", "linear", 3.35),
    ("selectscale/7", 600, "cosine", "linear", 3.24),
]
# Method: top-1, top-5, top rate, retaining rate.
TABLE_4 = [
    ("none", 23.89, 7.06, None, None),
    ("dropout", 23.97, 7.12, None, 0.9),
    ("spatial-dropout", 23.76, 7.04, None, 0.9),
    ("selectscale", 23.38, 6.78, 0.1, 0.2),
]

CONTROLS = {
    "selectscale-random": {"score": "random"},
    "selectscale-lowest": {"score": "lowest"},
    "selectscale-after-addition": {"last_drop": "after_addition"},
    "none-400": {"epochs": 400},
}
METHODS = ["none", "dropout", "spatial-dropout", "spatial-scale", "selectout", "selectscale"]
LOW_DATA = [
    *(f"resnet-20/{name}" for name in [*METHODS, "selectscale-random", "selectscale-lowest"]),
    *(f"wrn-20-4/{name}" for name in METHODS),
]


def number(text):
    return None if text == "-" else float(text)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: "/".join(row[:3]))
def test_tables_1_and_2(row):
    table, network, method, error, deviation, top_rate, retaining_rate = row
    cell = recipes.get(f"table{table}/{network}/{method}")
    assert (cell.error, cell.deviation, cell.runs) == (float(error), float(deviation), 5)
    assert cell.recipe == Recipe(
        network=network,
        dataset={"1": "cifar10", "2": "cifar100"}[table],
        drop=method,
        top_rate=number(top_rate),
        retaining_rate=number(retaining_rate),
        epochs=200,
        batch_size=128,
        learning_rate=0.1,
        schedule="step",
        milestones=(60 / 200, 120 / 200, 160 / 200),
        decay_factor=0.2,
        momentum=0.9,
        weight_decay=0.0005,
    )


@pytest.mark.parametrize("row", TABLE_3, ids=lambda row: row[0])
def test_table_3(row):
    name, epochs, schedule, curriculum, error = row
    cell = recipes.get(f"table3/resnext-29-8x64d/{name}")
    recipe = cell.recipe
    assert (recipe.network, recipe.dataset) == ("resnext-29-8x64d", "cifar10")
    assert (recipe.epochs, recipe.schedule, recipe.curriculum) == (epochs, schedule, curriculum)
    assert recipe.drop == name.split("/")[0]
    assert (cell.error, cell.deviation) == (error, None)
    assert bool(cell.note) == (recipe.drop != "none")


@pytest.mark.parametrize("row", TABLE_4, ids=lambda row: row[0])
def test_table_4(row):
    method, error, top5_error, top_rate, retaining_rate = row
    cell = recipes.get(f"table4/resnet-50/{method}")
    recipe = cell.recipe
    assert (cell.error, cell.top5_error) == (error, top5_error)
    assert (recipe.network, recipe.dataset) == ("resnet-50", "imagenet2012")
    assert (recipe.top_rate, recipe.retaining_rate) == (top_rate, retaining_rate)
    assert (recipe.epochs, recipe.batch_size, recipe.weight_decay) == (105, 256, 0.0001)
    assert [round(m * 105, 9) for m in recipe.milestones] == [30, 60, 90, 100]
    assert (recipe.learning_rate, recipe.decay_factor) == (0.1, 0.1)
    dropped = method != "none"
    assert recipe.curriculum == ("linear" if dropped else "none")
    assert recipe.group_factors == (((3, 0.5), (4, 1.0)) if dropped else None)


@pytest.mark.parametrize("name", CONTROLS)
def test_a_control_differs_from_table_1_in_one_thing(name):
    cell = recipes.get(f"controls/wrn-20-4/{name}")
    table1 = recipes.get(f"table1/wrn-20-4/{name.split('-')[0]}").recipe
    assert cell.recipe == dataclasses.replace(table1, **CONTROLS[name])
    assert (cell.error, cell.deviation, cell.runs) == (None, None, 5) and cell.note


@pytest.mark.parametrize("name", LOW_DATA)
def test_the_low_data_protocol_shares_everything_but_the_drop(name):
    network, _, method = name.partition("/")
    cell = recipes.get(f"lowdata/{name}")
    plain = recipes.get(f"lowdata/{network}/none").recipe
    assert (plain.dataset, plain.network) == ("subset:5000:cifar10", network)
    differing = {
        field for field, value in cell.recipe.as_json().items() if value != plain.as_json()[field]
    }
    assert differing <= {"drop", "top_rate", "retaining_rate", "score"}
    drop, _, score = (
        method.replace("scale-", "scale ").partition(" ")
        if "select" in method
        else (method, "", "")
    )
    assert cell.recipe.drop == drop and (cell.error, cell.runs) == (None, 5)
    if score:
        drop = recipes.get(f"lowdata/{network}/{drop}").recipe
        assert cell.recipe == dataclasses.replace(drop, score=score)


def test_nothing_else_is_there():
    expected = [f"table{t}/{network}/{method}" for t, network, method, *_ in ROWS]
    expected += [f"table3/resnext-29-8x64d/{name}" for name, *_ in TABLE_3]
    expected += [f"table4/resnet-50/{method}" for method, *_ in TABLE_4]
    expected += [f"controls/wrn-20-4/{name}" for name in CONTROLS]
    expected += [f"lowdata/{name}" for name in LOW_DATA]
    assert recipes.names() == expected
    assert [recipes.get(name).name for name in expected] == expected


def test_the_texts_other_top_rates_stand_beside_the_captions():
    others = {
        cell.name: cell.text_top_rate
        for cell in map(recipes.get, recipes.names())
        if cell.text_top_rate is not None
    }
    # Section 3.3: "the top rates for ResNet-110, WRN-20-4 and WRN-20-8 are 0.1, 0.2 and 0.1".
    assert others == {"table2/wrn-20-4/selectscale": 0.2, "table2/wrn-20-8/selectscale": 0.1}
    assert all(f"{rate:g}" in recipes.get(name).note for name, rate in others.items())


def test_a_recipe_is_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError):
        recipes.get(recipes.names()[0]).error = 0.0


@pytest.mark.parametrize(
    "name, count",
    [("table1", 15), ("table2/wrn-20-4", 5), ("table3", 7), ("table4", 4), ("table4/resnet-50", 4)],
)
def test_a_table_or_a_network_selects_its_cells(name, count):
    found = recipes.select(name)
    assert len(found) == count
    assert all(cell.name.startswith(f"{name}/") for cell in found)


def test_the_row_of_table_3_may_be_left_out_where_there_is_one():
    assert recipes.get("table3/resnext-29-8x64d/selectscale").name.endswith("/7")
    with pytest.raises(ValueError, match="`name`.*none/1.*none/2.*none/3"):
        recipes.get("table3/resnext-29-8x64d/none")


@pytest.mark.parametrize("name", ["table5", "table", "table1/wrn", "", "wrn-20-4", "table1/"])
def test_an_unknown_name_is_refused(name):
    with pytest.raises(ValueError, match="`name`"):
        recipes.select(name)
