"""Layers and parameters from and to Keras 3: ``SimpleRNN``, ``LSTM``, ``GRU``, and what holds them.

==========================================  =====================================================
Keras                                       here
==========================================  =====================================================
``SimpleRNN``, ``LSTM``, ``GRU``            ``ElmanRNN``, ``LSTM``, ``GRU``
``reset_after`` True, False                 ``reset`` "after", "before"
``RNN`` over a list of cells                ``Stack``
``go_backwards=True``                       ``Reverse``
``Bidirectional``, ``merge_mode="concat"``  ``Bidirectional``
==========================================  =====================================================

Keras keeps the transposed matrices: ``kernel`` (D, GH) and ``recurrent_kernel`` (H, GH), the GRU's
blocks in the order z, r, n. In an LSTM its one ``activation`` stands in both places of tanh. Its
arrays are batch-major: x goes in as ``x.swapaxes(0, 1)``.

Biases: with ``reset_after``, ``bias`` (2, 3H) holds ``bias_ih`` and ``bias_hh``, and nothing is
lost. Everywhere else Keras has one ``bias``: :func:`to_keras` writes the sum there, and
:func:`from_keras` returns it as ``bias_ih`` beside a ``bias_hh`` of zeros.

States: Keras's flat list is ``flat(state)`` of :mod:`rnn_ref.tree`, of an LSTM [h, c]; that of a
stack of cells is a list of such lists; that of both directions is the forward's list and then the
backward's.

Masks: a Keras mask that is False behind the end of each row is ``lengths``, which
:func:`lengths_from_mask` reads from it; no other can be expressed.

What one side cannot express is refused, with an error that names it. Source: the reference of the
recurrent layers, https://keras.io/api/layers/recurrent_layers/, and the code of Keras 3.15.1, the
version that is tested, on its torch backend. A Keras model is converted layer by layer, see
:func:`from_keras`.
"""

from __future__ import annotations

import importlib
import random
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple, NoReturn, TypeAlias

import numpy as np

from ..activations import Activation
from ..checks import Array, _check_array, _check_choice_of, _full_name
from ..compose import Bidirectional, BidirectionalParams, Reverse, Stack
from ..elman import ElmanParams, ElmanRNN
from ..gru import GRU, GRUParams
from ..layer import Layer
from ..lstm import LSTM, LSTMParams

AnyLayer: TypeAlias = Layer[Any, Any, Any]
Choice: TypeAlias = str | Activation


class _Kind(NamedTuple):
    """A cell: its type here, its names in Keras, and the order of its blocks there."""

    layer: Any
    params: Any
    name: str
    cell: str
    order: tuple[int, ...]  # Keras's block k is ours order[k], and the other way round


_KINDS = (
    _Kind(ElmanRNN, ElmanParams, "SimpleRNN", "SimpleRNNCell", (0,)),
    _Kind(LSTM, LSTMParams, "LSTM", "LSTMCell", (0, 1, 2, 3)),
    _Kind(GRU, GRUParams, "GRU", "GRUCell", (1, 0, 2)),
)

# The functions of keras.activations that are one of ours. The slopes are the defaults of Keras.
_FUNCTIONS = {
    "tanh": Activation("tanh"),
    "sigmoid": Activation("sigmoid"),
    "relu": Activation("relu"),
    "linear": Activation("affine"),
    "leaky_relu": Activation("leaky_relu", 0.2),
    "hard_sigmoid": Activation("hard_sigmoid", 1 / 6, 0.5),
    "elu": Activation("elu"),
    "softplus": Activation("softplus"),
    "softsign": Activation("softsign"),
}


def from_keras(layer: Any) -> tuple[AnyLayer, Any]:
    """The layer and the parameters that compute what a layer of Keras computes.

    Chapter ``rosetta`` finds these conventions by asking the frameworks.

    Parameters
    ----------
    layer
        A built ``keras.layers.SimpleRNN``, ``LSTM`` or ``GRU``, an ``RNN`` over their cells or over
        a list or ``StackedRNNCells`` of them, a ``Bidirectional`` over any of these; or such a cell
        itself. In float32 or float64.

    Returns
    -------
    layer : Layer
        See the table above. A name stands for an activation with its default parameters.
    params
        Copies, in the dtype of the layer; ``bias_hh``, and with ``use_bias=False`` both biases, are
        zeros where Keras has none.

    Raises
    ------
    ValueError
        The layer is not built; or it is stateful, has dropout, an activation that is not among
        ours, or a ``merge_mode`` other than "concat".
    TypeError
        ``layer`` is none of the above (a subclass may compute anything); or it computes neither in
        float32 nor in float64, or not all in one dtype, where Keras rounds in between.
    ModuleNotFoundError
        Keras or its backend is not installed.

    Notes
    -----
    ``forward`` returns everything; in Keras ``return_sequences`` and ``return_state`` select from
    it. Without ``return_sequences`` Keras returns the h of the final state, both directions' side
    by side, which for the backward one is not the output at the last step.

    With ``go_backwards`` Keras returns the output in the order of reading, last step first; that
    of ``Reverse`` is in the order of the input, as in ``Bidirectional``.

    Behind the end of a row our output is 0. So is Keras's with ``zero_output_for_mask``, which
    ``Bidirectional`` always sets; otherwise it repeats the last output there.

    Not converted, since the function that the weights compute does not depend on them: initial
    values (initializers, ``unit_forget_bias``), what adds to the loss or bounds the weights in
    training (regularizers, constraints, ``trainable``), the way of computing (``unroll``,
    ``implementation``, ``use_cudnn``) and, without dropout, ``seed``.

    Examples
    --------
    >>> import keras
    >>> import numpy as np
    >>> from rnn_ref.interop.keras import from_keras
    >>> gru = keras.layers.GRU(5, return_sequences=True, reset_after=False)
    >>> gru.build((None, None, 3))
    >>> layer, params = from_keras(gru)
    >>> layer.reset, params.weight_ih.shape
    ('before', (15, 3))
    >>> x = np.random.default_rng(0).normal(size=(4, 2, 3)).astype(np.float32)  # T, N, D
    >>> theirs = keras.ops.convert_to_numpy(gru(x.swapaxes(0, 1)))
    >>> bool(np.allclose(layer.forward(params, x)[0], theirs.swapaxes(0, 1), atol=1e-6))
    True

    The recurrent layers of a model, one above the other:

    >>> from rnn_ref import Stack
    >>> model = keras.Sequential([
    ...     keras.Input((None, 3)),
    ...     keras.layers.Bidirectional(keras.layers.LSTM(5, return_sequences=True)),
    ...     keras.layers.GRU(4),
    ... ])
    >>> layers, params = zip(*(from_keras(part) for part in model.layers))
    >>> Stack(layers).forward(params, x)[0].shape
    (4, 2, 4)
    """
    return _read(_keras(), layer, "layer")


def to_keras(
    layer: AnyLayer,
    params: Any,
    *,
    use_bias: bool = True,
    return_sequences: bool = True,
    return_state: bool = True,
) -> Any:
    """A new, built layer of Keras that computes what the layer does with these parameters.

    Needs Keras and a backend, which the extras ``keras`` and ``torch`` install.

    Chapter ``rosetta`` finds what cannot be converted, and why.

    Parameters
    ----------
    layer
        An :class:`~rnn_ref.ElmanRNN`, :class:`~rnn_ref.LSTM`, :class:`~rnn_ref.GRU`, a
        :class:`~rnn_ref.Stack` of at least two of them, a :class:`~rnn_ref.Reverse` of any of
        these, or a :class:`~rnn_ref.Bidirectional` of two.
    params
        Its parameters; they are copied.
    use_bias
        False for cells without a bias; then all biases must be 0.
    return_sequences, return_state
        What a call of the Keras layer returns; as given here, the output and the final states, as
        ``forward`` does.

    Returns
    -------
    keras.layers.Layer
        In the dtype of the parameters, with ``zero_output_for_mask``: behind the end of a row its
        output is 0. From it :func:`from_keras` returns an equal layer and identical arrays, with
        two exceptions: where Keras has one bias, ``bias_ih`` is the sum and ``bias_hh`` is 0; and
        an ``Activation`` with the default parameters comes back as its name.

    Raises
    ------
    ValueError
        The layer has what Keras's has not: an LSTM peepholes, a coupled or no forget gate, a
        projection or two different functions in the places of tanh; any cell ``clip`` or an
        activation of its own; a Stack a single layer, which Keras cannot run with a mask; a
        Bidirectional two layers with different numbers of states. Or the parameters do not fit the
        layer, or Keras's backend does not keep their numbers.
    TypeError
        ``layer`` is none of the above, or the parameters have the wrong type.
    ModuleNotFoundError
        Keras or its backend is not installed.

    Notes
    -----
    Keras multiplies some matrices of a float64 layer in float32, on every backend but TensorFlow:
    those of SimpleRNN, of the GRU with the reset before, and of every layer over several cells or
    called with a mask. Expect 1e-6, not 1e-12, of those.

    Of a Bidirectional whose two layers have different sizes, Keras 3.15 states a wrong
    ``compute_output_shape``, twice the forward layer's; what it computes is right.

    Examples
    --------
    >>> import keras
    >>> import numpy as np
    >>> from rnn_ref import LSTM
    >>> from rnn_ref.interop.keras import to_keras
    >>> layer = LSTM(3, 5)
    >>> params = layer.init_params(np.random.default_rng(0))
    >>> lstm = to_keras(layer, params)
    >>> lstm.cell.kernel.shape, lstm.cell.bias.dtype
    ((3, 20), 'float64')
    >>> x = np.random.default_rng(1).normal(size=(4, 2, 3))  # T, N, D
    >>> lengths = np.array([4, 2])
    >>> mask = np.arange(4) < lengths[:, None]
    >>> theirs, h, c = lstm(x.swapaxes(0, 1), mask=mask)
    >>> theirs = keras.ops.convert_to_numpy(theirs).swapaxes(0, 1)
    >>> bool(np.allclose(layer.forward(params, x, lengths=lengths)[0], theirs, atol=1e-6))
    True
    """
    for name, value in (
        ("use_bias", use_bias),
        ("return_sequences", return_sequences),
        ("return_state", return_state),
    ):
        _check_choice_of(name, value, True, False)
    if type(layer) not in (*(kind.layer for kind in _KINDS), Stack, Reverse, Bidirectional):
        _refuse_type("layer", layer, "an ElmanRNN, LSTM, GRU, Stack, Reverse or Bidirectional,")
    dtype = layer._check_params(params)
    options = {
        "return_sequences": return_sequences,
        "return_state": return_state,
        "zero_output_for_mask": True,
        "dtype": dtype.name,
    }
    writer = _Writer(_keras(), dtype.name, use_bias)
    with _random_state_kept():  # Keras draws seeds for values that are replaced below
        made = writer.layer("layer", layer, options)
        made.build((None, None, layer.input_size))
    writer.fill(made, layer, params)
    return made


def lengths_from_mask(mask: Array) -> Array:
    """The number of steps of each row, from a mask of Keras.

    Chapter ``rosetta`` shows Keras skipping steps inside a row.

    Parameters
    ----------
    mask
        Booleans of shape (N, T), True where a step counts, as from
        ``keras.layers.Masking().compute_mask(x)``; ``keras.ops.convert_to_numpy`` makes an array of
        a tensor. The way back is ``np.arange(T) < lengths[:, None]``.

    Returns
    -------
    Array
        Integers of shape (N,), for ``forward``.

    Raises
    ------
    ValueError
        A row is True behind a False: Keras skips such a step, and lengths can only say where a row
        ends. Move the steps that count to the front of the row instead.
    TypeError
        ``mask`` is not an array of booleans.

    Examples
    --------
    >>> import numpy as np
    >>> from rnn_ref.interop.keras import lengths_from_mask
    >>> lengths_from_mask(np.array([[True, True, False], [False, False, False]]))
    array([2, 0])
    """
    if not isinstance(mask, np.ndarray) or mask.dtype != np.bool_:
        given = mask.dtype if isinstance(mask, np.ndarray) else _full_name(mask)
        raise TypeError(f"mask: expected an array of booleans of shape (N, T), got {given}")
    if mask.ndim != 2:
        raise ValueError(f"mask: expected shape (N, T), got {mask.shape}")
    lengths: Array = mask.sum(axis=1)
    for n, row in enumerate(mask):
        if not row[: lengths[n]].all():
            hole, last = np.flatnonzero(~row)[0], np.flatnonzero(row)[-1]
            raise ValueError(
                f"mask: expected no True behind a False in a row, got False at step {hole} and "
                f"True at step {last} of row {n}; lengths can only say where a row ends"
            )
    return lengths


# Reading.


def _read(keras: Any, layer: Any, where: str) -> tuple[AnyLayer, Any]:
    """Layer and parameters of what stands at ``where``, be it a layer or a cell."""
    of, kind = keras.layers, type(layer)
    if kind is of.Bidirectional:
        return _read_bidirectional(keras, layer, where)
    if kind in (of.SimpleRNN, of.LSTM, of.GRU, of.RNN):
        if layer.stateful:
            _refuse(
                f"{where}.stateful",
                "its result depends on earlier calls, and forward is a pure function. Set "
                "stateful=False, and give forward the state",
            )
        found, params = _read(keras, layer.cell, f"{where}.cell")
        found = Reverse(found) if layer.go_backwards else found
    elif kind is of.StackedRNNCells:
        named = [(cell, f"{where}.cells[{k}]") for k, cell in enumerate(layer.cells)]
        parts = [_read(keras, *one) for one in named]
        for part, (cell, name) in zip(parts, named, strict=True):
            if isinstance(part[0], Bidirectional | Reverse):
                _refuse_type(name, cell, "a cell")
        found, params = Stack(tuple(part[0] for part in parts)), tuple(part[1] for part in parts)
    else:
        for one in _KINDS:
            if kind is getattr(of, one.cell):
                return _read_cell(keras, layer, where, one)
        _refuse_type(
            where,
            layer,
            "a keras.layers.SimpleRNN, LSTM, GRU, RNN or Bidirectional, or one of the cells "
            "SimpleRNNCell, LSTMCell, GRUCell, StackedRNNCells, of Keras 3 and no subclass (of a "
            "model, convert what model.layers holds one at a time),",
        )
    _check_policy(where, layer, found._check_params(params, where))
    return found, params


def _read_bidirectional(keras: Any, layer: Any, where: str) -> tuple[AnyLayer, Any]:
    if layer.merge_mode != "concat":
        raise ValueError(
            f"{where}.merge_mode: expected 'concat', got {layer.merge_mode!r}; Bidirectional puts "
            "the two outputs side by side"
        )
    if layer.forward_layer.go_backwards:
        _refuse(
            f"{where}.forward_layer.go_backwards",
            "Keras puts the outputs of different steps side by side there",
        )
    ahead, back = (
        _read(keras, getattr(layer, name), f"{where}.{name}")
        for name in ("forward_layer", "backward_layer")
    )
    found = Bidirectional(ahead[0], back[0].layer)  # type: ignore[attr-defined]
    params = BidirectionalParams(ahead[1], back[1])
    _check_policy(where, layer, found._check_params(params, where))
    return found, params


def _read_cell(keras: Any, cell: Any, where: str, kind: _Kind) -> tuple[AnyLayer, Any]:
    if not cell.built:
        raise ValueError(
            f"{where}: expected to be built, which makes the weights; call the layer once, or "
            "build((None, None, D)) with its input size D, and build((None, D)) of a cell"
        )
    for name in ("dropout", "recurrent_dropout"):
        if getattr(cell, name):
            raise ValueError(
                f"{where}.{name}: expected 0, got {getattr(cell, name)}; our cells have no "
                f"dropout. Setting it to 0 switches it off, and calls without training=True "
                "do not change"
            )
    H = cell.units
    choices: dict[str, Any] = {}
    if kind.layer is ElmanRNN:
        choices["nonlinearity"] = _read_activation(keras, cell.activation, f"{where}.activation")
    else:
        sigma = _read_activation(keras, cell.recurrent_activation, f"{where}.recurrent_activation")
        phi = _read_activation(keras, cell.activation, f"{where}.activation")
        choices["activations"] = (sigma, phi) if kind.layer is GRU else (sigma, phi, phi)
    if kind.layer is GRU:
        choices["reset"] = "after" if cell.reset_after else "before"
    W = _array(keras, f"{where}.kernel", cell.kernel)
    U = _array(keras, f"{where}.recurrent_kernel", cell.recurrent_kernel)
    dtype, (D, GH) = W.dtype, W.shape
    for part, name in ((cell, where), *_sublayers(cell, where)):
        _check_policy(name, part, dtype)
    biases = np.zeros((2, GH), dtype)
    if cell.bias is not None:
        both = kind.layer is GRU and cell.reset_after
        biases[: 2 if both else 1] = _array(keras, f"{where}.bias", cell.bias)
    params = kind.params(
        _blocks(W.T, kind.order),
        _blocks(U.T, kind.order),
        *(_blocks(bias, kind.order) for bias in biases),
    )
    layer = kind.layer(D, H, **choices)
    layer._check_params(params, where)
    return layer, params


def _read_activation(keras: Any, f: Any, where: str) -> Choice:
    of = keras.layers
    for name, choice in _FUNCTIONS.items():
        if f is getattr(keras.activations, name):
            return _canonical(choice)
    if type(f) is of.LeakyReLU:
        return _canonical(Activation("leaky_relu", float(f.negative_slope)))
    if type(f) is of.ELU and f.alpha >= 0:
        return _canonical(Activation("elu", float(f.alpha)))
    if type(f) is of.ReLU and f.max_value is None and not (f.negative_slope and f.threshold):
        if f.negative_slope:
            return _canonical(Activation("leaky_relu", float(f.negative_slope)))
        return _canonical(Activation("thresholded_relu", float(f.threshold)))
    given = getattr(f, "__name__", None) or f"{_full_name(f)} {getattr(f, 'get_config', dict)()}"
    raise ValueError(
        f"{where}: expected one of {', '.join(_FUNCTIONS)} of keras.activations, or a layer "
        "LeakyReLU, ELU with alpha at least 0, or ReLU without max_value and with either a "
        f"negative_slope or a threshold, got {given}; rnn_ref.Activation knows no other"
    )


def _canonical(choice: Activation) -> Choice:
    """The name alone where it says everything."""
    return choice.name if choice == Activation(choice.name) else choice


def _sublayers(cell: Any, where: str) -> Iterator[tuple[Any, str]]:
    """The activations of a cell that are layers, which have a dtype of their own."""
    for name in ("activation", "recurrent_activation"):
        f = getattr(cell, name, None)
        if hasattr(f, "dtype_policy"):
            yield f, f"{where}.{name}"


def _check_policy(where: str, layer: Any, dtype: np.dtype[Any]) -> None:
    """Refuse a layer of Keras that rounds what goes through it to another dtype."""
    if layer.compute_dtype != dtype.name:
        raise TypeError(
            f"{where}.dtype_policy: expected to compute in {dtype}, the dtype of the weights, got "
            f"{layer.compute_dtype}; Keras rounds what goes through it. Each layer and each list "
            "of cells takes dtype= for itself"
        )


def _array(keras: Any, name: str, variable: Any) -> Array:
    """The numbers of a variable, float32 or float64."""
    value = _numpy(keras, variable)
    _check_array(name, value, [(str(size), size) for size in value.shape], None)
    return value


def _numpy(keras: Any, variable: Any) -> Array:
    with warnings.catch_warnings():  # of what NumPy 2 wants of __array__, Keras 3.15 lacks copy=
        warnings.simplefilter("ignore", DeprecationWarning)
        return np.asarray(keras.ops.convert_to_numpy(variable))


def _blocks(rows: Array, order: Sequence[int]) -> Array:
    """The blocks of rows in another order, a copy."""
    parts = np.split(rows, len(order))
    return np.ascontiguousarray(np.concatenate([parts[k] for k in order]))


# Writing.


class _Writer(NamedTuple):
    keras: Any
    dtype: str
    use_bias: bool

    def layer(self, where: str, layer: AnyLayer, options: dict[str, Any]) -> Any:
        """The layer of Keras, without its weights."""
        of = self.keras.layers
        if isinstance(layer, Bidirectional):
            return self.bidirectional(where, layer, options)
        if isinstance(layer, Reverse):
            options = options | {"go_backwards": True}
            where, layer = f"{where}.layer", layer.layer
        if type(layer) is Stack:
            return of.RNN(self.cell(where, layer), **options)
        kind = _kind_of(where, layer)
        return getattr(of, kind.name)(**self.config(where, layer, kind), **options)

    def bidirectional(self, where: str, layer: Bidirectional, options: dict[str, Any]) -> Any:
        parts = layer.forward_layer, layer.backward_layer
        for name, part in zip(("forward_layer", "backward_layer"), parts, strict=True):
            if type(part) is not Stack:
                _kind_of(f"{where}.{name}", part)  # nothing that is reversed on its own
        states = [len(part.zero_state(0)) for part in parts]
        if states[0] != states[1]:
            raise ValueError(
                f"{where}: expected as many states forward as backward, got {states[0]} and "
                f"{states[1]}; Keras gives each direction half of the initial states"
            )
        ahead = self.layer(f"{where}.forward_layer", parts[0], options)
        options = options | {"go_backwards": True}
        back = self.layer(f"{where}.backward_layer", parts[1], options)
        return self.keras.layers.Bidirectional(ahead, backward_layer=back, dtype=self.dtype)

    def cell(self, where: str, layer: AnyLayer) -> Any:
        """The cell of Keras, without its weights."""
        of = self.keras.layers
        if type(layer) is not Stack:
            kind = _kind_of(where, layer)
            config = self.config(where, layer, kind)
            return getattr(of, kind.cell)(**config, dtype=self.dtype)
        if len(layer.layers) == 1:
            raise ValueError(
                f"{where}.layers: expected at least 2, got 1; Keras loses the states of a list of "
                "one cell when there is a mask. Convert the layer inside"
            )
        cells = [self.cell(f"{where}.layers[{k}]", part) for k, part in enumerate(layer.layers)]
        return of.StackedRNNCells(cells, dtype=self.dtype)

    def config(self, where: str, layer: Any, kind: _Kind) -> dict[str, Any]:
        """The arguments of a cell."""
        if layer.clip is not None:
            _refuse(f"{where}.clip", "Keras does not cut pre-activations off")
        config = {"units": layer.hidden_size, "use_bias": self.use_bias}
        if kind.layer is ElmanRNN:
            name = f"{where}.nonlinearity"
            return config | {"activation": self.activation(name, layer.nonlinearity)}
        if kind.layer is LSTM:
            for name, refused, why in (
                ("peephole", layer.peephole, "Keras's LSTM has no peepholes"),
                ("coupled", layer.coupled, "Keras's LSTM has a forget gate of its own"),
                ("forget_gate", not layer.forget_gate, "Keras's LSTM always has one"),
                ("proj_size", layer.proj_size, "Keras's LSTM does not project its output"),
            ):
                if refused:
                    _refuse(f"{where}.{name}", why)
            phi, psi = map(_activation, layer.activations[1:])
            if phi != psi:
                _refuse(
                    f"{where}.activations",
                    f"Keras's LSTM has one activation for both, and {phi} is not {psi}",
                )
        if kind.layer is GRU:
            config["reset_after"] = layer.reset == "after"
        for k, name in enumerate(("recurrent_activation", "activation")):
            config[name] = self.activation(f"{where}.activations[{k}]", layer.activations[k])
        return config

    def activation(self, where: str, choice: Choice) -> Any:
        """A name for Keras, or a layer where the name's parameter is another one."""
        of, choice = self.keras.layers, _activation(choice)
        for name, same in _FUNCTIONS.items():
            if choice == same:
                return name
        if choice.name == "leaky_relu":
            return of.LeakyReLU(negative_slope=choice.alpha, dtype=self.dtype)
        if choice.name == "elu":
            return of.ELU(alpha=choice.alpha, dtype=self.dtype)
        if choice.name == "thresholded_relu" and (choice.alpha or 0.0) >= 0.0:
            return of.ReLU(threshold=choice.alpha, dtype=self.dtype)
        known = [f"; of this name it has {f}" for f in _FUNCTIONS.values() if f.name == choice.name]
        if choice.name == "thresholded_relu":
            known = ["; the threshold of its ReLU is at least 0"]
        _refuse(where, f"Keras has no {choice}{''.join(known)}")

    def fill(self, made: Any, layer: Any, params: Any) -> None:
        """Put the parameters into a built layer or cell of Keras."""
        if isinstance(layer, Reverse):
            layer = layer.layer
        if isinstance(layer, Bidirectional):
            self.fill(made.forward_layer, layer.forward_layer, params.forward_layer)
            self.fill(made.backward_layer, layer.backward_layer, params.backward_layer)
        elif hasattr(made, "cell"):
            self.fill(made.cell, layer, params)
        elif type(layer) is Stack:
            for one in zip(made.cells, layer.layers, params, strict=True):
                self.fill(*one)
        else:
            self.fill_cell(made, layer, params)

    def fill_cell(self, cell: Any, layer: Any, params: Any) -> None:
        order = _kind_of("layer", layer).order
        pairs = [
            (cell.kernel, _blocks(params.weight_ih, order).T),
            (cell.recurrent_kernel, _blocks(params.weight_hh, order).T),
        ]
        if not self.use_bias:
            for name in ("bias_ih", "bias_hh"):
                if getattr(params, name).any():
                    raise ValueError(
                        f"use_bias: expected True, since {name} of {layer} is not all 0"
                    )
        elif getattr(layer, "reset", None) == "after":
            both = (params.bias_ih, params.bias_hh)
            pairs.append((cell.bias, np.stack([_blocks(bias, order) for bias in both])))
        else:
            pairs.append((cell.bias, _blocks(params.bias_ih + params.bias_hh, order)))
        for variable, value in pairs:
            variable.assign(np.ascontiguousarray(value))
            kept = _numpy(self.keras, variable)
            if kept.dtype != value.dtype or not np.array_equal(kept, value, equal_nan=True):
                raise ValueError(
                    f"params: Keras's backend {self.keras.backend.backend()} does not keep numbers "
                    f"of {value.dtype}, but makes {kept.dtype} of them; convert arrays of that"
                )


def _kind_of(where: str, layer: Any) -> _Kind:
    for kind in _KINDS:
        if type(layer) is kind.layer:
            return kind
    _refuse_type(
        where, layer, "an ElmanRNN, LSTM, GRU or Stack of them, the only ones Keras can hold here,"
    )


def _activation(choice: Choice) -> Activation:
    return Activation(choice) if isinstance(choice, str) else choice


def _refuse(where: str, why: str) -> NoReturn:
    raise ValueError(f"{where}: the layer cannot be converted: {why}")


def _refuse_type(where: str, given: Any, expected: str) -> NoReturn:
    raise TypeError(f"{where}: expected {expected} got {_full_name(given)}")


@contextmanager
def _random_state_kept() -> Iterator[None]:
    state = random.getstate()
    try:
        yield
    finally:
        random.setstate(state)


def _keras() -> Any:
    try:
        return importlib.import_module("keras")
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            "rnn_ref.interop.keras needs Keras 3 and one of its backends, and found "
            f"'{error}'; install both with: pip install 'rnn-ref[keras,torch]', and choose this "
            "backend with the environment variable KERAS_BACKEND=torch"
        ) from error
