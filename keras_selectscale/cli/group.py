"""The command group, and what every error on the command line looks like."""

import contextlib
import difflib
import importlib
import os
import re
from collections.abc import Iterator, Sequence
from typing import Any

import click

from keras_selectscale import argument_names, stopping
from keras_selectscale.checks import LONGEST_ECHO
from keras_selectscale.streams import safe_streams
from keras_selectscale.version import __version__

LONGEST_WORD = 300
COMMANDS = (
    *(
        "compare",
        "train",
        "evaluate",
        "export",
        "tune",
        "reproduce",
        "results",
        "figure",
        "cam",
        "history",
        "bench",
        "list",
    ),
)
# Options that other programs have, and what stands for them here.
ADVICE = {
    "backend": " Set the variable KERAS_BACKEND: KERAS_BACKEND=jax keras-selectscale …",
    "device": " Set the variable CUDA_VISIBLE_DEVICES: CUDA_VISIBLE_DEVICES=0 keras-selectscale …",
    "resume": " Run the same command again: it continues.",
}
ADVICE |= dict.fromkeys(("gpu", "gpus", "devices", "num_gpus"), ADVICE["device"])
# Where a command that continues says how, in the context's `meta`.
CONTINUE = f"{__name__}.continue"


class Ended(BaseException):
    """The end of a command that was told to stop, which Click would answer with an empty line.

    Attributes:
        status: Exit status.
    """

    def __init__(self, message: str, status: int):
        super().__init__(message)
        self.status = status


class FullGroup(click.Group):
    """A group whose help has a whole sentence on each command, where Click cuts it off."""

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Writes the names of the commands and what they do."""
        commands = [(name, self.get_command(ctx, name)) for name in self.list_commands(ctx)]
        with formatter.section("Commands"):
            formatter.write_dl(
                [
                    (name, each.get_short_help_str(LONGEST_WORD))
                    for name, each in commands
                    if each and not each.hidden
                ]
            )


class CommandGroup(FullGroup):
    """A group that imports a command when it is called, or its help is wanted."""

    def invoke(self, ctx: click.Context) -> Any:
        """Runs a command."""
        try:
            return super().invoke(ctx)
        except (KeyboardInterrupt, stopping.Stopped) as error:
            how = ctx.meta.get(CONTINUE, "run the same command again")
            interrupted = isinstance(error, KeyboardInterrupt)
            status = stopping.INTERRUPTED if interrupted else stopping.STOPPED
            raise Ended(f"{str(error) or 'interrupted'}; {how}", status) from None

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Returns the names, the main job first."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        """Returns the command of a name."""
        if name not in COMMANDS:
            return None
        return importlib.import_module(f"keras_selectscale.cli.{name}").command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Finds a command, or names a similar one."""
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            if similar := difflib.get_close_matches(args[0], COMMANDS, 1):
                message = f"{error.message} Did you mean '{similar[0]}'?"
                raise click.UsageError(message, ctx) from None
            raise


@click.group(
    cls=CommandGroup,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.version_option(__version__, prog_name="keras-selectscale")
@click.pass_context
def cli(ctx: click.Context) -> None:
    """Selective and soft dropout for Keras: train, compare, export."""
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())


def run(group: click.Group, arguments: Sequence[str] | None = None) -> int:
    """Runs a group and returns the exit status; an error is one line on standard error.

    Whatever becomes of the output, the work is done. If standard output fails for another reason
    than that its reader has left, the status is 1.
    """
    with safe_streams() as output, stopping.signals(stopping.LINES):
        status = _run(group, arguments)
        output.flush()
        if output.error is None or isinstance(output.error, BrokenPipeError):
            return status
        _say(f"keras-selectscale: standard output cannot be written: {output.error}")
        return status or 1


def _run(group: click.Group, arguments: Sequence[str] | None) -> int:
    try:
        status = group.main(arguments, prog_name="keras-selectscale", standalone_mode=False)
        return status if isinstance(status, int) else 0
    except Ended as error:
        stopping.ignore()
        _say(f"keras-selectscale: {error}")
        return error.status
    except (click.Abort, KeyboardInterrupt):
        _say(stopping.LINES[stopping.INTERRUPT])
        return stopping.INTERRUPTED
    except click.ClickException as error:
        context = getattr(error, "ctx", None)
        where = context.command_path if context else "keras-selectscale"
        _say(f"{where}: {_with_advice(error)}")
        return 2
    except ModuleNotFoundError as error:
        _say(f"keras-selectscale: {error}")
        return 2
    except MemoryError as error:
        _say(f"keras-selectscale: not enough memory: {error}")
        return 1
    except (FloatingPointError, OSError) as error:
        _say(f"keras-selectscale: {error}")
        return 1
    except Exception:
        if (why := stopping.received()) is None:
            raise
        # A library has turned the exception of a signal into one of its own.
        _say(stopping.LINES[why])
        return stopping.STATUSES[why]


@contextlib.contextmanager
def input_errors(*kinds: type[Exception]) -> Iterator[None]:
    """Turns the errors of bad input within into one line and exit status 2.

    Args:
        *kinds: Which errors; by default the `ValueError`, `TypeError` and `OSError` of a check.
    """
    kinds = kinds or (ValueError, TypeError, OSError)
    try:
        yield
    except kinds as error:
        context = click.get_current_context()
        message = _as_option(error, context.command)
        if isinstance(error, OSError):
            message = _with_option(message, context)
        raise click.UsageError(message, context) from None


def _with_option(message: str, context: click.Context) -> str:
    """Returns the message of an `OSError` with the option that names its path, if one does."""
    found = ("", "")
    for param in context.command.params:
        value = context.params.get(param.name or "")
        if isinstance(param, click.Option) and isinstance(value, str | os.PathLike):
            path = os.fspath(value).removeprefix("folder:")
            whole = rf"(?<![\w./-]){re.escape(path)}(?![\w.-])"
            if len(path) > len(found[1]) and re.search(whole, message):
                found = (param.opts[-1], path)
    if found[0] and found[0] not in message:
        message = f"Option {found[0]}: {message}"
    try:
        os.getcwd()
    except OSError:
        message += " (the working directory no longer exists)"
    return message


def _as_option(error: Exception, command: click.Command) -> str:
    """Returns a library's message with the command's option in place of the argument's name."""
    message = str(error)
    # Errors that are not about one argument may still name one first.
    name = getattr(error, "argument", "") or message.partition("`")[2].partition("`")[0]
    option, start = f"--{name.replace('_', '-')}", f"Argument `{name}`"
    if any(option in each.opts for each in command.params) and message.startswith(start):
        return f"Option {option}{message.removeprefix(start)}"
    return message


def _with_advice(error: click.ClickException) -> str:
    """Returns the message of an error of Click, with what to write instead."""
    message, context = error.format_message(), getattr(error, "ctx", None)
    command = context.command if context else None
    if isinstance(error, click.NoSuchOption) and command is not None:
        name = error.option_name.lstrip("-").replace("-", "_")
        options = [option for each in command.params for option in each.opts]
        names = [option.lstrip("-").replace("-", "_") for option in options]
        meant = argument_names.name_instead(name, names)
        hint = f" Did you mean '{options[names.index(meant)]}'?" if meant else ""
        hint += " Keras' rate 0.1 is 0.9." * (meant == "retaining_rate")
        return error.message + ADVICE.get(name, hint)
    if isinstance(command, click.Group) and message.startswith(("Missing command", "No such com")):
        if context is not None and "Did you mean" not in message:
            found = {
                name: command.get_command(context, name) for name in command.list_commands(context)
            }
            names = [name for name, each in found.items() if each and not each.hidden]
            return f"{message} Commands: {', '.join(names)}."
    if message.startswith("Got unexpected extra argument"):
        return f"{message}; separate several values of an option by commas"
    return message


def _say(message: str) -> None:
    """Prints one line, in which no word is longer than a path may reasonably be."""
    from keras_selectscale.console import Console

    words = (
        word if len(word) <= LONGEST_WORD else f"{word[:LONGEST_ECHO]}… ({len(word):,} characters)"
        for word in message.split()
    )
    Console(stderr=True).say(" ".join(words))
