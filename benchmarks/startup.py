"""Measures how long the import and the help take, and what the package adds to Keras.

python benchmarks/startup.py --rounds 15

For each backend, each round starts a new process with `import keras` and one with
`import keras_selectscale`, in an order that alternates, and one with `keras-selectscale --help`.
Prints medians with quartiles in milliseconds. `more` is the difference within a round.
`after Keras` is the time of the import in a process that has already imported Keras, which excludes
the noise of Keras' own import.
"""

import os
import statistics
import subprocess
import sys
import time

import click

WHOLE = "import {}"
AFTER = """
import time, keras
start = time.perf_counter()
import keras_selectscale
print(1000 * (time.perf_counter() - start))
"""
HELP = (
    "import sys; sys.argv[:] = ['keras-selectscale', '--help']; "
    "from keras_selectscale.cli import main; main()"
)


def run(code, backend):
    """Returns the milliseconds and the output of a process."""
    environment = {**os.environ, "KERAS_BACKEND": backend, "TF_CPP_MIN_LOG_LEVEL": "3"}
    started = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True
    )
    if done.returncode:
        reason = (done.stderr.strip().splitlines() or ["it failed"])[-1]
        raise click.ClickException(f"Keras does not start with the backend {backend}: {reason}")
    return 1000 * (time.perf_counter() - started), done.stdout


def said(values):
    low, middle, high = statistics.quantiles(values, n=4, method="inclusive")
    return f"{middle:.0f} ({low:.0f} to {high:.0f})"


@click.command()
@click.option("--rounds", type=click.IntRange(min=2), default=15, show_default=True)
@click.option("--backends", default="tensorflow,jax", show_default=True)
def main(rounds, backends):
    print("| backend | import keras | import keras_selectscale | more | after Keras | --help |")
    print("| --- | ---: | ---: | ---: | ---: | ---: |")
    for backend in backends.split(","):
        run(AFTER, backend)  # Compiles the modules, and reads them from the disk.
        times = {name: [] for name in ("keras", "keras_selectscale", "after", "help")}
        for number in range(rounds):
            for name in ("keras", "keras_selectscale")[:: 1 if number % 2 else -1]:
                times[name].append(run(WHOLE.format(name), backend)[0])
            times["after"].append(float(run(AFTER, backend)[1]))
            times["help"].append(run(HELP, backend)[0])
        pairs = zip(times["keras_selectscale"], times["keras"], strict=True)
        more = [ours - keras for ours, keras in pairs]
        cells = [said(times["keras"]), said(times["keras_selectscale"]), said(more)]
        cells += [said(times["after"]), said(times["help"])]
        print(f"| {backend} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
