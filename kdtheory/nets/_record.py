"""What is recorded of a training, in memory and in files."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import equinox as eqx
import numpy as np
import pandas as pd

from kdtheory.nets import checkpoints
from kdtheory.nets._steps import Trained
from kdtheory.nets.models import split

_OBSERVED = "observed:"


class Record:
    """Rows of the history and what was observed, with the files that follow them.

    Attributes
    ----------
    rows : list of dict
        One for each epoch so far.
    observed : dict of str to list of array
        What was observed, at the start and after each epoch.
    """

    def __init__(
        self, made_from: Mapping[str, str], settings: Mapping[str, str], rest: Any, checkpoint: Any, log: Any
    ) -> None:
        self.rows: list[dict[str, Any]] = []
        self.observed: dict[str, list[np.ndarray]] = {}
        self._made_from, self._settings = dict(made_from), dict(settings)
        self._rest = rest
        self._checkpoint = None if checkpoint is None else Path(checkpoint)
        self._log = None if log is None else Path(log)
        if self._log is not None and self._log.suffix not in (".csv", ".parquet"):
            raise ValueError(f"log must end in .csv or .parquet, got {str(log)!r}")
        if self._log is not None and self._log.suffix == ".parquet" and importlib.util.find_spec("pyarrow") is None:
            raise ModuleNotFoundError(f"log must end in .csv where pyarrow is not installed, got {str(log)!r}")

    def resume(self, trained: Trained) -> Trained | None:
        """Give what the checkpoint holds, if there is one; it must be of the same training."""
        if self._checkpoint is None or not self._checkpoint.exists():
            return None
        about = checkpoints.read_about(self._checkpoint, name="checkpoint")
        self._require_same(about, [what for what in self._made_from if what != "model"])
        trees = checkpoints.read(self._checkpoint, self._trees(trained), name="checkpoint")  # says where models differ
        self._require_same(about, ["model"])
        self.rows = about["rows"]
        held = checkpoints.held_arrays(self._checkpoint, _OBSERVED)
        self.observed = {name: list(values) for name, values in held.items()}
        self._write_log()  # which may be of an epoch before, or another file
        return Trained(split(trees["model"])[0], trees["optimiser"], trees["state"])

    def _trees(self, trained: Trained) -> dict[str, Any]:
        """Name what is trained, with the whole network, so that `load_network` reads it too."""
        model = eqx.combine(trained.params, self._rest)
        return {"model": model, "optimiser": trained.optimiser, "state": trained.state}

    def _require_same(self, about: Mapping[str, Any], parts: Iterable[str]) -> None:
        for what in parts:
            if about.get("made_from", {}).get(what) != self._made_from[what]:
                held = about.get("settings", {})
                changes = [
                    f"; {name} is {held[name]} there and {now} here"
                    for name, now in self._settings.items()
                    if name.startswith(f"{what}.") and held.get(name, now) != now
                ]
                raise ValueError(
                    f"checkpoint must be of this training, got {str(self._checkpoint)!r} of another {what}: remove the"
                    f" file to start again{''.join(changes)}"
                )

    def start(self, found: Mapping[str, Any], trained: Trained) -> None:
        """Record what was observed before the first epoch."""
        for name, array in _arrays(found).items():
            self.observed[name] = [array]
        self._write(trained)

    def add(self, row: Mapping[str, Any], found: Mapping[str, Any], trained: Trained) -> None:
        """Record an epoch."""
        arrays = _arrays(found)
        shapes = {name: values[0].shape for name, values in self.observed.items()}
        if {name: array.shape for name, array in arrays.items()} != shapes:
            raise ValueError(f"observe must give the same names and shapes each time, {shapes}, got {found}")
        for name in sorted(row.keys() & arrays.keys()):
            raise ValueError(f"observe must leave the name {name!r} to the history, got {sorted(arrays)}")
        for name, array in arrays.items():
            self.observed[name].append(array)
        numbers = {name: array.item() for name, array in arrays.items() if array.ndim == 0}
        self.rows.append({**row, **numbers})
        self._write(trained)

    def _write(self, trained: Trained) -> None:
        if self._checkpoint is not None:
            stacked = {_OBSERVED + name: np.stack(values) for name, values in self.observed.items()}
            about = {"made_from": self._made_from, "settings": self._settings, "rows": self.rows}
            checkpoints.write(self._checkpoint, {**self._trees(trained), **stacked}, about)
        self._write_log()

    def _write_log(self) -> None:
        if self._log is not None:
            table = pd.DataFrame(self.rows)
            with checkpoints.replacing(self._log) as unfinished:
                if self._log.suffix == ".csv":
                    table.to_csv(unfinished, index=False)
                else:
                    table.to_parquet(unfinished, index=False)


def _arrays(found: Mapping[str, Any]) -> dict[str, np.ndarray]:
    if not isinstance(found, Mapping):
        raise TypeError(f"observe must give arrays by name, got {found!r}")
    arrays = {name: np.array(value) for name, value in found.items()}  # copies: what is observed may change later
    for name, array in arrays.items():
        if array.dtype.kind not in "biuf":
            raise TypeError(f"observe must give arrays of numbers, got {name!r} of dtype {array.dtype}")
    return arrays
