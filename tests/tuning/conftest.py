import gc

import pytest


@pytest.fixture(autouse=True)
def no_collections(monkeypatch):
    """A search collects garbage before each model; those of these tests have a few weights."""
    monkeypatch.setattr(gc, "collect", lambda *generation: 0)
    # It would thaw what the imports have made.
    monkeypatch.setattr(gc, "freeze", lambda: None)
    monkeypatch.setattr(gc, "unfreeze", lambda: None)
