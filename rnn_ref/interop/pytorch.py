"""Layers and parameters from and to the recurrent modules of PyTorch.

The six modules of ``torch.nn`` and what they are here:

================================  ==================================================
``torch.nn``                      ``rnn_ref``
================================  ==================================================
``RNN``, ``RNNCell``              :class:`~rnn_ref.ElmanRNN`
``LSTM``, ``LSTMCell``            :class:`~rnn_ref.LSTM`, also with ``proj_size``
``GRU``, ``GRUCell``              :class:`~rnn_ref.GRU` with ``reset="after"``
``num_layers=L``, L more than 1   :class:`~rnn_ref.Stack` of L of them
``bidirectional=True``            :class:`~rnn_ref.Bidirectional` of two, in each layer of the stack
================================  ==================================================

A module of one layer becomes the cell, or the Bidirectional of two, and no Stack around it. Names,
order of the gates, orientation and the two biases are the same on both sides, so every array is
copied as it is. Only the names' ends differ: ``params[1].backward_layer.weight_ih`` is
``weight_ih_l1_reverse``.

What is not in the weights:

* ``batch_first`` says how a module wants its input. A layer here always takes (T, N, D): where the
  module took ``x`` of shape (N, T, D), the layer takes ``x.swapaxes(0, 1)``, and its output comes
  back by the same call. Both take states with N second to last.
* PyTorch's states ``h_n`` and ``c_n``, shape (L, N, H), or (2L, N, H) with two directions, are the
  layer's states one behind the other: layer 0 forward, layer 0 backward, layer 1 forward ...
* ``lengths`` are a module's ``pack_padded_sequence(x, lengths, enforce_sorted=False)``, only that
  PyTorch refuses a length of 0.
* ``bias=False`` becomes two biases of zeros, which compute the same.
* ``dropout`` works in training mode only. Such a module is accepted after ``module.eval()``; the
  layer takes masks in ``Stack.forward`` instead.

What one side cannot express is refused, with an error that names it.

:func:`from_torch` and :func:`from_state_dict` only read, and import nothing; :func:`to_torch`
imports PyTorch.

Source: the pages of ``torch.nn.RNN``, ``LSTM``, ``GRU`` and their cells in PyTorch's documentation,
https://docs.pytorch.org/docs/stable/nn.html#recurrent-layers.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import fields, replace
from typing import Any, Literal, NamedTuple, cast

import numpy as np

from ..activations import Activation
from ..cell import Cell
from ..checks import Array, _check_array, _check_choice_of, _full_name
from ..compose import AnyLayer, Bidirectional, BidirectionalParams, Stack
from ..elman import ElmanRNN
from ..gru import GRU
from ..layer import Layer
from ..lstm import LSTM

AnyCell = Cell[Any, Any, Any]

_CELLS: dict[type, str] = {ElmanRNN: "RNN", LSTM: "LSTM", GRU: "GRU"}  # and their name in torch.nn
_NUMBERED = re.compile(r"(?P<field>\w+)_l(?P<depth>\d+)(?P<reverse>_reverse)?")


def from_torch(module: Any) -> tuple[AnyLayer, Any]:
    """The layer and the parameters that compute what a module of ``torch.nn`` computes.

    Chapter ``rosetta`` finds these conventions by asking the frameworks.

    Parameters
    ----------
    module
        A ``torch.nn.RNN``, ``LSTM``, ``GRU``, ``RNNCell``, ``LSTMCell`` or ``GRUCell``, in float32
        or float64, on any device; of any depth, direction, bias and projection.

    Returns
    -------
    layer : ElmanRNN, LSTM or GRU, Bidirectional, or Stack
        A cell for a module of one layer and one direction, and for an ``nn.*Cell``, which is its
        ``step``; :class:`~rnn_ref.Bidirectional` for one layer of two directions;
        :class:`~rnn_ref.Stack` of either for more layers.
    params : NamedTuple, or tuple of such
        Of the layer's type, in the dtype of the module: copies, on the CPU. Biases of zeros where
        the module has none.

    Raises
    ------
    TypeError
        ``module`` is not exactly one of these classes: a subclass may compute something else. Or it
        is neither in float32 nor in float64.
    ValueError
        The module drops units, being in training mode with ``dropout`` and more than one layer;
        runs a hook in ``forward``; or has a parameter or buffer that is not one of the class's own,
        as after ``weight_norm`` or pruning; or a tensor of it has no values or the wrong shape.

    See Also
    --------
    rnn_ref.torch_module.TorchLayer : the other way about, a layer that torch trains.

    Examples
    --------
    >>> import numpy as np, torch
    >>> from rnn_ref import LSTM
    >>> from rnn_ref.interop.pytorch import from_torch
    >>> module = torch.nn.LSTM(3, 5, num_layers=2, bidirectional=True, batch_first=True)
    >>> layer, params = from_torch(module)
    >>> layer.layers[1].backward_layer == LSTM(10, 5)
    True
    >>> params[1].backward_layer.weight_ih.shape
    (20, 10)
    >>> x = torch.randn(4, 6, 3)  # (N, T, D), since the module has batch_first
    >>> with torch.no_grad():
    ...     theirs, _ = module(x)
    >>> output, final_state, _ = layer.forward(params, x.numpy().swapaxes(0, 1))
    >>> bool(np.allclose(output.swapaxes(0, 1), theirs, atol=1e-5))
    True
    """
    _check_module(module)
    mode = getattr(module, "mode", "RNN_" + getattr(module, "nonlinearity", "").upper())
    nonlinearity = cast(Any, {"RNN_TANH": "tanh", "RNN_RELU": "relu"}.get(mode))
    return from_state_dict(module.state_dict(), nonlinearity=nonlinearity)


def from_state_dict(
    state_dict: Mapping[str, Any],
    *,
    prefix: str = "",
    nonlinearity: Literal["tanh", "relu"] | None = None,
) -> tuple[AnyLayer, Any]:
    """The same from the state dict of such a module, alone or inside that of a model.

    The class, all sizes, depth, directions, biases and the projection are read off names and
    shapes. ``weight_hh`` has 1, 3 or 4 times as many rows as there are units in RNN, GRU and LSTM.

    Chapter ``rosetta`` finds these names and shapes by asking PyTorch.

    Parameters
    ----------
    state_dict
        Tensors, or arrays, by name, as from ``module.state_dict()`` or a file; dtype float32 or
        float64, any device. Names without ``_l0`` are those of an ``nn.*Cell``.
    prefix
        What the module's names start with in a model's state dict, with the dot: "encoder.rnn.".
        All names that start so must be the module's; all others are left alone.
    nonlinearity
        Of an RNN, which its weights do not tell: needed there, and not allowed elsewhere.

    Returns
    -------
    tuple
        Layer and params, as from :func:`from_torch`; what the module computes in ``eval()``, for
        the state dict does not say whether it had ``dropout``.

    Raises
    ------
    TypeError
        ``state_dict`` is no mapping, or a value in it is no tensor of float32 or float64, or not
        all have one dtype.
    ValueError
        A name is missing, or is not one of the module's; a shape is wrong; or ``nonlinearity`` is
        missing, wrong or superfluous.

    Examples
    --------
    >>> import torch
    >>> from rnn_ref.interop.pytorch import from_state_dict
    >>> model = torch.nn.ModuleDict({"rnn": torch.nn.GRU(3, 5), "head": torch.nn.Linear(5, 2)})
    >>> layer, params = from_state_dict(model.state_dict(), prefix="rnn.")
    >>> layer.hidden_size, params.weight_ih.shape
    (5, (15, 3))
    """
    if not isinstance(state_dict, Mapping):
        raise TypeError(f"state_dict: expected a mapping, got {_full_name(state_dict)}")
    if not all(isinstance(name, str) for name in state_dict):
        raise TypeError("state_dict: expected names, got a key that is no string")
    if not isinstance(prefix, str):
        raise TypeError(f"prefix: expected a string, got {_full_name(prefix)}")
    form = _form(state_dict, prefix)
    arrays = {name: _array(prefix + name, state_dict[prefix + name]) for name in form.names}
    first, dtype = _first_cell(form, arrays, prefix, nonlinearity)
    cells: list[tuple[AnyLayer, Any]] = []
    for k, end in enumerate(form.ends):
        above = k >= form.directions  # not in the lowest layer
        D = form.directions * first.output_size if above else first.input_size
        cell = replace(first, input_size=D)
        values = {}
        for field, axes in cell.param_axes().items():
            if field in form.fields:
                values[field] = arrays[field + end]
                _check_array(prefix + field + end, values[field], axes, dtype)
            else:  # bias=False
                values[field] = np.zeros([size for _, size in axes], dtype)
        cells.append((cell, cell.params_type(**values)))
    if form.directions == 2:
        both = zip(cells[::2], cells[1::2], strict=True)
        cells = [(Bidirectional(a, b), BidirectionalParams(p, q)) for (a, p), (b, q) in both]
    if len(cells) == 1:
        return cells[0]
    layers, params = zip(*cells, strict=True)
    return Stack(layers), params


def to_torch(
    layer: AnyLayer,
    params: Any,
    *,
    bias: bool = True,
    batch_first: bool = False,
    cell: bool = False,
) -> Any:
    """A new module of ``torch.nn`` that computes what the layer does with these parameters.

    Needs PyTorch, which the extra ``torch`` installs.

    Chapter ``rosetta`` finds what cannot be converted, and why.

    Parameters
    ----------
    layer
        An :class:`~rnn_ref.ElmanRNN` with tanh or relu, an :class:`~rnn_ref.LSTM` with or without
        projection, or a :class:`~rnn_ref.GRU` with ``reset="after"``; a
        :class:`~rnn_ref.Bidirectional` of two of one kind and size; or a :class:`~rnn_ref.Stack` of
        either, in which all cells are of one kind and size and all layers have the same directions.
    params
        Its parameters; they are copied.
    bias
        False for a module with ``bias=False``, which has no biases; all of the layer's must be 0.
    batch_first
        For a module with ``batch_first=True``: it takes and returns (N, T, .) where the layer takes
        and returns (T, N, .).
    cell
        True for an ``nn.RNNCell``, ``LSTMCell`` or ``GRUCell``, which is the layer's ``step``. Only
        for a layer that is one cell, without projection.

    Returns
    -------
    torch.nn.Module
        On the CPU, in the dtype of the parameters, in training mode, without dropout.

    Raises
    ------
    ValueError
        The layer has a choice that the module lacks; its cells differ in size, or in a choice, or
        its layers in their directions; biases are not 0 with ``bias=False``; ``cell`` is set for
        another layer, or together with ``batch_first``; or the parameters do not fit the layer.
    TypeError
        A layer in it is of another kind, or kinds are mixed; or the parameters have the wrong type.
    ModuleNotFoundError
        PyTorch is not installed.

    Notes
    -----
    The way back, :func:`from_torch`, returns identical arrays and an equal layer, with two
    exceptions: a stack of one layer comes back as that layer, and stacks within a stack come back
    as one stack. A module that went through :func:`from_torch` comes back with identical arrays and
    sizes if ``bias``, ``batch_first`` and ``cell`` are said again, for neither the layer nor the
    parameters hold them; ``dropout`` comes back as 0.

    Examples
    --------
    >>> import numpy as np
    >>> from rnn_ref import GRU, Stack
    >>> from rnn_ref.interop.pytorch import to_torch
    >>> layer = Stack([GRU(3, 5), GRU(5, 5)])
    >>> module = to_torch(layer, layer.init_params(np.random.default_rng(0)), batch_first=True)
    >>> module, module.weight_hh_l1.dtype
    (GRU(3, 5, num_layers=2, batch_first=True), torch.float64)
    """
    for name, choice in {"bias": bias, "batch_first": batch_first, "cell": cell}.items():
        _check_choice_of(name, choice, True, False)
    if not isinstance(layer, Layer):
        raise TypeError(f"layer: expected a rnn_ref.Layer, got {_full_name(layer)}")
    dtype = layer._check_params(params)
    parts = _unrolled(layer, params)
    _check_expressible(parts)
    first, directions = cast(AnyCell, parts[0][0].layer), len(parts[0])
    kind, proj_size = _CELLS[type(first)], getattr(first, "proj_size", 0)
    arguments: dict[str, Any] = {"bias": bias}
    if cell:
        if layer is not first or proj_size or batch_first:
            given = f"batch_first=True and {layer}" if batch_first else str(layer)
            raise ValueError(
                f"cell: expected False, got True with {given}; torch.nn.{kind}Cell is one step of "
                "one cell, without projection and without an axis of time"
            )
    else:
        arguments |= {"num_layers": len(parts), "bidirectional": directions == 2}
        arguments |= {"batch_first": batch_first}
    if proj_size:
        arguments["proj_size"] = int(proj_size)
    if isinstance(first, ElmanRNN):
        arguments["nonlinearity"] = _plain(first.nonlinearity)
    by_name: dict[str, Array] = {}
    for k, part_of in enumerate(parts):
        for part, end in zip(part_of, ("", "_reverse"), strict=False):
            for field, array in part.params._asdict().items():
                if not bias and field.startswith("bias"):
                    _check_zeros(f"params{part.at}.{field}", array)
                elif array is not None:
                    by_name[field if cell else f"{field}_l{k}{end}"] = array
    try:
        import torch
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            "rnn_ref.interop.pytorch.to_torch needs PyTorch; "
            "install it with: pip install 'rnn-ref[torch]'"
        ) from error
    build = getattr(torch.nn, f"{kind}Cell" if cell else kind)
    where = {"device": "cpu", "dtype": getattr(torch, dtype.name)}
    with torch.random.fork_rng(devices=[]):  # the module draws values, which are replaced below
        module = build(int(first.input_size), int(first.hidden_size), **arguments, **where)
    # Strict: a parameter that is missing here, or unknown there, is an error.
    module.load_state_dict(
        {k: torch.tensor(np.ascontiguousarray(v), device="cpu") for k, v in by_name.items()}
    )
    return module


# Modules: what may be read.


def _is_recurrent(kind: type) -> bool:
    names = {name + end for name in _CELLS.values() for end in ("", "Cell")}
    return kind.__module__ == "torch.nn.modules.rnn" and kind.__name__ in names


def _check_module(module: Any) -> None:
    """Refuse what is none of the six classes, and what changes the function of one that is."""
    if not _is_recurrent(type(module)):
        hint = ""
        if isinstance(module, Mapping):
            hint = "; from_state_dict takes a state dict"
        elif any(map(_is_recurrent, type(module).__mro__)):
            hint = (
                "; a subclass may compute something else. After weight_norm or the like, call "
                "torch.nn.utils.parametrize.remove_parametrizations first; where it computes the "
                "same, take from_state_dict(module.state_dict())"
            )
        elif hasattr(module, "named_modules") and not isinstance(module, type):
            inner = [name for name, m in module.named_modules() if _is_recurrent(type(m))]
            if inner:
                hint = f"; convert what it holds one at a time: {', '.join(inner)}"
        raise TypeError(
            "module: expected a torch.nn.RNN, LSTM, GRU, RNNCell, LSTMCell or GRUCell itself, got "
            f"{_full_name(module)}{hint}"
        )
    if module._forward_pre_hooks or module._forward_hooks or "forward" in vars(module):
        raise ValueError(
            "module: expected none with a hook in forward or another forward in its place, which "
            "may change what it computes; remove it first (torch.nn.utils.remove_weight_norm, "
            "torch.nn.utils.prune.remove)"
        )
    dropout = getattr(module, "dropout", 0.0)
    if module.training and dropout and module.num_layers > 1:
        raise ValueError(
            f"dropout: expected 0 in training mode, got {dropout}; no layer here drops units by "
            "itself. module.eval() switches it off"
        )


# State dicts: what names and shapes say.


class _Form(NamedTuple):
    """The names that a module's parameters have.

    Each is one of ``fields`` and one of ``ends``; there is an end for each cell, that is for each
    layer and in it for each direction.
    """

    fields: list[str]
    ends: list[str]
    directions: int

    @property
    def names(self) -> list[str]:
        return [field + end for end in self.ends for field in self.fields]


def _form(state_dict: Mapping[str, Any], prefix: str) -> _Form:
    """Which names there must be, by those that there are; refuse too few and too many."""
    names = [key.removeprefix(prefix) for key in state_dict if key.startswith(prefix)]
    matches = [match for name in names if (match := _NUMBERED.fullmatch(name))]
    present = {match["field"] for match in matches} | set(names)
    depth = len({match["depth"] for match in matches})
    directions = 2 if any(match["reverse"] for match in matches) else 1
    fields = ["weight_ih", "weight_hh"]
    if present & {"bias_ih", "bias_hh"}:
        fields += ["bias_ih", "bias_hh"]
    if "weight_hr" in present:
        fields += ["weight_hr"]
    ends = [f"_l{k}{end}" for k in range(depth) for end in ("", "_reverse")[:directions]]
    form = _Form(fields, ends or [""], directions)
    wrong, missing = set(names) - set(form.names), set(form.names) - set(names)
    if wrong or missing:
        got = [f"{prefix}{min(wrong)}, which is none of them"] if wrong else []
        got += [f"no {prefix}{min(missing)}"] if missing else []
        begin = re.compile("weight_ih(_l0)?$")
        prefixes = [repr(begin.sub("", key)) for key in state_dict if begin.search(key)]
        if prefixes == [repr(prefix)]:
            prefixes = ["this one alone"]
        raise ValueError(
            f"state_dict: expected, behind the prefix {prefix!r}, the parameters of one RNN, LSTM, "
            f"GRU or cell of torch.nn, got {' and '.join(got)}; the prefixes of such modules in "
            f"it: {', '.join(prefixes) or 'none'}"
        )
    return form


def _array(name: str, value: Any) -> Array:
    """A copy of a tensor or an array."""
    if isinstance(value, np.ndarray):
        return np.array(value, order="C")
    if not hasattr(value, "detach"):
        raise TypeError(f"{name}: expected a tensor or an array, got {_full_name(value)}")
    if str(value.dtype) not in ("torch.float32", "torch.float64"):
        raise TypeError(f"{name}: expected float32 or float64, got {value.dtype}")
    if value.is_meta:
        raise ValueError(f"{name}: expected numbers, got a tensor on the device meta, without any")
    return np.array(value.detach().cpu().numpy(), order="C")


def _first_cell(
    form: _Form, arrays: Mapping[str, Array], prefix: str, nonlinearity: str | None
) -> tuple[AnyCell, np.dtype[Any]]:
    """The lowest cell by the shapes of its arrays, and the dtype that all must share."""
    end, dtype = form.ends[0], None
    for field in form.fields:
        if field.startswith("weight"):
            matrix = arrays[field + end]
            axes = (("rows", None), ("columns", None))
            dtype = _check_array(prefix + field + end, matrix, axes, dtype)
            if 0 in matrix.shape:
                raise ValueError(f"{prefix}{field}{end}: expected entries, got {matrix.shape}")
    weight_hh, weight_hr = arrays["weight_hh" + end], arrays.get("weight_hr" + end)
    D, P = arrays["weight_ih" + end].shape[1], 0 if weight_hr is None else len(weight_hr)
    H = (weight_hh if weight_hr is None else weight_hr).shape[1]
    gates = len(weight_hh) / H
    if gates not in ((4,) if P else (1, 3, 4)):
        raise ValueError(
            f"{prefix}weight_hh{end}: expected {'4H' if P else 'H, 3H or 4H'} rows, with H={H} by "
            f"the columns of weight_h{'r' if P else 'h'}{end}, got shape {weight_hh.shape}"
        )
    cell: AnyCell
    if gates == 1:
        if nonlinearity is None:
            raise ValueError(
                "nonlinearity: expected 'tanh' or 'relu', got None; an RNN's parameters do not tell"
            )
        _check_choice_of("nonlinearity", nonlinearity, "tanh", "relu")
        cell = ElmanRNN(D, H, nonlinearity)
    else:
        cell = GRU(D, H) if gates == 3 else LSTM(D, H, proj_size=P)
        if nonlinearity is not None:
            raise ValueError(
                f"nonlinearity: expected None for the parameters of a {_CELLS[type(cell)]}, got "
                f"{nonlinearity!r}"
            )
    return cell, cast("np.dtype[Any]", dtype)


# Layers: what torch.nn can express.

_WHY = {
    "reset": "torch.nn.GRU's r scales the product with U_n, and no map of weights turns one form "
    "into the other",
    "peephole": "the gates of torch.nn.LSTM do not see the cell state",
    "coupled": "torch.nn.LSTM has a forget gate of its own. As 1 - sigmoid(a) = sigmoid(-a), an "
    "LSTM whose blocks f are those of i with the other sign computes the same; convert that one",
    "forget_gate": "torch.nn.LSTM always has a forget gate",
    "activations": "torch.nn has no others",
    "nonlinearity": "torch.nn.RNN has no others",
    "clip": "torch.nn does not clip",
}


class _Part(NamedTuple):
    """One direction of one layer: where it stands in the layer, and where in its parameters."""

    where: str
    at: str
    layer: AnyLayer
    params: Any


def _unrolled(
    layer: AnyLayer, params: Any, where: str = "layer", at: str = ""
) -> list[list[_Part]]:
    """The layers of all stacks, the lowest first; of each its one direction, or its two."""
    if type(layer) is Stack:
        found = []
        for k, inner in enumerate(layer.layers):
            found += _unrolled(inner, params[k], f"{where}.layers[{k}]", f"{at}[{k}]")
        return found
    if type(layer) is Bidirectional:
        halves = layer.forward_layer, layer.backward_layer
        both = zip(BidirectionalParams._fields, halves, params, strict=True)
        return [[_Part(f"{where}.{name}", f"{at}.{name}", half, p) for name, half, p in both]]
    return [[_Part(where, at, layer, params)]]


def _check_expressible(parts: list[list[_Part]]) -> None:
    """Refuse what no single module of torch.nn computes."""
    first, words = parts[0][0].layer, ("one direction", "both directions")
    for both in parts:
        for where, _, cell, _ in both:
            if type(cell) not in _CELLS:
                raise TypeError(
                    f"{where}: expected ElmanRNN, LSTM or GRU, got {type(cell).__name__}; torch.nn "
                    "has no module with it in this place"
                )
            if type(cell) is not type(first):
                raise TypeError(
                    f"{where}: expected {type(first).__name__}, as below it, got "
                    f"{type(cell).__name__}; a module of torch.nn has cells of one kind"
                )
            _check_choices(where, cast(AnyCell, cell))
            for name in ("hidden_size", "proj_size", "nonlinearity"):
                expected, found = (_plain(getattr(v, name, None)) for v in (first, cell))
                if found != expected:
                    raise ValueError(
                        f"{where}.{name}: expected {expected!r}, as below it, got {found!r}; a "
                        "module of torch.nn has one for all layers and directions"
                    )
        if len(both) != len(parts[0]):
            raise ValueError(
                f"{both[0].where.removesuffix('.forward_layer')}: expected "
                f"{words[len(parts[0]) - 1]}, as below it, got {words[len(both) - 1]}; a module of "
                "torch.nn has the same in all layers"
            )


def _check_choices(where: str, cell: AnyCell) -> None:
    """Refuse every choice that differs from the default, but those that torch.nn has as well."""
    standard = type(cell)(cell.input_size, cell.hidden_size)
    for name in (field.name for field in fields(cell) if field.name != "proj_size"):
        found, expected = _plain(getattr(cell, name)), [_plain(getattr(standard, name))]
        if name == "nonlinearity":
            expected = ["tanh", "relu"]
        if found not in expected:
            why = _WHY.get(name, "torch.nn has no such choice")
            wanted = " or ".join(map(repr, expected))
            raise ValueError(f"{where}.{name}: expected {wanted}, got {found!r}; {why}")


def _plain(choice: Any) -> Any:
    """A choice of activations by name alone where the name says it all."""
    if isinstance(choice, tuple):
        return tuple(map(_plain, choice))
    if isinstance(choice, Activation) and choice.alpha is choice.beta is None:
        return choice.name
    return choice


def _check_zeros(name: str, bias: Array) -> None:
    if bias.any():
        raise ValueError(
            f"{name}: expected zeros with bias=False, got {np.count_nonzero(bias)} other numbers; "
            "a module without biases cannot hold them"
        )
