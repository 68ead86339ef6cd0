import pytest

from keras_selectscale.cli.group import cli, run


@pytest.fixture
def command(tmp_path, monkeypatch, capsys):
    """Returns a function that runs a command in an empty folder: status, output, error lines."""
    monkeypatch.chdir(tmp_path)

    def call(*arguments):
        status = run(cli, [str(argument) for argument in arguments])
        captured = capsys.readouterr()
        return status, captured.out, captured.err

    return call
