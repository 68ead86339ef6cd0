import pytest


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["3", "nothing.keras"], "nothing.keras does not exist"),
        (["3", "nothing"], "nothing"),
        (["3", "damaged.keras"], "cannot be read as a Keras model"),
        (["3", "damaged.keras", "--rates", "2"], "Option --rates must be in [0, 1]"),
        (["3", "damaged.keras", "--methods", "x"], "'x'"),
        (["3", "damaged.keras", "--draws", "0"], "Option --draws"),
        (["5"], "No such command '5'"),
    ],
)
def test_bad_input_is_one_line(command, tmp_path, arguments, said):
    (tmp_path / "damaged.keras").write_bytes(b"nothing")
    status, out, err = command("figure", *arguments)
    assert status == 2 and out == "" and err.count("\n") == 1 and said in err
