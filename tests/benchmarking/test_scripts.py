import pathlib
import runpy

import pytest
from click.testing import CliRunner

SCRIPTS = pathlib.Path(__file__).resolve().parents[2] / "benchmarks"


@pytest.mark.parametrize(
    ("script", "arguments", "said"),
    [
        ("input_pipeline", ["--network", "resnet-9"], "`depth` must be 6n + 2"),
        ("input_pipeline", ["--dataset", "digit"], "--dataset must be one of"),
        ("input_pipeline", ["--rounds", "0"], "--rounds"),
        ("export_table", ["--only", "nothing"], "--only must match one of"),
        ("same_accuracy", ["--setting", "float32"], "--setting must be PRECISION:JIT"),
        ("same_accuracy", ["--setting", "half:off", "--", "--network", "resnet-8"], "'half'"),
        ("deep_networks", ["--rounds", "0"], "--rounds"),
        ("startup", ["--backends", "tensorflow,numbers"], "backend numbers"),
    ],
)
def test_bad_options_are_an_error_without_a_traceback(script, arguments, said, monkeypatch):
    names = runpy.run_path(str(SCRIPTS / f"{script}.py"))
    if script == "startup":

        def run(code, backend, real=names["run"]):
            return (1.0, "1") if backend == "tensorflow" else real(code, backend)

        monkeypatch.setitem(names["main"].callback.__globals__, "run", run)
        arguments = [*arguments, "--rounds", "2"]
    done = CliRunner().invoke(names["main"], arguments)
    assert isinstance(done.exception, SystemExit) and done.exit_code in (1, 2), done.exception
    assert said in " ".join(done.output.split())
