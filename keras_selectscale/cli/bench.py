"""`keras-selectscale bench`."""

import importlib.util
import json
import os
import pathlib
import signal
import subprocess
import sys
import tempfile
from typing import Any

import click

from keras_selectscale.cli import options
from keras_selectscale.cli.backend import BACKENDS, start_keras
from keras_selectscale.cli.group import input_errors
from keras_selectscale.cli.path_type import PathType
from keras_selectscale.cli.value_list import ValueList

# The last three measure what grows with the work; `all` leaves them out.
SCALE = ("data", "search", "predict")
WHAT = ("layers", "steps", "growth", "all", *SCALE)
# Starts the command line in a new process, no matter how this one was started.
START = (
    "import sys; sys.argv[0] = 'keras-selectscale'; from keras_selectscale.cli import main; main()"
)
NAMES = ValueList(str)
# Takes a minute or two on two cores.
QUICK_SCALE = {"files": 2000, "trials": 50, "samples": 10, "rounds": 3}
# If the load average before the start is above this share of the cores, other processes are busy.
BUSY_SHARE = 0.3


class Shapes(click.ParamType):
    """Shapes separated by commas, such as `128x32x32x16,32x7x7x2048`."""

    name = "SHAPES"

    def convert(self, value: Any, param: Any, ctx: Any) -> tuple[tuple[int, ...], ...]:
        """Returns the shapes."""
        if isinstance(value, tuple):
            return value
        try:
            return tuple(
                tuple(int(size) for size in shape.split("x"))
                for shape in value.split(",")
                if shape.strip()
            )
        except ValueError:
            self.fail(f"{value!r} is not a list of shapes such as 128x32x32x16,32x7x7x2048.")


@click.command()
@click.argument("what", type=click.Choice(WHAT), default="all")
@click.option("--methods", type=NAMES, help="Layers, such as selectscale; by default all.")
@click.option(
    "--backends",
    type=NAMES,
    help="tensorflow, jax, torch, comma-separated; by default the active one.",
)
@click.option("--modes", type=NAMES, help="graph and xla on TensorFlow; by default both.")
@click.option("--shapes", type=Shapes(), help="Inputs of the layers, such as 128x32x32x16.")
@click.option("--precisions", type=NAMES, help="float32, bfloat16, float16; by default all.")
@click.option("--networks", type=NAMES, help="Networks whose training step is measured.")
@click.option("--step-methods", type=NAMES, help="Drops of the networks, and other sides.")
@click.option("--batch-size", type=int, help="Images of a training step; by default 128.")
@click.option("--rounds", type=int, help="Measurements of each side; by default 15.")
@click.option("--seconds", type=float, help="Minimum time of a measurement; by default 0.02.")
@click.option("--memory/--no-memory", default=None, help="Measure the peak memory of the steps.")
@click.option("--profile", type=PathType(file_okay=False), help="Folder for traces of the steps.")
@click.option("--seed", type=int, help="Seed of data, weights and drops.")
@click.option("--files", type=int, help="Images of the folders of `data`; by default 100,000.")
@click.option("--trials", type=int, help="Trials of `search`; by default 1,000.")
@click.option("--samples", type=int, help="Samples of `predict`; by default 30.")
@click.option("--quick", is_flag=True, help="Measure less: two minutes on two cores.")
@click.option(
    "--out-dir",
    type=PathType(file_okay=False, path_type=pathlib.Path),
    default="bench",
    show_default=True,
    help="Folder for bench.json, bench.md and growth.png.",
)
@click.option("--json", "json_path", type=PathType(dir_okay=False), help="Path of bench.json.")
@click.option("--figure", "figure_path", type=PathType(dir_okay=False), help="Path of growth.png.")
@click.option("--part", type=PathType(dir_okay=False), hidden=True)
def command(
    what: str,
    backends: tuple[str, ...] | None,
    quick: bool,
    out_dir: pathlib.Path,
    json_path: str | None,
    figure_path: str | None,
    part: str | None,
    files: int | None,
    trials: int | None,
    samples: int | None,
    **values: Any,
) -> int:
    """Measure the drops against Keras' own drops and against no drop, on this machine.

    Measures layers forward and backward, whole training steps, how the cost grows, and the share of
    the bandwidth of a copy. The sides are measured in turns. Prints the means; bench.md holds every
    shape, bench.json every raw time.

    `data` opens and reads folders of images next to Keras and tf.data, `search` counts the time per
    trial next to KerasTuner, and `predict` compares mc_predict with a function written by hand.
    """
    from keras_selectscale.console import Console

    busy = os.getloadavg()[0] if hasattr(os, "getloadavg") else None
    start_keras()
    sizes = options.given(files=files, trials=trials, samples=samples)
    _refuse_unused(what, sizes, backends=backends, json=json_path, figure=figure_path, **values)
    if what in SCALE:
        shared = options.given(rounds=values["rounds"], seed=values["seed"])
        return _measure_scale(what, (QUICK_SCALE if quick else {}) | sizes | shared, out_dir)
    import keras

    from keras_selectscale.benchmarking import bench_options, draw_growth, result_tables
    from keras_selectscale.files import write_json, write_text

    with input_errors():
        sections = bench_options.SECTIONS if what == "all" else (what,)
        given = (bench_options.QUICK if quick else {}) | options.given(**values)
        wanted = bench_options.BenchOptions(sections=sections, **given)
        backends = _backends(backends, keras.backend.backend())
        wanted.check_modes(backends)
    if part is not None:
        write_json(pathlib.Path(part), _measure(wanted))
        return 0
    json_file = pathlib.Path(json_path or out_dir / "bench.json")
    figure_file = pathlib.Path(figure_path or out_dir / "growth.png")
    with input_errors():
        for path in (json_file, out_dir / "bench.md", figure_file):
            path.parent.mkdir(parents=True, exist_ok=True)
            # Fails on unwritable paths before measuring.
            tempfile.TemporaryFile(dir=path.parent).close()
    content: dict[str, Any] = {"options": wanted.as_json(), "load_average_before": busy}
    results: dict[str, Any] = {}
    broken: list[str] = []
    try:
        for backend in backends:
            if backends == (keras.backend.backend(),):
                results[backend] = _measure(wanted)
            else:
                status, found = _measure_in_process(backend)
                if status == 2:  # The process has printed the reason.
                    return status
                if status:
                    broken.append(f"{backend}: its process ended with status {status}")
                    continue
                results[backend] = found
            write_json(json_file, {**content, "backends": results})
    except KeyboardInterrupt:
        kept = f"; {json_file} has {', '.join(results)}" if results else ""
        Console(stderr=True).say(f"keras-selectscale: interrupted{kept}")
        return 130
    if not results:
        Console(stderr=True).say(f"keras-selectscale: {'; '.join(broken)}")
        return 1
    written = [json_file, out_dir / "bench.md"]
    details = map(result_tables.as_markdown, result_tables.detailed_tables(results))
    summary = map(result_tables.as_markdown, result_tables.summary_tables(results))
    write_text(out_dir / "bench.md", "\n".join([result_tables.heading(wanted), *summary, *details]))
    if "growth" in sections:
        draw_growth(results, figure_file, "; quick, few rounds" if quick else "")
        written.append(figure_file)
    _print_tables(result_tables.heading(wanted), result_tables.summary_tables(results))
    if busy is not None and busy > BUSY_SHARE * (os.cpu_count() or 1):
        Console().say(
            f"Others were at work on this machine: a load average of {busy:.1f} on "
            f"{os.cpu_count()} cores at the start. Ratios of PyTorch suffer most."
        )
    Console().say(f"Written: {', '.join(map(str, written))}")
    failed = broken + [
        f"{name} {line}" for name, result in results.items() for line in result["failed"]
    ]
    for line in failed:
        Console(stderr=True).say(f"Failed: {line}")
    return 1 if failed else 0


def _refuse_unused(what: str, sizes: dict[str, int], **values: Any) -> None:
    """Raises an error for options that a part of the benchmark does not read."""
    unused = set(values) - {"rounds", "seed"} if what in SCALE else set(sizes)
    given = options.given(**values) | sizes
    names = [f"--{name.replace('_', '-')}" for name in given if name in unused]
    if names:
        raise click.UsageError(f"`bench {what}` does not take {', '.join(names)}.")


def _measure_scale(what: str, sizes: dict[str, int], out_dir: pathlib.Path) -> int:
    """Runs a benchmark of scale, and writes and prints its table."""
    from keras_selectscale.benchmarking import result_tables, scale
    from keras_selectscale.console import Console
    from keras_selectscale.files import write_json, write_text

    with input_errors():
        wanted = scale.ScaleOptions(**sizes)
        out_dir.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=out_dir).close()
        result = scale.run_scale(what, wanted, Console(stderr=True).say)
    table = scale.as_table(result)
    paths = out_dir / f"{what}.json", out_dir / f"{what}.md"
    write_json(paths[0], result)
    write_text(paths[1], result_tables.as_markdown(table))
    _print_tables("Medians of the rounds.", [table])
    Console().say(f"Written: {', '.join(map(str, paths))}")
    return 0


def _backends(names: tuple[str, ...] | None, active: str) -> tuple[str, ...]:
    """Returns the requested backends, or raises an error that names the option."""
    for name in names or ():
        if name not in BACKENDS:
            raise ValueError(
                f"Argument `backends` must hold some of {', '.join(BACKENDS)}. Received: {name!r}"
            )
        if importlib.util.find_spec(name) is None:
            raise ValueError(
                f"Argument `backends` must hold backends that are installed. Received: {name!r}"
            )
    return tuple(dict.fromkeys(names or (active,)))


def _measure(wanted: Any) -> dict[str, Any]:
    from keras_selectscale.benchmarking import run_bench
    from keras_selectscale.benchmarking.step_work import NetworkError
    from keras_selectscale.training.epoch_progress import make_progress

    with input_errors(NetworkError), make_progress() as progress:
        return run_bench(wanted, progress)


def _measure_in_process(backend: str) -> tuple[int, dict[str, Any]]:
    """Runs this command line on another backend, and returns the status and the results."""
    arguments = click.get_current_context().params
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "part.json"
        status = _run_alone(
            [sys.executable, "-c", START, "bench", *_as_arguments(arguments), "--part", str(path)],
            {**os.environ, "KERAS_BACKEND": backend},
        )
        if status or not path.exists():
            return status or 1, {}
        return 0, json.loads(path.read_text(encoding="utf-8"))


def _run_alone(command: list[str], environment: dict[str, str]) -> int:
    """Runs a process that Ctrl-C does not reach, and kills it with its own if it arrives here.

    Otherwise each of them would print that it was interrupted.
    """
    with subprocess.Popen(command, env=environment, start_new_session=True) as process:
        try:
            return process.wait()
        except BaseException:
            if hasattr(os, "killpg"):
                os.killpg(process.pid, signal.SIGKILL)
            else:
                process.kill()
            raise


def _as_arguments(params: dict[str, Any]) -> list[str]:
    """Returns the command line arguments for these parameters, for one backend."""
    arguments = [params["what"]]
    for name, value in params.items():
        option = "--" + name.replace("_", "-")
        if value is None or name in ("what", "backends", "out_dir", "json_path", "figure_path"):
            continue
        if name == "memory":
            arguments.append("--memory" if value else "--no-memory")
        elif isinstance(value, bool):
            arguments += [option] * value
        elif name == "shapes":
            arguments += [option, ",".join("x".join(map(str, shape)) for shape in value)]
        else:
            joined = ",".join(value) if isinstance(value, tuple) else str(value)
            arguments += [option, joined]
    return arguments


def _print_tables(heading: str, tables: Any) -> None:
    from rich.table import Table

    from keras_selectscale.console import Console

    console = Console()
    console.print(heading)
    for table in tables:
        shown = Table(title=table.title, title_justify="left", box=None, pad_edge=False)
        shown.add_column(table.heads[0])
        for head in table.heads[1:]:
            shown.add_column(head, justify="right")
        for row in table.rows:
            shown.add_row(*row)
        console.print(shown)
        console.print()
