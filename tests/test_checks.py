import fractions
import itertools
import pickle

import numpy as np
import pytest

from keras_selectscale import checks, object_checks


class Unprintable:
    def __repr__(self):
        raise RuntimeError("no repr")


@pytest.mark.parametrize("value", [3, np.int64(3), np.uint8(3)])
def test_as_integer_returns_a_python_int(value):
    assert type(checks.as_integer("n", value, 0)) is int


@pytest.mark.parametrize("value", [True, 1.0, "1", None, [1], np.ones(1), Unprintable()])
def test_as_integer_rejects_other_types(value):
    with pytest.raises(TypeError, match="^Argument `n` must be an integer. Received: n=") as caught:
        checks.as_integer("n", value)
    assert caught.value.argument == "n"


@pytest.mark.parametrize(
    ("low", "high", "value", "expected"),
    [
        (1, None, 0, "of at least 1"),
        (1, 5, 6, "from 1 to 5"),
        (None, 5, 6, "of at most 5"),
        (1, checks.LARGEST_INT64, 2**63, "of at least 1"),
    ],
)
def test_as_integer_states_the_range(low, high, value, expected):
    with pytest.raises(ValueError, match=f"must be an integer {expected}. Received: n={value}"):
        checks.as_integer("n", value, low, high)


@pytest.mark.parametrize("value", [0.5, np.float32(0.5), fractions.Fraction(1, 2)])
def test_as_number_returns_a_python_float(value):
    number = checks.as_number("x", value, 0, 1)
    assert type(number) is float and number == 0.5


@pytest.mark.parametrize(
    ("value", "kind", "expected"),
    [
        (True, TypeError, "a number"),
        ("0.5", TypeError, "a number"),
        (np.array([0.5]), TypeError, "a number"),
        (float("nan"), ValueError, "finite"),
        (10**400, ValueError, "finite"),
        (0, ValueError, r"in \(0, 1\]"),
        (1.5, ValueError, r"in \(0, 1\]"),
    ],
)
def test_as_number_rejects(value, kind, expected):
    with pytest.raises(kind, match=f"Argument `x` must be {expected}. Received: x="):
        checks.as_number("x", value, 0, 1, above=True)


@pytest.mark.parametrize("value", [["a"], np.array(["a", "b"]), {"a": 1}, None, 1, b"a"])
def test_as_choice_rejects_what_is_not_a_string(value):
    with pytest.raises(ValueError, match="Argument `c` must be one of 'a', 'b'. Received: c="):
        checks.as_choice("c", value, ("a", "b"))


def test_as_choice_names_the_choices():
    assert checks.as_choice("c", "a", ("a", "b")) == "a"
    with pytest.raises(ValueError, match="must be one of 'a', 'b'. Received: c='x'"):
        checks.as_choice("c", "x", ("a", "b"))


@pytest.mark.parametrize("value", ["ab", 5, {"a": 1}, {1}, None, np.array(5)])
def test_as_sequence_rejects(value):
    with pytest.raises(TypeError, match="Argument `s` must be a list or tuple"):
        object_checks.as_sequence("s", value)


@pytest.mark.parametrize("value", [[], ["a", "a"], ["z"]])
def test_as_choices_rejects(value):
    with pytest.raises(ValueError, match="Argument `s` must be"):
        object_checks.as_choices("s", value, ("a", "b"))


@pytest.mark.parametrize("value", [range(10**12), itertools.count()])
def test_as_sequence_ends(value):
    with pytest.raises(ValueError, match="`s` must be a list or tuple of at most 1,048,576 items"):
        object_checks.as_sequence("s", value)


def test_as_instances_checks_every_item():
    assert object_checks.as_instances("s", [1, 2], int, "numbers") == (1, 2)
    for bad in ([1, "x"], "x", 1, None, np.zeros(2), [[]]):
        with pytest.raises(TypeError, match="Argument `s` must be a list or tuple"):
            object_checks.as_instances("s", bad, int, "numbers")


@pytest.mark.parametrize(
    ("function", "kind"),
    [(lambda: 1, TypeError), (lambda x: x[0], TypeError), (lambda x: 1 / 0, ValueError)],
)
def test_the_error_of_a_function_names_its_argument(function, kind):
    with pytest.raises(kind, match="Argument `f` must return an answer without an error. Received"):
        object_checks.asked("f", function, 3)


def test_the_error_of_a_function_about_an_argument_stays():
    error = checks.value_error("other", "3", 4)

    def function(x):
        raise error

    with pytest.raises(ValueError) as caught:
        object_checks.asked("f", function, 3)
    assert caught.value is error


def test_long_values_are_cut():
    with pytest.raises(ValueError, match=r"… \(5,002 characters\)$") as caught:
        checks.as_choice("c", "9" * 5000, ("a",))
    assert len(str(caught.value)) < 300


def test_errors_keep_their_argument_when_pickled():
    error = pickle.loads(pickle.dumps(checks.value_error("top_rate", "in (0, 1]", 2)))
    assert isinstance(error, ValueError) and error.argument == "top_rate"
