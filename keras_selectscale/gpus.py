"""The GPUs of this machine, found without a backend, and their division among processes."""

import os
import re
import subprocess
from collections.abc import Mapping

VISIBLE = "CUDA_VISIBLE_DEVICES"
QUESTION_SECONDS = 20.0
# The share of a card's memory that JAX takes by default is 0.75; some is left for libraries.
SHARED_MEMORY = 0.9


def visible_gpus() -> list[str]:
    """Returns the ids of the GPUs that this process may use, in the form of the environment.

    `CUDA_VISIBLE_DEVICES` decides if it is set. Otherwise `nvidia-smi -L` lists them; no backend is
    imported, because it could reserve the memory of a card. If a card is divided (MIG), its parts
    are listed. The list is empty if `nvidia-smi` is missing or fails.
    """
    given = os.environ.get(VISIBLE)
    if given is not None:
        ids = [each.strip() for each in given.split(",")]
        # CUDA ignores what follows an id that is invalid.
        end = next((i for i, each in enumerate(ids) if not each or each.startswith("-")), len(ids))
        return [] if given.strip().lower() in ("none", "nodevfiles") else ids[:end]
    try:
        listed = subprocess.run(
            ["nvidia-smi", "-L"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=QUESTION_SECONDS,
        )
    except (OSError, subprocess.TimeoutExpired, UnicodeDecodeError):
        return []
    cards: list[list[str]] = []
    for line in listed.stdout.splitlines() if listed.returncode == 0 else []:
        if card := re.match(r"GPU (\d+):", line):
            cards.append([card[1]])
        elif cards and (part := re.search(r"\(UUID: (MIG-[^)]+)\)", line)):
            cards[-1].append(part[1])
    return [each for card in cards for each in (card[1:] or card)]


def divided(count: int) -> list[dict[str, str]]:
    """Returns the changes of the environment of each of several processes.

    With several GPUs, each process gets one, in turns. Processes that share one divide its memory:
    JAX by `XLA_PYTHON_CLIENT_MEM_FRACTION`, TensorFlow by taking what it needs
    (`TF_FORCE_GPU_ALLOW_GROWTH`); PyTorch does so by default. Values that are set already are kept.

    Args:
        count: Number of processes.
    """
    gpus = visible_gpus()
    if not gpus:
        return [{} for _ in range(count)]
    changes = []
    for number in range(count):
        place = number % len(gpus)
        sharing = len(range(place, count, len(gpus)))
        change = {VISIBLE: gpus[place]}
        if sharing > 1:
            share = int(100 * SHARED_MEMORY / sharing) / 100
            change |= _unless_given(
                {
                    "XLA_PYTHON_CLIENT_MEM_FRACTION": f"{max(share, 0.01):.2f}",
                    "TF_FORCE_GPU_ALLOW_GROWTH": "true",
                }
            )
        changes.append(change)
    return changes


def leave_memory() -> None:
    """Makes a backend that is not imported yet take only the GPU memory that it needs.

    A process that starts others would otherwise reserve most of the first card for itself.
    """
    os.environ.update(
        _unless_given(
            {"XLA_PYTHON_CLIENT_PREALLOCATE": "false", "TF_FORCE_GPU_ALLOW_GROWTH": "true"}
        )
    )


def without_gpu() -> dict[str, str]:
    """Returns the changes of the environment of a process that computes nothing."""
    return {VISIBLE: "-1", "JAX_PLATFORMS": "cpu"} if visible_gpus() else {}


def said(change: Mapping[str, str]) -> str:
    """Returns what a division says about a process, such as ", on GPU 1", or an empty string."""
    if VISIBLE not in change:
        return ""
    share = change.get("XLA_PYTHON_CLIENT_MEM_FRACTION")
    return f", on GPU {change[VISIBLE]}" + (f" with {share} of its memory" if share else "")


def _unless_given(values: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in values.items() if name not in os.environ}
