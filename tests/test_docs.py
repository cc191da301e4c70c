"""Every example in the README and in a docstring runs and prints what it says.

Every public class and function has one, and it can be copied: it needs nothing but what it imports.
"""

import doctest
import importlib
import inspect
import os
import pkgutil
from pathlib import Path

import pytest

import rnn_ref

os.environ.setdefault("KERAS_BACKEND", "torch")

MODULES = ["rnn_ref", *(m.name for m in pkgutil.walk_packages(rnn_ref.__path__, "rnn_ref."))]
COMPILES = "rnn_ref.interop.sru"  # its examples run in tests/interop/test_sru_package.py
README = Path(__file__).parents[1] / "README.md"


def public(name):
    """The public classes and functions that a module defines, by name."""
    module = importlib.import_module(name)
    named = {k: inspect.unwrap(v) for k, v in vars(module).items() if not k.startswith("_")}
    own = {k: v for k, v in named.items() if getattr(v, "__module__", None) == name}
    return {k: v for k, v in own.items() if inspect.isclass(v) or inspect.isfunction(v)}


def test_readme():
    failed, attempted = doctest.testfile(str(README), module_relative=False)
    assert attempted >= 15 and failed == 0


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # Keras, torch
@pytest.mark.parametrize("name", [name for name in MODULES if name != COMPILES])
def test_examples_run_on_their_own(name):
    failed, _ = doctest.testmod(importlib.import_module(name), globs={})
    assert failed == 0


@pytest.mark.parametrize("name", MODULES)
def test_every_public_class_and_function_has_an_example(name):
    found = doctest.DocTestFinder().find(importlib.import_module(name), name)
    having = {test.name for test in found if test.examples}
    assert [k for k in public(name) if f"{name}.{k}" not in having] == []


@pytest.mark.parametrize("name", MODULES)
def test_every_public_name_is_documented(name):
    """An override may leave its docstring to the method that it overrides."""
    for thing in public(name).values():
        assert inspect.getdoc(thing)
        if inspect.isclass(thing):
            members = {k: v for k, v in vars(thing).items() if not k.startswith("_")}
            methods = [k for k, v in members.items() if callable(v) or isinstance(v, property)]
            assert [k for k in methods if not inspect.getdoc(getattr(thing, k))] == []
