"""Every public name says what it takes, returns and raises, where its formula is from, and shows it at work.

The rules of numpydoc that hold are listed in pyproject.toml. `numpydoc lint` reads files without importing them, and so
sees neither what is public, nor the fields of a dataclass, nor what a method takes over from the class above.
"""

import ast
import dataclasses
import importlib
import inspect
import re
import textwrap
import tomllib
from collections.abc import Iterator
from functools import cache, cached_property
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any

import pytest

pytest.importorskip("numpydoc")
from numpydoc.docscrape import get_doc_object
from numpydoc.validate import Validator, validate

from kdtheory.filters import Filter
from kdtheory.kernels import Kernel

CHECKS = set(
    tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text())["tool"]["numpydoc_validation"]["checks"]
)

NEEDS = {
    "advice": ["pandas", "sklearn", "skops", "tqdm", "matplotlib"],
    "corruptions": [],
    "datasets": ["sklearn"],
    "distributed": ["distributed"],
    "eigenspace": [],
    "estimators": ["sklearn", "skops", "tqdm"],
    "experiments": ["jax", "equinox", "optax", "matplotlib", "sklearn"],
    "fidelity": [],
    "figures": ["matplotlib"],
    "filters": [],
    "kernels": [],
    "nets": ["jax", "equinox", "optax"],
    "neural_tangents": [],
    "problems": [],
    "ranking": [],
    "report": ["jinja2", "matplotlib"],
    "retrieval": [],
    "robustness": [],
    "spectrum": [],
}
"""Modules that users import by name, and the libraries without which they cannot be."""

NO_FORMULA = re.compile(
    r"draw_|make_table|load|read_|save|write_|import_|report$|train$|\w+_parser$|run_and_draw|experiment_script|claims_table"
)
"""Names of functions that draw, read, write or run."""

NO_SOURCE = {
    *("accuracy", "predicted_classes", "labels_from_classes", "component_lengths", "loss_levels", "mean_and_error"),
    *("block_product", "filters_as_matrix", "functional", "image_patches"),
}
"""Functions that count, average or rearrange by no formula of anybody's."""


def modules() -> list[ModuleType]:
    names = ["kdtheory", *(f"kdtheory.{name}" for name, needed in NEEDS.items() if all(map(find_spec, needed)))]
    return [importlib.import_module(name) for name in names]


def exported(module: ModuleType) -> Iterator[tuple[str, Any]]:
    for name in module.__all__:
        value = getattr(module, name)
        if inspect.isclass(value) or inspect.isfunction(value):
            yield f"{module.__name__}.{name}", value


@cache
def public() -> dict[str, Any]:
    """Functions and classes by their shortest address."""
    found = {}
    for module in modules():
        for address, value in exported(module):
            if value not in found.values():
                found[address] = value
    return found


@cache
def members(owner: type) -> dict[str, Any]:
    """Public methods and properties that a class defines itself, or takes over from a private one."""
    found: dict[str, Any] = {}
    for base in owner.__mro__:
        if not base.__module__.startswith("kdtheory") or (base is not owner and base in public().values()):
            continue
        for name, value in vars(base).items():
            kinds = (FunctionType, classmethod, staticmethod, property, cached_property)
            conditional = hasattr(value, "fn")  # by scikit-learn's `available_if`
            if not name.startswith("_") and (conditional or isinstance(value, kinds)):
                found.setdefault(name, value)
    return found


@cache
def addresses() -> list[str]:
    found = []
    for address, value in public().items():
        found.append(address)
        if inspect.isclass(value):
            found += [f"{address}.{name}" for name in members(value)]
    return found


def named(name: str) -> list[str]:
    """Addresses that end with a name, with or without that of a class before it."""
    return [address for address in addresses() if f".{address}".endswith(f".{name}")]


def owner_of(address: str) -> type | None:
    owner = public().get(address.rpartition(".")[0])
    return owner if inspect.isclass(owner) else None


@cache
def fields(record: type) -> dict[str, tuple[str, list[str]]]:
    """Fields of a class that are described below themselves, or by the classes above: their types and descriptions."""
    found: dict[str, tuple[str, list[str]]] = {}
    for base in reversed(record.__mro__):
        if not base.__module__.startswith("kdtheory"):
            continue
        if base is not record:
            found |= {name: (kind, text) for name, kind, text in get_doc_object(base)["Attributes"]}
        lines = ast.parse(textwrap.dedent(inspect.getsource(base))).body[0].body
        for line, below in pairwise(lines):
            if isinstance(line, ast.AnnAssign) and isinstance(below, ast.Expr):
                found[line.target.id] = (ast.unparse(line.annotation), inspect.cleandoc(below.value.value).splitlines())
    return found


class HouseValidator(Validator):
    """Fields are parameters, wherever described; a method takes over what it overrides, or what it names."""

    def __init__(self, obj_name: str) -> None:
        super().__init__(get_doc_object(self._load_obj(obj_name)))
        self.address = obj_name

    source_file_name = None  # no comment in a source switches a check off
    source_file_def_line = None

    @cached_property
    def section_titles(self) -> list[str]:
        return super().section_titles

    @property
    def is_function_or_method(self) -> bool:
        return inspect.isroutine(self.obj)

    @cached_property
    def doc_all_parameters(self) -> dict[str, tuple[str, list[str]]]:
        if inspect.isclass(self.obj) and not self.doc["Parameters"]:
            described = fields(self.obj) | self._doc_parameters(["Attributes"])
            return {name: described[name] for name in self.given if name in described}
        return self._doc_parameters(["Parameters", "Other Parameters"])

    def parameter_type(self, param: str) -> str:
        """Type of a parameter: its own, or that of the public name to which its description sends the reader."""
        kind, description = self.doc_all_parameters[param]
        sent = re.match(r"As for `([\w.]+)`", " ".join(description))
        if kind or sent is None:
            return kind
        beside = f"{self.address.rpartition('.')[0]}.{sent[1]}"
        other = HouseValidator(beside if beside in addresses() else named(sent[1])[0])
        return other.parameter_type(param) if param in other.doc_all_parameters else ""

    @property
    def given(self) -> tuple[str, ...]:
        return tuple(name for name in super().signature_parameters if not name.startswith("_"))

    @property
    def signature_parameters(self) -> tuple[str, ...]:
        abstract = inspect.isclass(self.obj) and self.given == ("*args", "**kwargs")
        taken_over = self.overrides and not self.doc["Parameters"]
        return () if taken_over or abstract or self.is_error else self.given

    @property
    def is_error(self) -> bool:
        return inspect.isclass(self.obj) and issubclass(self.obj, Exception)

    @property
    def method_returns_something(self) -> bool:
        return not self.overrides and not self.doc["Yields"] and super().method_returns_something

    @cached_property
    def overrides(self) -> bool:
        owner, name = owner_of(self.address), self.address.rpartition(".")[2]
        sent = re.match(r"As `([\w.]+)`", self.clean_doc)
        if sent is not None:
            return "Returns\n" in (Validator._load_obj(named(sent[1])[0]).__doc__ or "")
        return owner is not None and any(
            name in vars(base) and "Returns\n" in (inspect.getdoc(vars(base)[name]) or "")
            for base in owner.__mro__[1:]
            if base.__module__.startswith("kdtheory")
        )


@cache
def refuses(function: FunctionType) -> tuple[bool, tuple[Any, ...]]:
    """Whether a function raises an error itself, and what of its module's names it calls."""
    tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
    nodes = list(ast.walk(tree))
    itself = any(isinstance(node, ast.Raise) and "NotImplementedError" not in ast.unparse(node) for node in nodes)
    names = {node.func.id for node in nodes if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)}
    return itself, tuple(function.__globals__.get(name) for name in sorted(names))


def raises(function: Any, seen: set[Any] | None = None) -> bool:
    """Whether a function refuses bad input itself, or through functions and classes of the package that it calls."""
    seen = seen if seen is not None else set()
    if inspect.isclass(function):
        function = vars(function).get("__post_init__")
    function = inspect.unwrap(function)
    if not isinstance(function, FunctionType) or function in seen or not function.__module__.startswith("kdtheory"):
        return False
    seen.add(function)
    itself, called = refuses(function)
    return itself or any(raises(each, seen) for each in called)


def has_doctest(address: str, seen: frozenset[str] = frozenset()) -> bool:
    """Whether a name is shown at work, or a record names what makes it and is shown."""
    value = public()[address]
    texts = [value.__doc__ or ""]
    if inspect.isclass(value):
        texts += [inspect.getdoc(member) or "" for member in members(value).values()]
    if any(">>>" in text for text in texts):
        return True
    if inspect.isfunction(value) or "Parameters\n" in texts[0]:
        return False
    makers = set(re.findall(r"`([\w.]+)`", texts[0]))
    return any(
        other not in seen and other.rpartition(".")[2] in makers and has_doctest(other, seen | {address})
        for other in public()
    )


@cache
def problems(address: str) -> list[str]:
    found = [f"{code} {message}" for code, message in validate(address, HouseValidator)["errors"] if code in CHECKS]
    value = Validator._load_obj(address)
    text, owner = inspect.getdoc(value) or "", owner_of(address)
    checked = value
    if inspect.isclass(value):
        checked = vars(value).get("__post_init__") if dataclasses.is_dataclass(value) else vars(value).get("__init__")
    if owner is None and "Raises\n" not in text and raises(checked):
        found.append("RAISES it refuses bad input, and has no section Raises")
    if owner is None and not (inspect.isclass(value) and issubclass(value, Exception)) and not has_doctest(address):
        found.append("DOCTEST it is never shown at work")
    name = address.rpartition(".")[2]
    computes = inspect.isfunction(value) and owner is None and not NO_FORMULA.match(name) and name not in NO_SOURCE
    computes |= inspect.isclass(value) and issubclass(value, Filter | Kernel) and not inspect.isabstract(value)
    if computes and not re.search(r"\b(1[89]|20)\d\d\b|Source:|https?://", text):
        found.append("SOURCE it does not say where its formula is from")
    return found


@pytest.mark.parametrize("address", addresses())
def test_every_public_name_is_documented(address):
    assert not problems(address), "\n".join(problems(address))


def test_every_module_that_lists_its_names_is_looked_at():
    package = Path(importlib.import_module("kdtheory").__file__).parent
    files = [*package.glob("[!_]*.py"), *package.glob("*/__init__.py")]
    listing = {
        file.stem if file.stem != "__init__" else file.parent.name for file in files if "__all__" in file.read_text()
    }
    assert listing == set(NEEDS)


@pytest.mark.parametrize("module", modules(), ids=lambda module: module.__name__)
def test_names_are_listed_once_and_in_order(module):
    assert len(set(module.__all__)) == len(module.__all__)
    assert set(module.__all__) <= set(dir(module))
