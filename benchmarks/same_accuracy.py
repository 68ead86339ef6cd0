"""Measures whether a faster setting reaches the same accuracy.

python benchmarks/same_accuracy.py --seeds 20 --setting float32:off --setting mixed_bfloat16:off \
    --setting float32:on --network resnet-8 --dataset digits --epochs 20 --batch-size 64

Trains each drop with each setting (PRECISION:JIT) and seed with `keras-selectscale train`. Prints
the mean ± standard deviation of the test error, and the difference from the first setting, paired
by seed: mean ± standard error. Runs of one seed have the same initial weights, order and
augmentation. If started again, it continues.
"""

import json
import pathlib
import statistics
import subprocess
import sys

import click

MAIN = (
    "import sys; sys.argv[0] = 'keras-selectscale'; from keras_selectscale.cli import main; main()"
)


@click.command(context_settings={"ignore_unknown_options": True})
@click.option("--setting", "settings", multiple=True, required=True, help="PRECISION:JIT")
@click.option("--drop", "drops", multiple=True, default=["none", "selectscale"], show_default=True)
@click.option("--seeds", type=click.IntRange(min=2), default=5, show_default=True)
@click.option("--runs-dir", default="runs/same-accuracy", show_default=True)
@click.option("--python", default=sys.executable, help="Python that trains.")
@click.argument("options", nargs=-1)
def main(settings, drops, seeds, runs_dir, python, options):
    if wrong := [setting for setting in settings if setting.count(":") != 1]:
        raise click.UsageError(f"Option --setting must be PRECISION:JIT. Received: {wrong[0]}")
    name = "-".join(word.lstrip("-").replace("/", "-") for word in options)
    errors = {(drop, setting): [] for drop in drops for setting in settings}
    speeds = {key: [] for key in errors}
    for seed in range(seeds):
        for drop, setting in errors:
            precision, jit = setting.split(":")
            run = f"{name}-{drop}-{precision}-{jit}-{seed}"
            command = [python, "-c", MAIN, "train", *options, "--drop", drop, "--seed", seed]
            command += ["--precision", precision, "--jit", jit]
            command += ["--runs-dir", runs_dir, "--run", run]
            words = [str(word) for word in command]
            done = subprocess.run(words, stderr=subprocess.PIPE, text=True)
            if done.returncode:
                raise click.ClickException((done.stderr.strip().splitlines() or ["failed"])[-1])
            result = json.loads((pathlib.Path(runs_dir) / run / "result.json").read_text())
            errors[drop, setting].append(result["test_error"])
            speeds[drop, setting].append(result["images_per_second"])
    print("| drop | precision:jit | test error (%) | difference ± standard error | images/s |")
    print("| --- | --- | ---: | ---: | ---: |")
    for (drop, setting), found in errors.items():
        first = errors[drop, settings[0]]
        apart = [one - other for one, other in zip(found, first, strict=True)]
        error = statistics.stdev(apart) / seeds**0.5
        beside = "" if setting == settings[0] else f"{statistics.fmean(apart):+.2f} ± {error:.2f}"
        spread = f"{statistics.fmean(found):.2f} ± {statistics.stdev(found):.2f}"
        speed = statistics.median(speeds[drop, setting])
        print(f"| {drop} | {setting} | {spread} | {beside} | {speed:.0f} |")


if __name__ == "__main__":
    main()
