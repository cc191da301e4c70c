"""Layers from and to ONNX, the exchange format, with its operators RNN, GRU and LSTM.

The operators (https://onnx.ai/onnx/operators/, versions 7 to 22) hold the same numbers in another
order. Every tensor has a first axis for the directions: forward, then backward.

======  ============================  ======================================
ONNX    shape                         rnn_ref
======  ============================  ======================================
W       (directions, GH, D)           ``weight_ih``
R       (directions, GH, H)           ``weight_hh``
B       (directions, 2GH)             ``bias_ih``, then ``bias_hh``
P       (directions, 3H)              ``weight_ph``
======  ============================  ======================================

The blocks of a GRU stand in the order z, r, h there and r, z, n here, those of an LSTM in the order
i, o, f, c there and i, f, g, o here, its peepholes in the order i, o, f there and i, f, o here.
Neither side adds the two biases up, so both come back from a round trip as they were.

==========================================  ==============================================
ONNX                                        rnn_ref
==========================================  ==============================================
``RNN``, ``GRU``, ``LSTM``                  ``ElmanRNN``, ``GRU``, ``LSTM``
``direction`` reverse, bidirectional        ``Reverse``, ``Bidirectional``
``linear_before_reset`` not 0, 0            ``reset`` "after", "before"
``input_forget`` not 0                      ``coupled``
P is there                                  ``peephole``
``activations`` with their alpha and beta   ``nonlinearity`` (RNN), ``activations``
``clip``                                    ``clip``
``sequence_lens``                           argument ``lengths`` of ``forward``
``initial_h``, ``initial_c``                argument ``state`` of ``forward``
``layout`` 1                                x and the output swap their first two axes
==========================================  ==============================================

Where implementations differ, this module follows the operators' text:

- A function whose alpha or beta is missing takes the default of the operator of its name:
  LeakyRelu 0.01, HardSigmoid 0.2 and 0.5, Elu 1, ThresholdedRelu 1. onnxruntime 1.31 takes 0 for
  ThresholdedRelu, and also for Affine and ScaledTanh, for which ONNX has no operator and so no
  default: without their numbers these two are refused.
- ThresholdedRelu at an argument of exactly alpha: 0, as the operator of that name and onnxruntime
  have it; the text of the recurrent operators has alpha.
- A row of length 0, or no steps at all: the final state is the initial one. The text says nothing;
  onnxruntime 1.31 gives zeros, or ends the process (a GRU without steps; a GRU or LSTM without
  rows).

Tested with onnx 1.23.2, onnxruntime 1.31.1 and PyTorch's exporter.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal, NamedTuple, TypeAlias, cast

import numpy as np

from ..activations import Activation
from ..checks import Array, _check_array
from ..compose import (
    Bidirectional,
    BidirectionalParams,
    BidirectionalState,
    Reverse,
    Stack,
)
from ..elman import ElmanRNN
from ..gru import GRU
from ..layer import Layer
from ..lstm import LSTM
from ..tree import flat

AnyLayer: TypeAlias = Layer[Any, Any, Any]

# What ONNX calls each cell, its blocks in our order and in ONNX's, under our letters.
_KINDS: dict[str, tuple[type, str, str]] = {
    "RNN": (ElmanRNN, "n", "n"),
    "GRU": (GRU, "rzn", "zrn"),
    "LSTM": (LSTM, "ifgo", "iofg"),
}
_PEEPHOLES = "ifo", "iof"
_DEFAULT_ACTIVATIONS = {
    "RNN": ("Tanh",),
    "GRU": ("Sigmoid", "Tanh"),
    "LSTM": ("Sigmoid", "Tanh", "Tanh"),
}
_ACTIVATIONS = {
    "sigmoid": "Sigmoid",
    "tanh": "Tanh",
    "relu": "Relu",
    "affine": "Affine",
    "leaky_relu": "LeakyRelu",
    "thresholded_relu": "ThresholdedRelu",
    "scaled_tanh": "ScaledTanh",
    "hard_sigmoid": "HardSigmoid",
    "elu": "Elu",
    "softsign": "Softsign",
    "softplus": "Softplus",
}
_WITHOUT_DEFAULTS = "affine", "scaled_tanh"  # ONNX has no operator of that name
_INPUTS = "X", "W", "R", "B", "sequence_lens", "initial_h", "initial_c", "P"  # in their order
_OUTPUTS = "Y", "Y_h", "Y_c"
_ATTRIBUTES: dict[str, type] = {
    "activation_alpha": list,
    "activation_beta": list,
    "activations": list,
    "clip": float,
    "direction": bytes,
    "hidden_size": int,
    "layout": int,
    "linear_before_reset": int,
    "input_forget": int,
}
_ONLY = {"linear_before_reset": "GRU", "input_forget": "LSTM"}
_OLDEST = 7  # operator set; the operators were others before
_WRITTEN = 14  # operator set of what to_onnx makes, the first with layout


class Node(NamedTuple):
    """A recurrent node of a model, as :func:`from_onnx` returns it.

    ``layer.forward(params, x, state, lengths)`` computes what the node does; :meth:`run` does it in
    ONNX's shapes.

    Chapter ``rosetta`` says which way each of these tensors lies.

    Attributes
    ----------
    name
        The node's name, or that of its first output where it has none.
    layer
        An :class:`~rnn_ref.ElmanRNN`, :class:`~rnn_ref.GRU` or :class:`~rnn_ref.LSTM`; inside a
        :class:`~rnn_ref.Reverse` or, twice, a :class:`~rnn_ref.Bidirectional` where the node runs
        in that direction.
    params
        The layer's parameters, copies.
    state
        The layer's initial state where the model holds it, else None: it is zero, or stands among
        ``inputs``.
    lengths
        Number of steps of each row where the model holds it, else None: T for every row, or among
        ``inputs``.
    batch_first
        Whether the node's ``layout`` is 1: (N, T, .) instead of (T, N, .), and states
        (N, directions, H) instead of (directions, N, H). The fields above do not depend on it.
    inputs
        What the model computes or is given when it runs: ``X``, and where the node has them
        ``sequence_lens``, ``initial_h``, ``initial_c``, each with the name of its tensor.
    outputs
        Those of ``Y``, ``Y_h``, ``Y_c`` that the model uses, with the names of their tensors.

    Examples
    --------
    >>> import numpy as np
    >>> from rnn_ref import GRU
    >>> from rnn_ref.interop.onnx import from_onnx, to_onnx
    >>> layer = GRU(3, 5)
    >>> params = layer.init_params(np.random.default_rng(0))
    >>> (node,) = from_onnx(to_onnx(layer, params))
    >>> Y, Y_h = node.run(np.ones((4, 2, 3)))
    >>> Y.shape, Y_h.shape
    ((4, 1, 2, 5), (1, 2, 5))
    """

    name: str
    layer: AnyLayer
    params: Any
    state: Any
    lengths: Array | None
    batch_first: bool
    inputs: dict[str, str]
    outputs: dict[str, str]

    def run(
        self,
        X: Array,
        sequence_lens: Array | None = None,
        initial_h: Array | None = None,
        initial_c: Array | None = None,
    ) -> tuple[Array, ...]:
        """Compute the node's outputs from its inputs, both in ONNX's shapes.

        Parameters
        ----------
        X
            Input, shape (T, N, D), or (N, T, D) with ``batch_first``.
        sequence_lens
            Number of steps of each row, integers of shape (N,).
        initial_h, initial_c
            Initial state, shape (directions, N, H), or (N, directions, H) with ``batch_first``;
            ``initial_c`` for an LSTM only. If one of them is given, the other is zero when absent.

        Returns
        -------
        Y : Array
            Shape (T, directions, N, H), or (N, T, directions, H) with ``batch_first``.
        Y_h : Array
            Shape as ``initial_h``.
        Y_c : Array
            Likewise, of an LSTM only.

        Raises
        ------
        ValueError
            An input is missing that the node has and the model does not hold, or has a wrong shape
            or value.
        TypeError
            An input has a wrong type or dtype.
        """
        given = {
            "sequence_lens": sequence_lens,
            "initial_h": initial_h,
            "initial_c": initial_c,
        }
        for operand, value in given.items():
            if value is None and operand in self.inputs:
                raise ValueError(
                    f"{operand}: expected an array, since node {self.name!r} has this input and "
                    f"the model does not hold its values (tensor {self.inputs[operand]!r}), got "
                    "None; where the model computes zeros, node.layer.forward(node.params, x) "
                    "starts from them"
                )
        cells, dtype = _cells(self.layer), self.layer._check_params(self.params)
        T_N = (("N", None), ("T", None)) if self.batch_first else (("T", None), ("N", None))
        _check_array("X", X, (*T_N, ("D", self.layer.input_size)), dtype)
        x = X.swapaxes(0, 1) if self.batch_first else X
        (T, N, _), state = x.shape, self.state
        if initial_h is not None or initial_c is not None:
            state = _state(self.layer, initial_h, initial_c, self.batch_first, N, dtype, "")
        lengths = self.lengths if sequence_lens is None else sequence_lens
        if lengths is not None:
            _checked_lengths("sequence_lens", lengths, T, N)
        output, final, _ = self.layer.forward(self.params, x, state, lengths)
        by_direction = output.reshape(*output.shape[:2], len(cells), cells[0].hidden_size)
        order = (1, 0, 2, 3) if self.batch_first else (0, 2, 1, 3)
        return by_direction.transpose(order), *_packed(self.layer, final, self.batch_first)


def from_onnx(model: Any, values: Mapping[str, Array] | None = None) -> list[Node]:
    """The recurrent nodes of a model as layers with their parameters, in the model's order.

    What stands between the nodes is not read; ``inputs`` and ``outputs`` of each :class:`Node` name
    the tensors that connect them. Nodes in the bodies of If, Loop, Scan and of the model's own
    functions are among the result.

    Needs the package ``onnx``, which the extra ``onnx`` installs.

    Chapter ``rosetta`` finds these conventions by asking the frameworks.

    Parameters
    ----------
    model
        An ``onnx.ModelProto``, or the path of a file that holds one. Its operator set is 7 or
        newer.
    values
        Arrays by name of tensor, for inputs of the nodes that the model does not hold, such as
        weights that are inputs of the model, or that other nodes compute. The model holds
        initializers (also those that are an input's default), and outputs of Constant nodes. The
        arrays here take their place.

    Returns
    -------
    list of Node
        At least one. Where a node has no B, the biases are zeros. With ``input_forget`` the blocks
        f of W, R, B and P, which the node does not use, are left out. The numbers ``clip``, alpha
        and beta are float32 in every model: with float64 weights the layer has exactly these, with
        float32 weights the shortest decimals that round to them, which is the same function.

    Raises
    ------
    ValueError
        The model has no recurrent node or an older operator set; or a node has an attribute,
        activation or value that the operator or the layer does not know, an input whose values are
        needed and not held, arrays that do not fit each other, or alphas and betas in a number that
        its activations do not take. The message names node and property.
    TypeError
        ``model`` is none of the above; or weights are neither float32 nor float64, or not all of
        one dtype.
    ModuleNotFoundError
        The package is not installed.

    Examples
    --------
    >>> import numpy as np
    >>> from rnn_ref import LSTM
    >>> from rnn_ref.interop.onnx import from_onnx, to_onnx
    >>> layer = LSTM(3, 5)
    >>> params = layer.init_params(np.random.default_rng(0))
    >>> (node,) = from_onnx(to_onnx(layer, params, state="input"))
    >>> node.layer == layer, node.inputs
    (True, {'X': 'x', 'initial_h': 'initial_h', 'initial_c': 'initial_c'})
    >>> output, final_state, _ = node.layer.forward(node.params, np.ones((4, 2, 3)))
    >>> output.shape
    (4, 2, 5)
    """
    onnx = _onnx("from_onnx")
    if isinstance(model, str | os.PathLike):
        model = onnx.load(os.fspath(model))
    if not isinstance(model, onnx.ModelProto):
        raise TypeError(
            f"model: expected an onnx.ModelProto or a path, got {type(model).__module__}."
            f"{type(model).__name__}"
        )
    if values is None:
        values = {}
    if not isinstance(values, Mapping):
        raise TypeError(f"values: expected arrays by name, got {type(values).__name__}")
    if model.functions:
        model = importlib.import_module("onnx.inliner").inline_local_functions(model)
    found = list(_recurrent(onnx, model.graph, {}))
    if not found:
        raise ValueError(
            "model: expected a node RNN, GRU or LSTM, got "
            + (", ".join(sorted({n.op_type for n in model.graph.node})) or "no node")
        )
    versions = [o.version for o in model.opset_import if o.domain in ("", "ai.onnx")]
    version = max(versions, default=0)
    if version < _OLDEST:
        raise ValueError(
            f"model: expected operator set {_OLDEST} or newer, got {version}; RNN, GRU and LSTM "
            "were other operators then. onnx.version_converter may convert it"
        )
    taken = {name for node, _ in found for name in node.input[1:] if name}
    if unknown := sorted(values.keys() - taken):
        raise ValueError(
            f"values: expected names of inputs of recurrent nodes ({', '.join(sorted(taken))}), "
            f"got {', '.join(unknown)}"
        )
    return [_Reader(onnx, node, held, values).read() for node, held in found]


def to_onnx(
    layer: AnyLayer,
    params: Any,
    *,
    state: Any | Literal["input"] | None = None,
    lengths: Array | Literal["input"] | None = None,
    batch_first: bool = False,
) -> Any:
    """A model that computes what ``layer.forward`` does with these parameters.

    Each cell, or pair of cells in both directions, becomes one node. The model's input ``x`` and
    output ``output`` have the shapes that ``forward`` has them in; the final states are the outputs
    ``final_h`` and, of an LSTM, ``final_c``, shape (directions, N, H). In a stack these two names,
    and ``initial_h`` and ``initial_c``, end in ``_0``, ``_1``, ... from the lowest layer up.

    Needs the package ``onnx``, which the extra ``onnx`` installs. What it makes has operator set
    14. A model in float64 is valid, but onnxruntime 1.31 runs float32 only.

    Chapter ``rosetta`` finds what cannot be converted, and why.

    Parameters
    ----------
    layer
        An :class:`~rnn_ref.ElmanRNN`, :class:`~rnn_ref.GRU` or :class:`~rnn_ref.LSTM`, a
        :class:`~rnn_ref.Reverse` of one, a :class:`~rnn_ref.Bidirectional` of two that are alike
        but for their activations, or a :class:`~rnn_ref.Stack` of such.
    params
        Its parameters; they are copied. All biases go into B, ``bias_ih`` and ``bias_hh`` apart. In
        a coupled LSTM the blocks f, which the node does not use, are zeros.
    state
        The initial state. None: zeros. "input": the model has inputs ``initial_h`` and, for an
        LSTM, ``initial_c``, shape (directions, N, H). A state of the layer: kept in the model,
        whose batch size is fixed thereby.
    lengths
        Number of steps of each row. None: T for every row. "input": the model has an input
        ``sequence_lens``, int32 of shape (N,). An array of integers: kept in the model.
    batch_first
        Set ``layout`` to 1: ``x`` and ``output`` have shape (N, T, .), states (N, directions, H).
        onnxruntime 1.31 does not run that.

    Returns
    -------
    onnx.ModelProto
        From it :func:`from_onnx` returns equal layers, one for each node, and identical arrays;
        with float32 parameters the numbers ``clip``, alpha and beta may come back as shorter
        decimals of the same float32.

    Raises
    ------
    ValueError
        The layer has a projection, no forget gate, two directions that differ in more than their
        activations, or another cell; a number ``clip``, alpha or beta is not one of float32 with
        parameters in float64, where the model would store a rounded one; or parameters, state or
        lengths do not fit the layer.
    TypeError
        An argument has the wrong type.
    ModuleNotFoundError
        The package is not installed.

    Examples
    --------
    >>> import numpy as np, onnx
    >>> from rnn_ref import GRU, LSTM, Bidirectional, Stack
    >>> from rnn_ref.interop.onnx import to_onnx
    >>> layer = Stack([Bidirectional(LSTM(3, 5), LSTM(3, 5)), GRU(10, 4)])
    >>> params = layer.init_params(np.random.default_rng(0), np.float32)
    >>> model = to_onnx(layer, params)
    >>> onnx.checker.check_model(model, full_check=True)
    >>> [value.name for value in model.graph.output]
    ['output', 'final_h_0', 'final_c_0', 'final_h_1']
    """
    if not isinstance(layer, Layer):
        raise TypeError(f"layer: expected a rnn_ref.Layer, got {type(layer).__name__}")
    if not isinstance(batch_first, bool):
        raise TypeError(f"batch_first: expected a bool, got {type(batch_first).__name__}")
    parts = _flattened(layer, "layer")
    for name, part in parts:
        _check_expressible(name, part)
    dtype = layer._check_params(params)
    all_params = _along(layer, params)
    N: int | None = None
    state_input, lengths_input = (isinstance(v, str) and v == "input" for v in (state, lengths))
    states: list[Any] = [None] * len(parts)
    if state is not None and not state_input:
        N = _batch_size(layer, state, dtype)
        states = _along(layer, state)
    if lengths is not None and not lengths_input:
        N = _checked_lengths("lengths", lengths, None, N)
    onnx = _onnx("to_onnx")
    writer = _Writer(onnx, dtype, "N" if N is None else N, batch_first)
    if lengths_input:
        writer.graph_input("sequence_lens", np.dtype(np.int32), [writer.N])
    elif lengths is not None:
        writer.hold("sequence_lens", np.asarray(lengths, np.int32))
    below = writer.graph_input("x", dtype, [*writer.T_N, layer.input_size])
    for k, ((name, part), p, s) in enumerate(zip(parts, all_params, states, strict=True)):
        suffix = f"_{k}" if isinstance(layer, Stack) else ""
        last = k == len(parts) - 1
        below = writer.node(
            name,
            part,
            p,
            "input" if state_input else s,
            lengths is not None,
            below,
            suffix,
            "output" if last else f"output{suffix}",
        )
    return writer.model(layer.output_size)


# What both directions of conversion use.


def _onnx(caller: str) -> Any:
    """The package, through importlib: this module bears its name, and it carries its own types."""
    try:
        return importlib.import_module("onnx")
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            f"rnn_ref.interop.onnx.{caller} needs the package onnx; "
            "install it with: pip install 'rnn-ref[onnx]'"
        ) from error


def _reordered(stacked: Array, have: str, want: str) -> Array:
    """Blocks along the first axis, one for each letter, in another order; zeros for a new letter.

    A copy.
    """
    blocks = dict(zip(have, np.split(stacked, len(have)), strict=True))
    zeros = np.zeros_like(blocks[have[0]])
    return np.concatenate([blocks.get(letter, zeros) for letter in want])


def _letters(cell: Any, op: str) -> str:
    """Our order of blocks; a coupled LSTM has no f."""
    return _KINDS[op][1].replace("f", "") if getattr(cell, "coupled", False) else _KINDS[op][1]


def _peephole_letters(cell: LSTM) -> str:
    return _PEEPHOLES[0].replace("f", "") if cell.coupled else _PEEPHOLES[0]


def _cells(layer: AnyLayer) -> list[Any]:
    """The cell of each direction."""
    if isinstance(layer, Bidirectional):
        return [layer.forward_layer, layer.backward_layer]
    return [layer.layer if isinstance(layer, Reverse) else layer]


def _by_direction(layer: AnyLayer, tree: Any) -> list[Any]:
    """The parameters or states of each direction."""
    return list(tree) if isinstance(layer, Bidirectional) else [tree]


def _packed(layer: AnyLayer, state: Any, batch_first: bool) -> list[Array]:
    """``initial_h`` and, of an LSTM, ``initial_c`` from a state."""
    by_direction = zip(*_by_direction(layer, state), strict=True)
    return [np.stack(arrays, axis=1 if batch_first else 0) for arrays in by_direction]


def _state(
    layer: AnyLayer,
    initial_h: Array | None,
    initial_c: Array | None,
    batch_first: bool,
    N: int | None,
    dtype: np.dtype[Any],
    where: str,
) -> Any:
    """A state from ``initial_h`` and, for an LSTM, ``initial_c``, one of which may be absent."""
    cells = _cells(layer)
    directions, H = len(cells), cells[0].hidden_size
    given = {"initial_h": initial_h, "initial_c": initial_c}
    fields = cells[0].state_type._fields
    if initial_c is not None and "c" not in fields:
        kind = type(cells[0]).__name__
        raise ValueError(f"{where}initial_c: expected None, since {kind} has no c, got an array")
    for name, value in given.items():
        if value is not None:
            d_N = (("directions", directions), ("N", N))
            axes = (*(d_N[::-1] if batch_first else d_N), ("H", H))
            _check_array(f"{where}{name}", value, axes, dtype)
            N = value.shape[0 if batch_first else 1]  # what the other one has to fit
    arrays = []
    for field in fields:
        value = given[f"initial_{field}"]
        if value is None:
            value = np.zeros((directions, cast(int, N), H), dtype)
        elif batch_first:
            value = value.swapaxes(0, 1)
        arrays.append(value)
    states = [cells[0].state_type(*(a[d].copy() for a in arrays)) for d in range(directions)]
    return BidirectionalState(*states) if isinstance(layer, Bidirectional) else states[0]


# Reading


def _recurrent(
    onnx: Any, graph: Any, outer: Mapping[str, Any]
) -> Iterator[tuple[Any, Mapping[str, Any]]]:
    """The recurrent nodes of a graph and of the graphs in it, each with what the model holds."""
    held = dict(outer)  # TensorProto by name
    held |= {tensor.name: tensor for tensor in graph.initializer}
    for node in graph.node:
        if node.domain not in ("", "ai.onnx"):
            continue
        if node.op_type == "Constant" and node.attribute[0].name == "value":
            held[node.output[0]] = node.attribute[0].t
        elif node.op_type == "Identity" and node.input[0] in held:
            held[node.output[0]] = held[node.input[0]]
        elif node.op_type in _KINDS:
            yield node, held
        for attribute in node.attribute:
            for inner in (attribute.g, *attribute.graphs):
                yield from _recurrent(onnx, inner, held)


class _Reader:
    """Turns one node into a layer. Every message begins with the node's name."""

    def __init__(
        self, onnx: Any, node: Any, held: Mapping[str, Any], values: Mapping[str, Array]
    ) -> None:
        self.onnx, self.op, self.held, self.values = onnx, node.op_type, held, values
        outputs = zip(_OUTPUTS, node.output, strict=False)
        self.outputs = {operand: tensor for operand, tensor in outputs if tensor}
        self.name = node.name or next(iter(self.outputs.values()), "")
        self.where = f"node {self.name!r}, "
        known = _INPUTS if self.op == "LSTM" else _INPUTS[:6]
        if len(node.input) > len(known):
            raise ValueError(f"{self.where}input: expected {', '.join(known)}, got more")
        operands = zip(known, node.input, strict=False)
        self.inputs = {operand: tensor for operand, tensor in operands if tensor}
        self.attributes = {a.name: self.attribute(a) for a in node.attribute}

    def attribute(self, proto: Any) -> Any:
        name, op = proto.name, self.op
        value = self.onnx.helper.get_attribute_value(proto)
        if name not in _ATTRIBUTES or _ONLY.get(name, op) != op:
            known = ", ".join(k for k in _ATTRIBUTES if _ONLY.get(k, op) == op)
            raise ValueError(f"{self.where}attribute {name}: expected one of {known}")
        if not isinstance(value, _ATTRIBUTES[name]):
            wanted, given = _ATTRIBUTES[name].__name__, type(value).__name__
            raise TypeError(f"{self.where}{name}: expected {wanted}, got {given}")
        return value.decode() if isinstance(value, bytes) else value

    def choice(self, name: str, *choices: Any) -> Any:
        """An attribute whose first choice is the default."""
        value = self.attributes.get(name, choices[0])
        if value not in choices:
            raise ValueError(f"{self.where}{name}: expected one of {choices}, got {value!r}")
        return value

    def is_held(self, operand: str) -> bool:
        tensor = self.inputs[operand]
        return tensor in self.values or tensor in self.held

    def array(self, operand: str) -> Array:
        """The values of an input that the node has."""
        tensor, where = self.inputs[operand], f"{self.where}{operand}"
        if tensor in self.values:
            return self.values[tensor]
        if tensor not in self.held:
            raise ValueError(
                f"{where}: expected values in the model, but tensor {tensor!r} is neither an "
                "initializer nor a constant; give them as values={" + repr(tensor) + ": array}"
            )
        proto = self.held[tensor]
        if proto.data_location == self.onnx.TensorProto.EXTERNAL:
            raise ValueError(
                f"{where}: expected values in the model, but they lie in another file; give "
                "from_onnx the model's path, or use onnx.load_external_data_for_model"
            )
        return cast(Array, self.onnx.numpy_helper.to_array(proto))

    def read(self) -> Node:
        direction = self.choice("direction", "forward", "reverse", "bidirectional")
        directions = 2 if direction == "bidirectional" else 1
        batch_first = bool(self.choice("layout", 0, 1))
        for operand in ("X", "W", "R"):
            if operand not in self.inputs:
                raise ValueError(f"{self.where}{operand}: expected a tensor, got none")
        dtype, sizes, arrays = self.weights(directions)
        cells = self.cells(directions, dtype, *sizes)
        params = [
            self.params(cell, {k: v[d] for k, v in arrays.items()}) for d, cell in enumerate(cells)
        ]
        layer: AnyLayer = cells[0]
        if direction == "reverse":
            layer = Reverse(cells[0])
        elif direction == "bidirectional":
            layer = Bidirectional(*cells)
        state, lengths = self.start(layer, batch_first, dtype)
        held = [k for k in self.inputs if k != "X" and self.is_held(k)]
        return Node(
            name=self.name,
            layer=layer,
            params=BidirectionalParams(*params) if directions == 2 else params[0],
            state=state,
            lengths=lengths,
            batch_first=batch_first,
            inputs={k: v for k, v in self.inputs.items() if k not in held},
            outputs=self.outputs,
        )

    def weights(self, directions: int) -> tuple[np.dtype[Any], tuple[int, int], dict[str, Array]]:
        """The dtype, (D, H), and W, R, B, P where the node has them."""
        G = len(_KINDS[self.op][2])
        operands: list[str] = [k for k in ("W", "R", "B", "P") if k in self.inputs]
        arrays = {k: self.array(k) for k in operands}
        first, R = ("directions", directions), arrays["R"]
        shape: tuple[tuple[str, int | None], ...]
        shape = (first, (f"{G}H" if G > 1 else "H", None), ("H", None))
        dtype = _check_array(f"{self.where}R", R, shape, None)
        H = cast(int, self.attributes.get("hidden_size", R.shape[2]))
        GH = (f"{G}H" if G > 1 else "H", G * H)
        _check_array(f"{self.where}R", R, (first, GH, ("H", H)), dtype)
        _check_array(f"{self.where}W", arrays["W"], (first, GH, ("D", None)), dtype)
        for name, blocks in (("B", 2 * G), ("P", 3)):
            if name in arrays:
                axis = (f"{blocks}H", blocks * H)
                _check_array(f"{self.where}{name}", arrays[name], (first, axis), dtype)
        return dtype, (arrays["W"].shape[2], H), arrays

    def cells(self, directions: int, dtype: np.dtype[Any], D: int, H: int) -> list[Any]:
        """The cell of each direction."""
        choices: dict[str, Any] = {}
        if "clip" in self.attributes:
            choices["clip"] = _decimal(self.attributes["clip"], dtype)
        if self.op == "GRU":
            after = self.attributes.get("linear_before_reset", 0) != 0
            choices["reset"] = "after" if after else "before"
        elif self.op == "LSTM":
            choices["coupled"] = self.attributes.get("input_forget", 0) != 0
            choices["peephole"] = "P" in self.inputs
        activations = self.activations(directions, dtype)
        number, cells = len(_DEFAULT_ACTIVATIONS[self.op]), []
        for d in range(directions):
            own = tuple(activations[d * number : (d + 1) * number])
            own_choice = {"nonlinearity": own[0]} if self.op == "RNN" else {"activations": own}
            try:
                cells.append(_KINDS[self.op][0](D, H, **choices, **own_choice))
            except ValueError as error:
                raise ValueError(f"{self.where}{error}") from error
        return cells

    def activations(self, directions: int, dtype: np.dtype[Any]) -> list[str | Activation]:
        """The activations of all directions, with the numbers that each of them takes in turn."""
        default = _DEFAULT_ACTIVATIONS[self.op]
        names = self.attributes.get("activations", [])
        names = [name.decode() for name in names] or list(default * directions)
        if self.op == "RNN" and directions == 1 and names == ["Tanh", "Tanh"]:
            names = ["Tanh"]  # the operator's default, in so many words
        if len(names) != len(default) * directions:
            raise ValueError(
                f"{self.where}activations: expected {len(default) * directions}, "
                f"{len(default)} for each direction, got {len(names)}: {', '.join(names)}"
            )
        ours = {theirs.lower(): name for name, theirs in _ACTIVATIONS.items()}
        rest = {p: list(self.attributes.get(f"activation_{p}", [])) for p in ("alpha", "beta")}
        takes = dict.fromkeys(rest, 0)
        found: list[str | Activation] = []
        for name in names:
            if name.lower() not in ours:
                known = ", ".join(_ACTIVATIONS.values())
                raise ValueError(f"{self.where}activations: expected {known}, got {name!r}")
            kind = ours[name.lower()]
            plain = Activation(kind)
            numbers: dict[str, float] = {}
            for p in rest:
                default_number = getattr(plain, p)
                if default_number is None:
                    continue
                takes[p] += 1
                if not rest[p] and kind in _WITHOUT_DEFAULTS:
                    raise ValueError(
                        f"{self.where}activation_{p}: expected a number for {name}, for which ONNX "
                        "defines no default, got none"
                    )
                # A default is float32 too, as in the operator of that name.
                number = rest[p].pop(0) if rest[p] else float(np.float32(default_number))
                numbers[p] = _decimal(number, dtype)
            try:
                choice = Activation(kind, **numbers)
            except ValueError as error:
                raise ValueError(f"{self.where}activations, {name}: {error}") from error
            found.append(kind if choice == plain else choice)
        for p, left in rest.items():
            # Where no function takes any, they mean nothing in any reading.
            if left and takes[p]:
                raise ValueError(
                    f"{self.where}activation_{p}: expected at most {takes[p]} numbers, since they "
                    "are consumed in order, by the functions that take one only; got "
                    f"{takes[p] + len(left)}"
                )
        return found

    def params(self, cell: Any, arrays: Mapping[str, Array]) -> Any:
        """The parameters of one direction."""
        ours, theirs = _letters(cell, self.op), _KINDS[self.op][2]
        W, R = arrays["W"], arrays["R"]
        biases = np.split(arrays["B"] if "B" in arrays else np.zeros(2 * len(W), W.dtype), 2)
        blocks = [_reordered(value, theirs, ours) for value in (W, R, *biases)]
        if "P" in arrays:
            blocks.append(_reordered(arrays["P"], _PEEPHOLES[1], _peephole_letters(cell)))
        return cell.params_type(*blocks)

    def start(
        self, layer: AnyLayer, batch_first: bool, dtype: np.dtype[Any]
    ) -> tuple[Any, Array | None]:
        """Initial state and lengths, where the node has them and their values are held."""
        lengths = None
        if "sequence_lens" in self.inputs and self.is_held("sequence_lens"):
            lengths = np.array(self.array("sequence_lens"))
            _checked_lengths(f"{self.where}sequence_lens", lengths, None, None)
        states = {k: self.is_held(k) for k in ("initial_h", "initial_c") if k in self.inputs}
        if not any(states.values()):
            return None, lengths
        if not all(states.values()):
            missing = next(k for k, held in states.items() if not held)
            self.array(missing)  # refused: a state is held as a whole or not at all
        N = None if lengths is None else len(lengths)
        h, c = (self.array(k) if k in states else None for k in ("initial_h", "initial_c"))
        return _state(layer, h, c, batch_first, N, dtype, self.where), lengths


def _decimal(number: float, dtype: np.dtype[Any]) -> float:
    """A float32 number as the float of an attribute of ours; in float32 its shortest decimal."""
    return float(str(np.float32(number))) if dtype == np.float32 else number


# Writing


def _flattened(layer: AnyLayer, name: str) -> list[tuple[str, AnyLayer]]:
    """The layers of stacks, the lowest first, each with its place."""
    if not isinstance(layer, Stack):
        return [(name, layer)]
    named = ((f"{name}.layers[{k}]", part) for k, part in enumerate(layer.layers))
    return [found for place, part in named for found in _flattened(part, place)]


def _along(layer: AnyLayer, tree: Any) -> list[Any]:
    """The parameters or states of the layers of stacks, in the order of ``_flattened``."""
    if not isinstance(layer, Stack):
        return [tree]
    named = zip(layer.layers, tree, strict=True)
    return [found for part, sub in named for found in _along(part, sub)]


def _op(cell: Any) -> str | None:
    return next((op for op, (kind, *_) in _KINDS.items() if type(cell) is kind), None)


def _check_expressible(name: str, layer: AnyLayer) -> None:
    """Refuse what no node of ONNX computes."""
    cells = _cells(layer)
    for cell in cells:
        if _op(cell) is None:
            raise ValueError(
                f"{name}: expected ElmanRNN, GRU or LSTM, a Reverse of one, a Bidirectional of two "
                f"or a Stack of such, for which ONNX has operators, got {layer}"
            )
        if isinstance(cell, LSTM) and cell.proj_size:
            raise ValueError(f"{name}: proj_size: ONNX's LSTM has no projection, got {layer}")
        if isinstance(cell, LSTM) and not cell.forget_gate:
            raise ValueError(
                f"{name}: forget_gate: ONNX's LSTM has a forget gate, or 1 - i in its place; got "
                f"{layer}"
            )
    if len(cells) == 2:
        first, second = cells
        if type(first) is not type(second):
            raise ValueError(
                f"{name}: both directions of a node are of one kind, got {type(first).__name__} "
                f"and {type(second).__name__}"
            )
        for field, value in vars(first).items():
            other = getattr(second, field)
            if field not in ("activations", "nonlinearity") and value != other:
                raise ValueError(
                    f"{name}: {field}: both directions of a node share it, got {value} and {other}"
                )


def _batch_size(layer: AnyLayer, state: Any, dtype: np.dtype[Any]) -> int:
    """N of a state that is then checked."""
    arrays = flat(state) if isinstance(state, tuple) else []
    first = next((a for a in arrays if isinstance(a, np.ndarray) and a.ndim), None)
    if first is None:
        raise TypeError(
            f'state: expected None, "input" or a state of the layer, got {type(state).__name__}'
        )
    N = len(first)
    layer._check_state("state", state, N, dtype)
    return N


def _checked_lengths(name: str, lengths: Any, T: int | None, N: int | None) -> int:
    """N of an array of lengths, where T and N may not be known."""
    wanted = "(N,)" if N is None else f"(N={N},)"
    if not isinstance(lengths, np.ndarray) or lengths.dtype.kind not in "iu":
        given = getattr(lengths, "dtype", type(lengths).__name__)
        raise TypeError(f"{name}: expected an array of integers of shape {wanted}, got {given}")
    if lengths.ndim != 1 or (N is not None and len(lengths) != N):
        raise ValueError(f"{name}: expected shape {wanted}, got {lengths.shape}")
    low, high = (lengths.min(), lengths.max()) if len(lengths) else (0, 0)
    if low < 0 or (T is not None and high > T):
        top = "" if T is None else f" to T={T}"
        raise ValueError(f"{name}: expected from 0{top}, got from {low} to {high}")
    return len(lengths)


class _Writer:
    """Collects the nodes of a model."""

    def __init__(self, onnx: Any, dtype: np.dtype[Any], N: int | str, batch_first: bool) -> None:
        self.onnx, self.helper, self.dtype, self.N = onnx, onnx.helper, dtype, N
        self.batch_first = batch_first
        self.T_N: list[int | str] = [N, "T"] if batch_first else ["T", N]
        self.inputs: list[Any] = []
        self.outputs: list[Any] = []
        self.held: list[Any] = []
        self.nodes: list[Any] = []

    def value_info(self, name: str, dtype: np.dtype[Any], shape: Sequence[int | str]) -> Any:
        element = self.helper.np_dtype_to_tensor_dtype(dtype)
        return self.helper.make_tensor_value_info(name, element, shape)

    def graph_input(self, name: str, dtype: np.dtype[Any], shape: Sequence[int | str]) -> str:
        self.inputs.append(self.value_info(name, dtype, shape))
        return name

    def hold(self, name: str, array: Array) -> str:
        proto = self.onnx.numpy_helper.from_array(np.ascontiguousarray(array), name)
        self.held.append(proto)
        return name

    def number(self, name: str, value: float) -> float:
        """A number as an attribute stores it."""
        with np.errstate(over="ignore"):
            stored = float(np.float32(value))
        # In float32 the layer computes with the rounded number too.
        same = stored == value if self.dtype == np.float64 else np.isfinite(stored)
        if not same:
            raise ValueError(
                f"{name}: expected a number of float32, as which ONNX stores it, got {value!r}; "
                f"the model would have {stored!r}"
            )
        return stored

    def node(
        self,
        place: str,
        layer: AnyLayer,
        params: Any,
        state: Any,
        has_lengths: bool,
        below: str,
        suffix: str,
        output: str,
    ) -> str:
        """Add a layer's node, and what turns its Y into the layer's output; return its name."""
        cells = _cells(layer)
        op, H, directions = cast(str, _op(cells[0])), cells[0].hidden_size, len(cells)
        operands = {"X": below, "sequence_lens": "sequence_lens" if has_lengths else ""}
        weights = [
            self.weights(op, *pair)
            for pair in zip(cells, _by_direction(layer, params), strict=True)
        ]
        for operand in weights[0]:
            stacked = np.stack([by_name[operand] for by_name in weights])
            operands[operand] = self.hold(f"{operand}{suffix}", stacked)
        d_N = [self.N, directions] if self.batch_first else [directions, self.N]
        fields = cells[0].state_type._fields
        if state is not None:
            packed: Sequence[Array | None] = [None] * len(fields)
            if not isinstance(state, str):
                packed = _packed(layer, state, self.batch_first)
            for field, value in zip(fields, packed, strict=True):
                name = f"initial_{field}{suffix}"
                operands[f"initial_{field}"] = (
                    self.graph_input(name, self.dtype, [*d_N, H])
                    if value is None
                    else self.hold(name, value)
                )
        inputs = [operands.get(operand, "") for operand in _INPUTS]
        while not inputs[-1]:
            inputs.pop()
        finals = [f"final_{field}{suffix}" for field in fields]
        self.outputs += [self.value_info(name, self.dtype, [*d_N, H]) for name in finals]
        Y, name = f"Y{suffix}", f"{op}{suffix}"
        attributes = self.attributes(place, layer, op)
        outputs = [Y, *finals]
        self.nodes.append(self.helper.make_node(op, inputs, outputs, name=name, **attributes))
        if not self.batch_first:  # (T, directions, N, H) -> (T, N, directions, H)
            by_step = f"{Y}_by_step"
            made = self.helper.make_node("Transpose", [Y], [by_step], perm=[0, 2, 1, 3])
            self.nodes.append(made)
            Y = by_step
        shape = self.hold(f"shape{suffix}", np.array([0, 0, directions * H], np.int64))
        self.nodes.append(self.helper.make_node("Reshape", [Y, shape], [output]))
        return output

    def weights(self, op: str, cell: Any, params: Any) -> dict[str, Array]:
        """W, R, B and, with peepholes, P of one direction."""
        ours, theirs = _letters(cell, op), _KINDS[op][2]
        W, R, *biases = (_reordered(value, ours, theirs) for value in params[:4])
        found = {"W": W, "R": R, "B": np.concatenate(biases)}
        if getattr(cell, "peephole", False):
            letters = _peephole_letters(cell)
            found["P"] = _reordered(params.weight_ph, letters, _PEEPHOLES[1])
        return found

    def attributes(self, place: str, layer: AnyLayer, op: str) -> dict[str, Any]:
        cells = _cells(layer)
        found: dict[str, Any] = {"hidden_size": cells[0].hidden_size}
        if isinstance(layer, Bidirectional):
            found["direction"] = "bidirectional"
        elif isinstance(layer, Reverse):
            found["direction"] = "reverse"
        if op == "GRU":
            found["linear_before_reset"] = int(cells[0].reset == "after")
        elif op == "LSTM":
            found["input_forget"] = int(cells[0].coupled)
        if cells[0].clip is not None:
            found["clip"] = self.number(f"{place}: clip", cells[0].clip)
        choices: list[str | Activation] = []
        for cell in cells:
            choices += [cell.nonlinearity] if op == "RNN" else cell.activations
        kinds = [Activation(choice) if isinstance(choice, str) else choice for choice in choices]
        found["activations"] = [_ACTIVATIONS[kind.name] for kind in kinds]
        for p in ("alpha", "beta"):
            numbers = [
                self.number(f"{place}: {p} of {kind.name}", getattr(kind, p))
                for kind in kinds
                if getattr(kind, p) is not None
            ]
            if numbers:
                found[f"activation_{p}"] = numbers
        if self.batch_first:
            found["layout"] = 1
        return found

    def model(self, output_size: int) -> Any:
        output = self.value_info("output", self.dtype, [*self.T_N, output_size])
        graph = self.helper.make_graph(
            self.nodes, "rnn_ref", self.inputs, [output, *self.outputs], self.held
        )
        opset = [self.helper.make_opsetid("", _WRITTEN)]
        return self.helper.make_model(
            graph,
            producer_name="rnn_ref",
            opset_imports=opset,
            ir_version=self.helper.find_min_ir_version_for(opset),
        )
