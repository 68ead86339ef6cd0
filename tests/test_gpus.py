import pytest

from keras_selectscale import gpus

LISTED = """\
GPU 0: NVIDIA H200 (UUID: GPU-0a)
GPU 1: NVIDIA H200 (UUID: GPU-1b)
  MIG 3g.71gb     Device  0: (UUID: MIG-1c)
  MIG 3g.71gb     Device  1: (UUID: MIG-1d)
"""
MEMORY = "XLA_PYTHON_CLIENT_MEM_FRACTION"


@pytest.fixture
def nvidia_smi(tmp_path, monkeypatch):
    """Returns a function that installs an `nvidia-smi` which prints a text and ends with a code."""
    for name in (
        gpus.VISIBLE,
        MEMORY,
        "TF_FORCE_GPU_ALLOW_GROWTH",
        "XLA_PYTHON_CLIENT_PREALLOCATE",
    ):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")

    def install(text, code=0):
        program = tmp_path / "nvidia-smi"
        program.write_text(
            f"#!/bin/sh\n[ \"$1\" = -L ] || exit 2\ncat <<'END'\n{text}END\nexit {code}\n"
        )
        program.chmod(0o755)

    return install


@pytest.mark.parametrize(
    ("text", "code", "expected"),
    [
        (LISTED, 0, ["0", "MIG-1c", "MIG-1d"]),
        (LISTED, 9, []),
        ("No devices found.\n", 0, []),
    ],
)
def test_the_gpus_that_are_listed(nvidia_smi, text, code, expected):
    nvidia_smi(text, code)
    assert gpus.visible_gpus() == expected


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("1", ["1"]),
        ("2, 0", ["2", "0"]),
        ("1,-1,0", ["1"]),
        ("", []),
        ("-1", []),
        ("GPU-7", ["GPU-7"]),
    ],
)
def test_the_environment_decides(nvidia_smi, monkeypatch, given, expected):
    nvidia_smi(LISTED)
    monkeypatch.setenv(gpus.VISIBLE, given)
    assert gpus.visible_gpus() == expected


def test_each_process_gets_a_gpu_or_a_share_of_one(nvidia_smi, monkeypatch):
    nvidia_smi("GPU 0: A (UUID: GPU-0)\nGPU 1: A (UUID: GPU-1)\n")
    assert gpus.divided(2) == [{gpus.VISIBLE: "0"}, {gpus.VISIBLE: "1"}]
    changes = gpus.divided(3)
    assert [change[gpus.VISIBLE] for change in changes] == ["0", "1", "0"]
    assert [change.get(MEMORY) for change in changes] == ["0.45", None, "0.45"]
    assert [gpus.said(change) for change in changes[:2]] == [
        ", on GPU 0 with 0.45 of its memory",
        ", on GPU 1",
    ]
    monkeypatch.setenv(MEMORY, "0.2")
    assert MEMORY not in gpus.divided(4)[0]
    assert gpus.without_gpu()[gpus.VISIBLE] == "-1"


def test_without_a_gpu_nothing_changes(nvidia_smi):
    assert gpus.visible_gpus() == [] and gpus.divided(2) == [{}, {}]
    assert gpus.without_gpu() == {} and gpus.said({}) == ""
