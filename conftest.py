"""Doctests that write files do so in a folder of their own, and modules of missing libraries have none."""

import importlib.util

import pytest

collect_ignore = [] if importlib.util.find_spec("torch") else ["kdtheory/nets/pytorch.py"]
collect_ignore_glob = [] if importlib.util.find_spec("jax") else ["kdtheory/nets/*.py"]


@pytest.fixture(autouse=True)
def _own_folder(request, tmp_path, monkeypatch):
    if isinstance(request.node, pytest.DoctestItem):
        monkeypatch.chdir(tmp_path)
