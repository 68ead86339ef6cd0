import click
import pytest

from keras_selectscale.cli.group import cli, input_errors, run


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


def test_ctrl_c_is_status_130(capsys):
    assert run(failing(KeyboardInterrupt()), ["work"]) == 130
    assert "goes on" in capsys.readouterr().err


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


def test_an_argument_that_is_no_option_keeps_its_name(capsys):
    assert run(failing(ValueError("Argument `depth` must be 6n + 2")), ["work"]) == 2
    assert capsys.readouterr().err == "keras-selectscale work: Argument `depth` must be 6n + 2\n"
