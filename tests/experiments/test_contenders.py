import pytest

from keras_selectscale.experiments import Comparison
from keras_selectscale.experiments.contenders import remark, title
from keras_selectscale.training import Recipe

BASE = Recipe(network="resnet-8", dataset="digits", epochs=1)


def test_a_method_at_its_own_rates_is_a_cell_of_its_own():
    texts = ("none", "selectscale", " selectscale: retaining_rate=0.20, top_rate=0.1".strip())
    comparison = Comparison(BASE, 2, texts)
    assert comparison.methods[2] == "selectscale:top_rate=0.1,retaining_rate=0.2"
    cells = dict(comparison.cells())
    assert list(cells)[:3] == [
        "none-seed0",
        "selectscale-seed0",
        "selectscale-top_rate-0.1-retaining_rate-0.2-seed0",
    ]
    recipe = cells["selectscale-top_rate-0.1-retaining_rate-0.2-seed1"]
    assert (recipe.drop, recipe.seed) == ("selectscale", 1)
    assert (recipe.top_rate, recipe.retaining_rate) == (0.1, 0.2)
    assert title(comparison.methods[2]) == "SelectScale (top 0.1, retaining 0.2)"
    assert title("none") == "without data drop"


@pytest.mark.parametrize(
    ("texts", "words"),
    [
        (("selectscal:top_rate=0.1",), "'selectscale'"),
        (("selectscale:rate=0.1",), "top_rate, retaining_rate, score"),
        (("selectscale:top_rate",), "top_rate, retaining_rate, score"),
        (("selectscale:",), "top_rate, retaining_rate, score"),
        (("selectscale:top_rate=0.1,top_rate=0.2",), "top_rate, retaining_rate, score"),
        (("selectscale:top_rate=much",), "a number for top_rate"),
        (("selectscale:top_rate=1.5",), "`top_rate`"),
        (("selectscale:top_rate=nan",), "`top_rate`"),
        (("none:retaining_rate=0.5",), "retaining_rate"),
        (("spatial-scale:top_rate=0.5",), "top_rate"),
        (("selectscale", "selectscale:top_rate=0.2"), "different drops"),
        (("selectscale", "selectscale"), "different drops"),
        ((), "one or more"),
        ((3,), "a drop method"),
    ],
)
def test_a_drop_that_cannot_be_compared_is_refused_by_name(texts, words):
    with pytest.raises(ValueError, match="Argument `methods` must be") as caught:
        Comparison(BASE, 1, texts)
    assert words in str(caught.value)


def row(*errors):
    return {"test_errors": list(errors), "mean": sum(errors) / len(errors)}


def test_a_method_that_is_worse_than_no_drop_is_named():
    summaries = {
        "none": row(3.0, 4.0),
        "selectscale": row(2.0, 3.0),
        "selectout:top_rate=0.5": row(5.0, 8.0),
    }
    assert remark(summaries) == (
        "Worse than no drop here, in points: Selectout (top 0.5) by 3.00 ± 1.00."
    )
    assert remark({"none": row(3.0), "selectscale": row(2.0)}) == ""
    assert remark({"selectscale": row(2.0)}) == ""
    assert remark({"none": row(3.0), "selectout": row(4.5)}).endswith("Selectout by 1.50.")
