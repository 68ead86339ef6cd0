from keras_selectscale.benchmarking.interleaving import measure_case


def test_a_side_that_fails_is_recorded_and_the_others_are_measured():
    def broken():
        raise ValueError("float16 is not served")

    sides = {"good": lambda: None, "broken": broken, "too": lambda: None}
    case = measure_case(sides, rounds=2, seconds=1e-9)
    assert case["failed"] == {"broken": "ValueError: float16 is not served"}
    assert set(case["seconds"]) == set(case["calls"]) == {"good", "too"}
    assert [len(times) for times in case["seconds"].values()] == [2, 2]


def test_nothing_is_left_where_all_fail():
    case = measure_case({"broken": lambda: 1 // 0}, rounds=1, seconds=1e-9)
    assert case["seconds"] == {} and "ZeroDivisionError" in case["failed"]["broken"]
