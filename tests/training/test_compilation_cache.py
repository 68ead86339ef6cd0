import os
import stat

import pytest

from keras_selectscale.training import compilation_cache
from keras_selectscale.training.compilation_cache import SWITCH, cache_folder

jax = pytest.importorskip("jax")


@pytest.fixture
def enabled(monkeypatch, tmp_path):
    """Returns what enabling returns on JAX, with a user's cache folder of its own."""
    monkeypatch.setattr(compilation_cache.keras.backend, "backend", lambda: "jax")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv(SWITCH, raising=False)
    names = ("jax_compilation_cache_dir", "jax_persistent_cache_min_compile_time_secs")
    before = {name: getattr(jax.config, name) for name in names}
    jax.config.update("jax_compilation_cache_dir", None)
    yield compilation_cache.enable_compilation_cache
    for name, value in before.items():
        jax.config.update(name, value)


def test_it_is_in_the_users_cache_folder_and_nobody_else_writes_there(enabled, tmp_path):
    folder = enabled()
    assert folder is not None and folder.parent == tmp_path / "cache" / "keras-selectscale"
    assert jax.config.jax_compilation_cache_dir == str(folder)
    assert folder.name.startswith(f"jax-{jax.__version__}-")
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700 and not list(folder.iterdir())
    assert enabled() is None  # It is the existing setting now.
    assert jax.config.jax_compilation_cache_dir == str(folder)


def test_other_processors_have_other_folders(enabled, monkeypatch):
    first = cache_folder()
    monkeypatch.setattr(compilation_cache, "cpu_flags", lambda: {"fpu", "avx9"})
    assert cache_folder() != first


def test_it_has_a_switch_and_respects_jax(enabled, monkeypatch, tmp_path):
    monkeypatch.setenv(SWITCH, "off")
    assert enabled() is None and not jax.config.jax_compilation_cache_dir
    monkeypatch.setenv(SWITCH, str(tmp_path / "own"))
    assert enabled().parent == tmp_path / "own"
    jax.config.update("jax_compilation_cache_dir", "elsewhere")
    assert enabled() is None and jax.config.jax_compilation_cache_dir == "elsewhere"
    jax.config.update("jax_compilation_cache_dir", None)
    monkeypatch.setattr(compilation_cache.keras.backend, "backend", lambda: "torch")
    assert enabled() is None


@pytest.mark.parametrize("case", ["a file", "others write", "no home"])
def test_a_folder_that_cannot_be_used_is_left_alone(enabled, monkeypatch, tmp_path, case):
    cache = tmp_path / "cache"
    if case == "a file":
        cache.write_text("")
    elif case == "others write":
        folder = cache_folder()
        folder.mkdir(parents=True)
        os.chmod(folder, 0o777)
    else:
        monkeypatch.setenv("XDG_CACHE_HOME", "relative")

        def unknown():
            raise RuntimeError("Could not determine home directory.")

        monkeypatch.setattr(compilation_cache.pathlib.Path, "home", unknown)
    assert enabled() is None
    assert not jax.config.jax_compilation_cache_dir


def test_what_is_not_used_for_long_is_removed(enabled, monkeypatch):
    folder = enabled()
    for number in range(4):
        entry = folder / f"{number}-cache"
        entry.write_bytes(b"x" * 10)
        os.utime(entry, (1000 + number, 1000 + number))
    monkeypatch.setattr(compilation_cache, "LARGEST_BYTES", 25)
    jax.config.update("jax_compilation_cache_dir", None)
    assert enabled() == folder
    assert sorted(entry.name for entry in folder.iterdir()) == ["2-cache", "3-cache"]
