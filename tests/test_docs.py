"""Every example in the README and in a docstring runs and prints what it says.

Every public class and function has one, and it can be copied: it needs nothing but what it imports.
"""

import doctest
import functools
import importlib
import inspect
import os
import pkgutil
from pathlib import Path

import pytest

import rnn_ref

os.environ.setdefault("KERAS_BACKEND", "torch")

README = Path(__file__).parents[1] / "README.md"
MODULES = ["rnn_ref", *(m.name for m in pkgutil.walk_packages(rnn_ref.__path__, "rnn_ref."))]
COMPILES = pytest.mark.sru_package  # its examples import the package sru
MARKED = [pytest.param(m, marks=COMPILES if m == "rnn_ref.interop.sru" else ()) for m in MODULES]


def public(module):
    """The public classes and functions that a module defines, by name."""
    named = {k: inspect.unwrap(v) for k, v in vars(module).items() if not k.startswith("_")}
    own = {k: v for k, v in named.items() if getattr(v, "__module__", None) == module.__name__}
    return {k: v for k, v in own.items() if inspect.isclass(v) or inspect.isfunction(v)}


@functools.cache
def examples(name):
    """The examples of a module by object; nothing is defined before they run."""
    found = doctest.DocTestFinder().find(importlib.import_module(name), name, globs={})
    return {test.name: test for test in found if test.examples}


def test_readme():
    failed, attempted = doctest.testfile(str(README), module_relative=False)
    assert attempted >= 15 and failed == 0


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # Keras, torch
@pytest.mark.parametrize("name", MARKED)
def test_examples_run(name):
    runner = doctest.DocTestRunner()
    for test in examples(name).values():
        runner.run(test)
    assert runner.failures == 0


@pytest.mark.parametrize("name", MODULES)
def test_every_public_class_and_function_has_an_example(name):
    missing = public(importlib.import_module(name)).keys()
    assert [k for k in missing if f"{name}.{k}" not in examples(name)] == []


@pytest.mark.parametrize("name", MODULES)
def test_every_public_class_and_function_is_documented(name):
    """An override may leave its docstring to the method that it overrides."""
    for thing in public(importlib.import_module(name)).values():
        assert inspect.getdoc(thing)
        if inspect.isclass(thing):
            members = {k: v for k, v in vars(thing).items() if not k.startswith("_")}
            methods = [k for k, v in members.items() if callable(v) or isinstance(v, property)]
            assert [k for k in methods if not inspect.getdoc(getattr(thing, k))] == []
