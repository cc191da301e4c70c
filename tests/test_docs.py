"""Every example in the README and in a docstring runs and prints what it says."""

import doctest
import importlib
import inspect
import pkgutil
from pathlib import Path

import pytest
from contract import public_layers

import rnn_ref

MODULES = ["rnn_ref", *(f"rnn_ref.{m.name}" for m in pkgutil.iter_modules(rnn_ref.__path__))]
README = Path(__file__).parents[1] / "README.md"


def test_readme():
    failed, attempted = doctest.testfile(str(README), module_relative=False)
    assert attempted >= 15 and failed == 0


@pytest.mark.parametrize("name", MODULES)
def test_docstrings(name):
    failed, _ = doctest.testmod(importlib.import_module(name))
    assert failed == 0


def test_every_layer_has_an_example():
    for layer in public_layers():
        assert doctest.DocTestFinder().find(layer)[0].examples


@pytest.mark.parametrize("name", rnn_ref.__all__)
def test_every_public_name_is_documented(name):
    """An override may leave its docstring to the method that it overrides."""
    thing = getattr(rnn_ref, name)
    assert inspect.getdoc(thing)
    if inspect.isclass(thing):
        public = {k: v for k, v in vars(thing).items() if not k.startswith("_")}
        methods = [k for k, v in public.items() if callable(v) or isinstance(v, property)]
        assert [k for k in methods if not inspect.getdoc(getattr(thing, k))] == []
