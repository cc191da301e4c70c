"""What `import rnn_ref` needs, and what it offers."""

import subprocess
import sys

import rnn_ref


def test_import_needs_numpy_alone():
    """A fresh interpreter in which torch cannot be imported, and nothing but NumPy is."""
    code = (
        "import sys; sys.modules['torch'] = None\n"
        "before = set(sys.modules)\n"
        "import rnn_ref\n"
        "found = {m.partition('.')[0] for m in set(sys.modules) - before}\n"
        "print(sorted(found - set(sys.stdlib_module_names)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "['numpy', 'rnn_ref']"


def test_torch_module_says_what_to_install():
    code = "import sys; sys.modules['torch'] = None\nimport rnn_ref.torch_module"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode != 0 and "pip install 'rnn-ref[torch]'" in done.stderr


def test_all_names_exist():
    assert all(hasattr(rnn_ref, name) for name in rnn_ref.__all__)
    assert sorted(rnn_ref.__all__) == sorted(set(rnn_ref.__all__))
