"""The contract that every layer keeps.

Letters of shapes: T time steps, N batch rows, D inputs, H hidden units, O outputs, G gate blocks.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar, Generic, NamedTuple, TypeVar, cast

import numpy as np
from numpy.typing import DTypeLike

from .checks import Array, _check_array, _check_lengths

P = TypeVar("P", bound=tuple[Any, ...])  # parameters: a NamedTuple, or a tuple of such
S = TypeVar("S", bound=tuple[Any, ...])  # state, likewise
C = TypeVar("C", bound=tuple[Any, ...])  # cache, a NamedTuple


class Gradients(NamedTuple, Generic[P, S]):
    r"""What ``backward`` returns. The gradient of a thing has the type and the shape of the thing.

    For a loss L the gradient of an array v is :math:`\mathrm{d}v = \partial L / \partial v`, every
    path counted; chapter ``notation`` tells it from the immediate derivative.

    Attributes
    ----------
    params
        Gradient of every parameter.
    x
        Gradient of the input, shape (T, N, D).
    state
        Gradient of the initial state.

    Examples
    --------
    >>> import numpy as np
    >>> from rnn_ref import GRU
    >>> layer = GRU(input_size=3, hidden_size=5)
    >>> params = layer.init_params(np.random.default_rng(0))
    >>> output, _, cache = layer.forward(params, np.ones((4, 2, 3)))
    >>> grads = layer.backward(params, cache, d_output=np.ones_like(output))
    >>> grads.params.weight_hh.shape, grads.x.shape, grads.state.h.shape
    ((15, 5), (4, 2, 3), (2, 5))
    """

    params: P
    x: Array
    state: S


class Layer(ABC, Generic[P, S, C]):
    r"""What is run over time: a cell, or layers put together. Sizes and choices, and no arrays.

    Over time a layer repeats its step, and reads an output off each state:

    .. math::
        s_t = \varphi(x_t, s_{t-1}; \theta), \qquad y_t = o(s_t), \qquad t = 1, \dots, T

    Chapter ``elman`` derives backpropagation through time, chapter ``composition`` what holds for
    every layer alike; chapter ``notation`` has the letters.

    Every method is a pure function of its arguments. All arrays of one call share one dtype,
    float32 or float64, and so does every result.

    Attributes
    ----------
    input_size
        D, the size of the input at one step.
    output_size
        O, the size of the output at one step; H for a cell.

    Raises
    ------
    TypeError
        An argument of a method has the wrong type or dtype; the message names it.
    ValueError
        An argument has the wrong shape or value; the message names it, the shape expected (letters
        and numbers) and the shape given.

    Examples
    --------
    >>> import numpy as np
    >>> from rnn_ref import GRU
    >>> rng = np.random.default_rng(0)
    >>> layer = GRU(input_size=3, hidden_size=5)  # any layer keeps this contract
    >>> params, state = layer.init_params(rng), layer.zero_state(batch_size=2)
    >>> x, lengths = rng.standard_normal((7, 2, 3)), np.array([7, 4])
    >>> output, final_state, cache = layer.forward(params, x, state, lengths)
    >>> bool((output[4:, 1] == 0.0).all())  # behind the end of the second row
    True
    >>> state = layer.step(params, x[0], state)  # the same, literally
    >>> bool(np.allclose(state.h, output[0], atol=1e-14))
    True
    """

    input_size: int
    cache_types: ClassVar[tuple[type, ...]]  # what forward may return

    @property
    @abstractmethod
    def output_size(self) -> int:
        """O, the size of the output at one step."""

    @abstractmethod
    def init_params(self, rng: np.random.Generator, dtype: DTypeLike = np.float64) -> P:
        r"""Draw every parameter from :math:`U(-1/\sqrt H, 1/\sqrt H)`, the default of ``torch.nn``.

        Parameters
        ----------
        rng
            Source of randomness; the draws are float64, then rounded to ``dtype``.
        dtype
            float64 or float32.

        Returns
        -------
        P
            The layer's parameters.
        """

    @abstractmethod
    def zero_state(self, batch_size: int, dtype: DTypeLike = np.float64) -> S:
        """The state of zeros, N rows in every array.

        Parameters
        ----------
        batch_size
            N, at least 0.
        dtype
            float64 or float32.

        Returns
        -------
        S
            The layer's state.
        """

    @abstractmethod
    def step(self, params: P, x_t: Array, state: S) -> S:
        """One time step, literally the chapter's equations; slow, and the specification.

        Parameters
        ----------
        params
            The layer's parameters.
        x_t
            Input at one step, shape (N, D).
        state
            Previous state, N rows in every array.

        Returns
        -------
        S
            The new state.
        """

    def forward(
        self, params: P, x: Array, state: S | None = None, lengths: Array | None = None
    ) -> tuple[Array, S, C]:
        """Run over a batch of sequences.

        Parameters
        ----------
        params
            The layer's parameters.
        x
            Input, shape (T, N, D); T may be 0. An array (N, T, D) goes in as ``x.swapaxes(0, 1)``,
            and the output comes out of the same call.
        state
            Initial state; zeros when absent.
        lengths
            Number of steps of each row, integers from 0 to T of shape (N,), in any order; T for
            every row when absent. What stands in ``x`` behind the end of a row is never read.

        Returns
        -------
        output : Array
            Shape (T, N, O), 0 behind the end of a row. It may share memory with the cache.
        final_state : S
            The state of each row after its last step, a copy.
        cache : C
            For :meth:`backward`. It shares memory with ``x`` and ``output``: change neither before.
        """
        state = self._check_forward(params, x, state, lengths)
        return self._forward_rows(params, x, state, lengths)

    def backward(
        self, params: P, cache: C, d_output: Array, d_final_state: S | None = None
    ) -> Gradients[P, S]:
        """Backpropagation through time: the chapter's gradients, summed over steps and rows.

        Parameters
        ----------
        params
            The parameters that ``forward`` was given.
        cache
            The cache that ``forward`` returned.
        d_output
            Gradient of the loss in the output, shape (T, N, O). What stands behind the end of a row
            is never read.
        d_final_state
            Gradient of the loss in the final state, on top of what ``d_output`` says of each row's
            last output; zeros when absent.

        Returns
        -------
        Gradients
            Of the parameters, the input (0 behind the end of a row) and the initial state.
        """
        dtype = self._check_params(params)
        self._check_cache(cache, dtype)
        T, N, _ = cast(Any, cache).x.shape
        d_final_state = self._check_upstream(d_output, d_final_state, T, N, dtype)
        return self._backward_rows(params, cache, d_output, d_final_state)

    # What a layer supplies: the two passes for arguments that have been checked, and the checks.

    @abstractmethod
    def _forward_rows(
        self, params: P, x: Array, state: S, lengths: Array | None
    ) -> tuple[Array, S, C]: ...

    @abstractmethod
    def _backward_rows(
        self, params: P, cache: C, d_output: Array, d_final_state: S
    ) -> Gradients[P, S]: ...

    @abstractmethod
    def _check_params(self, params: P, where: str = "params") -> np.dtype[Any]:
        """Check types and shapes; return the dtype, which all parameters must share."""

    @abstractmethod
    def _check_state(self, name: str, state: S, batch_size: int, dtype: np.dtype[Any]) -> None: ...

    @abstractmethod
    def _output_of(self, state: S) -> Array:
        """The output at the step that left this state, shape (N, O)."""

    @property
    def _output_axis(self) -> tuple[str, int]:
        return "O", self.output_size

    def _check_forward(self, params: P, x: Array, state: S | None, lengths: Array | None) -> S:
        dtype = self._check_params(params)
        _check_array("x", x, (("T", None), ("N", None), ("D", self.input_size)), dtype)
        T, N, _ = x.shape
        if state is None:
            state = self.zero_state(N, dtype)
        self._check_state("state", state, N, dtype)
        if lengths is not None:
            _check_lengths(lengths, T, N)
        return state

    def _check_upstream(
        self, d_output: Array, d_final_state: S | None, T: int, N: int, dtype: np.dtype[Any]
    ) -> S:
        _check_array("d_output", d_output, (("T", T), ("N", N), self._output_axis), dtype)
        if d_final_state is None:
            d_final_state = self.zero_state(N, dtype)
        self._check_state("d_final_state", d_final_state, N, dtype)
        return d_final_state

    def _check_step(self, params: P, x_t: Array, state: S) -> None:
        dtype = self._check_params(params)
        _check_array("x_t", x_t, (("N", None), ("D", self.input_size)), dtype)
        self._check_state("state", state, x_t.shape[0], dtype)

    def _check_cache(self, cache: object, dtype: np.dtype[Any]) -> None:
        if not isinstance(cache, self.cache_types):
            raise TypeError(
                f"cache: expected the {self.cache_types[0].__name__} that forward returned, "
                f"got {type(cache).__name__}"
            )
        made_by, x = cast(Any, cache).layer, cast(Any, cache).x
        # The arrays of another variant would fit, and give wrong gradients.
        if made_by != self:
            raise ValueError(f"cache: expected one made by {self}, got one made by {made_by}")
        _check_array("cache.x", x, (("T", None), ("N", None), ("D", self.input_size)), dtype)
