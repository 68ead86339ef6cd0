import pathlib
import signal
import sys
from contextlib import nullcontext

import click
import pytest

from keras_selectscale import stopping
from keras_selectscale.cli.group import CommandGroup, cli, input_errors, run
from keras_selectscale.cli.options import stop_option


def failing(error):
    @click.group()
    def group():
        pass

    @group.command()
    @click.option("--top-rate")
    def work(top_rate):
        with input_errors():
            raise error

    return group


@pytest.mark.parametrize("error", [ValueError, TypeError, FileNotFoundError, PermissionError])
def test_bad_input_is_one_line_and_status_2(error, capsys):
    assert run(failing(error("Argument `top_rate` must\nbe small. Received: 3")), ["work"]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err == "keras-selectscale work: Option --top-rate must be small. Received: 3\n"


def test_an_error_of_ours_is_not_hidden():
    with pytest.raises(KeyError):
        run(failing(KeyError("ours")), ["work"])


@pytest.mark.parametrize(
    "arguments, words",
    [
        (["nonsense"], ["nonsense"]),
        (["train"], ["--network"]),
        (
            ["train", "--network", "resnet-8", "--run", "x", "--epochs", "many"],
            ["--epochs", "many"],
        ),
        (["compare", "--dataset", "mnist"], ["--dataset", "mnist", "digits"]),
        (["compare", "--nonsense"], ["--nonsense"]),
        (["evaluate"], ["RUN"]),
        (["list", "cats"], ["cats"]),
    ],
)
def test_clicks_own_errors_are_one_line_and_status_2(arguments, words, capsys):
    assert run(cli, arguments) == 2
    captured = capsys.readouterr()
    assert captured.out == "" and captured.err.count("\n") == 1
    assert all(word in captured.err for word in words)


@pytest.mark.parametrize("error", [FloatingPointError, OSError])
def test_work_that_fails_is_one_line_and_status_1(error, capsys):
    @click.group()
    def group():
        pass

    @group.command()
    def work():
        raise error("the loss is nan")

    assert run(group, ["work"]) == 1
    assert capsys.readouterr().err == "keras-selectscale: the loss is nan\n"


@pytest.mark.parametrize(
    ("error", "status", "said"),
    [
        (KeyboardInterrupt(), 130, "interrupted"),
        (stopping.stop(stopping.INTERRUPT, "at epoch 2"), 130, "interrupted at epoch 2"),
        (stopping.stop(stopping.TERMINATE), 75, "stopped by SIGTERM"),
        (stopping.stop(stopping.TIME_LIMIT, "at a"), 75, "stopped by the time limit at a"),
    ],
)
def test_work_that_is_told_to_stop_says_how_to_continue(error, status, said, capsys):
    group = CommandGroup("group")

    @group.command("train")
    @stop_option
    def work():
        raise error

    @group.command("evaluate")
    def other():
        raise error

    group.get_command = lambda ctx, name: {"train": work, "evaluate": other}.get(name)
    for name, how in (("train", " to continue"), ("evaluate", "")):
        assert run(group, [name]) == status
        line = f"keras-selectscale: {said}; run the same command again{how}\n"
        assert capsys.readouterr() == ("", line)


def test_an_error_into_which_a_library_turns_an_interrupt_is_an_interrupt(capsys):
    group = CommandGroup("group")

    @group.command("train")
    def work():
        try:
            signal.raise_signal(signal.SIGINT)
        except KeyboardInterrupt:
            raise RuntimeError("in a library") from None

    group.get_command = lambda ctx, name: work
    assert run(group, ["train"]) == 130
    line = f"{stopping.LINES[stopping.INTERRUPT]}\n"
    assert capsys.readouterr() == ("", line)


@pytest.mark.parametrize(
    "value", ["9", "0m", "-1s", "1.5", "9 m", "9d", "٣m", "1e3h", "9" * 500 + "h", ""]
)
def test_a_time_needs_a_number_and_a_unit(value, capsys):
    assert run(cli, ["reproduce", "x", "--stop-after", value]) == 2
    err = capsys.readouterr().err
    assert "'--stop-after'" in err and "such as 90s, 9m or 1.5h" in err
    assert err.count("\n") == 1 and len(err) < 400


@pytest.mark.parametrize(("value", "seconds"), [("90s", 90), ("9m", 540), ("1.5h", 5400)])
def test_a_time_limits_the_command(value, seconds, monkeypatch):
    limits = []
    monkeypatch.setattr(stopping, "time_limit", lambda s, **_: limits.append(s) or nullcontext())

    @click.command()
    @stop_option
    def work():
        pass

    group = CommandGroup("group")
    group.get_command = lambda ctx, name: work
    assert run(group, ["train", "--stop-after", value]) == 0 and limits == [seconds]


@pytest.mark.parametrize("arguments", [[], ["--help"], ["-h"]])
def test_help_lists_the_commands_the_main_job_first(arguments, capsys):
    assert run(cli, arguments) == 0
    out = capsys.readouterr().out
    positions = [
        out.index(f"\n  {name} ")
        for name in ("compare", "train", "evaluate", "export", "reproduce", "bench", "list")
    ]
    assert positions == sorted(positions)


@pytest.mark.parametrize(
    "name", ["compare", "train", "evaluate", "export", "reproduce", "bench", "list"]
)
def test_each_command_has_help(name, capsys):
    assert run(cli, [name, "--help"]) == 0
    assert f"keras-selectscale {name}" in capsys.readouterr().out


def test_version(capsys):
    from keras_selectscale import __version__

    assert run(cli, ["--version"]) == 0
    assert __version__ in capsys.readouterr().out


def test_a_command_of_a_similar_name_is_suggested(capsys):
    assert run(cli, ["trian"]) == 2
    assert "No such command 'trian'. Did you mean 'train'?" in capsys.readouterr().err
    assert run(cli, ["zzz"]) == 2
    assert "mean" not in capsys.readouterr().err


def test_an_argument_that_is_no_option_keeps_its_name(capsys):
    assert run(failing(ValueError("Argument `depth` must be 6n + 2")), ["work"]) == 2
    assert capsys.readouterr().err == "keras-selectscale work: Argument `depth` must be 6n + 2\n"


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (FileNotFoundError(2, "No such file", "loop/x"), "Option --runs-dir: [Errno 2] No such"),
        (NotADirectoryError("a b is not a folder"), "Option --dataset: a b is not a folder"),
        (OSError("loops/x and d/loop are other paths"), "loops/x and d/loop are other paths"),
        (ValueError("loop"), "loop"),
    ],
)
def test_an_error_about_a_path_names_the_option(error, said, capsys):
    @click.group()
    def group():
        pass

    @group.command()
    @click.option("--dataset")
    @click.option("--runs-dir", type=click.Path(path_type=pathlib.Path))
    def work(dataset, runs_dir):
        with input_errors():
            raise error

    assert run(group, ["work", "--dataset", "folder:a b", "--runs-dir", "loop"]) == 2
    err = capsys.readouterr().err
    assert err.startswith(f"keras-selectscale work: {said}") and err.count("\n") == 1


@pytest.mark.skipif(sys.platform == "win32", reason="a working directory cannot be deleted")
def test_a_deleted_working_directory_is_named(tmp_path, monkeypatch, capsys):
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    assert run(failing(FileNotFoundError("no folder runs")), ["work"]) == 2
    expected = "no folder runs (the working directory no longer exists)\n"
    assert capsys.readouterr().err == f"keras-selectscale work: {expected}"


@pytest.mark.parametrize(
    ("arguments", "answer"),
    [
        (["train", "--lr", "0.1"], "Did you mean '--learning-rate'?"),
        (["train", "--model", "resnet-8"], "Did you mean '--network'?"),
        (["train", "--rate", "0.1"], "Did you mean '--retaining-rate'? Keras' rate 0.1 is 0.9."),
        (["train", "--backend", "jax"], "KERAS_BACKEND=jax keras-selectscale"),
        (["train", "--gpus", "2"], "CUDA_VISIBLE_DEVICES"),
        (["train", "--qqq"], "No such option '--qqq'."),
        (["tune", "--max-trials", "3"], "Did you mean '--trials'?"),
        (["compare", "--runs", "3"], "Did you mean '--seeds'?"),
        (
            ["compare", "--methods", "selectscale", "none"],
            "separate several values of an option by",
        ),
        (["tune", "resume"], "Commands: report."),
        (["figure"], "Commands: 3, 4."),
        (["evaluate", "nope"], "RUN must be a run's name in --runs-dir or its folder"),
    ],
)
def test_a_slip_is_answered_by_what_to_write(arguments, answer, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert run(cli, arguments) == 2
    error = capsys.readouterr().err
    assert answer in error and error.count("\n") == 1, error


def test_the_help_shows_whole_sentences(capsys):
    assert run(cli, ["--help"]) == 0
    assert "..." not in capsys.readouterr().out.partition("Commands:")[2]
