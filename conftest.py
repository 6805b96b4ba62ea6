"""Doctests that write files do so in a folder of their own."""

import pytest


@pytest.fixture(autouse=True)
def _own_folder(request, tmp_path, monkeypatch):
    if isinstance(request.node, pytest.DoctestItem):
        monkeypatch.chdir(tmp_path)
