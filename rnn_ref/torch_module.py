"""Layers and models as ``torch.nn.Module``: torch's losses and optimizers, our gradients."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from operator import attrgetter
from typing import Any, TypeAlias

import numpy as np

try:
    import torch
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(
        "rnn_ref.torch_module needs PyTorch; install it with: pip install 'rnn-ref[torch]'"
    ) from error
from torch import Tensor, nn

from .checks import Array, _full_name
from .layer import Layer
from .tree import field_names, filled, flat, map_arrays, named_arrays
from .vrnn import VRNN

Back: TypeAlias = Callable[..., Iterable[Array | None]]
Run: TypeAlias = Callable[..., tuple[Iterable[Array], Back]]


class _Function(torch.autograd.Function):
    """A pair of hand-derived functions as one node of torch's graph; no array is copied.

    ``run(*arrays)`` returns its results, arrays again, and the function that turns their gradients
    into those of the arguments. Everything is one flat list: autograd sees no other.
    """

    @staticmethod
    def forward(ctx: Any, run: Run, *flat: Tensor) -> Any:
        arrays, ctx.back = run(*(tensor.detach().numpy() for tensor in flat))
        results = tuple(map(torch.from_numpy, arrays))
        # The cache shares memory with these tensors. Saving them lets autograd see it, and refuse
        # to go on, when somebody writes into one of them before backward.
        ctx.save_for_backward(*flat, results[0])
        return results

    @staticmethod
    def backward(ctx: Any, *d_results: Tensor) -> Any:
        # Under create_graph=True torch would go on to differentiate what follows, and would find
        # nothing to differentiate: second derivatives would silently be 0.
        if torch.is_grad_enabled():
            raise RuntimeError(
                "rnn_ref.torch_module: second derivatives are not available; call backward or "
                "grad without create_graph=True"
            )
        _ = ctx.saved_tensors  # raises if one of them was modified in place
        grads = ctx.back(*(d.numpy() for d in d_results))
        return None, *(None if g is None else torch.from_numpy(g) for g in grads)


class _Module(nn.Module):
    """The parameters of a layer or a model, under their own names, copied."""

    def __init__(self, what: Any, params: Any) -> None:
        super().__init__()
        self._what = what
        self._names = list(named_arrays(params))
        self._form = map_arrays(lambda _: np.zeros(0), params)  # its nesting, without the arrays
        _register(self, params)

    def _weights(self) -> list[Tensor]:
        """The parameters in the order of the tree."""
        weights = {name: attrgetter(name)(self) for name in self._names}
        _check_tensors(**weights)
        return list(weights.values())

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._what!r})"

    def params(self) -> Any:
        """The parameters in the NamedTuple they came in, as arrays, copied.

        Returns
        -------
        NamedTuple of Array
            Of the layer's or the model's type of parameters.
        """
        return filled(self._form, [np.array(w.detach().numpy()) for w in self._weights()])


class TorchLayer(_Module):
    """A layer with its parameters, as a module: ``output, final_state = module(x, state)``.

    The parameters carry the names of the layer's own (``weight_ih``, ``weight_hh`` ...). Runs on
    the CPU. Second derivatives are refused: the hand-derived backward is not itself differentiated.

    Chapter ``forecasting`` trains with it, beside ``torch.nn``.

    Parameters
    ----------
    layer
        Any layer that keeps the contract.
    params
        Its parameters as arrays; they are copied.

    Raises
    ------
    TypeError, ValueError
        The parameters do not fit the layer, or in ``forward``, a tensor does not.

    Examples
    --------
    >>> import numpy as np, torch
    >>> from rnn_ref import GRU
    >>> from rnn_ref.torch_module import TorchLayer
    >>> layer = GRU(input_size=3, hidden_size=5, reset="before")
    >>> module = TorchLayer(layer, layer.init_params(np.random.default_rng(0)))
    >>> output, final_state = module(torch.ones(4, 2, 3, dtype=torch.float64))
    >>> output.sum().backward()
    >>> module.weight_ih.grad.shape
    torch.Size([15, 3])
    """

    def __init__(self, layer: Layer[Any, Any, Any], params: Any) -> None:
        if not isinstance(layer, Layer):
            raise TypeError(f"layer: expected a rnn_ref.Layer, got {_full_name(layer)}")
        layer._check_params(params)
        super().__init__(layer, params)
        self.layer = layer

    def forward(
        self, x: Tensor, state: Any = None, lengths: Array | None = None
    ) -> tuple[Tensor, Any]:
        """Run the layer.

        Parameters
        ----------
        x
            Input, shape (T, N, D), dtype of the parameters.
        state
            Initial state, a NamedTuple of tensors as this method returns it; zeros when absent.
        lengths
            Number of steps of each row, an array or a tensor of integers of shape (N,); T for every
            row when absent.

        Returns
        -------
        output : Tensor
            Shape (T, N, O), 0 behind the end of a row.
        final_state : NamedTuple of Tensor
            The layer's state.
        """
        layer, weights = self.layer, self._weights()
        _check_tensors(x=x)
        _check_time_major(x, layer.input_size)
        initial = _tensor_state(layer, state, x)
        steps = lengths.numpy() if isinstance(lengths, Tensor) else lengths

        def run(x: Array, *arrays: Array) -> tuple[list[Array], Back]:
            params, state = filled((self._form, initial), arrays)
            output, final_state, cache = layer.forward(params, x, state, steps)

            def back(d_output: Array, *d_final_state: Array) -> list[Array]:
                d_final = filled(initial, d_final_state)
                grads = layer.backward(params, cache, d_output, d_final)
                return [grads.x, *flat(grads.params), *flat(grads.state)]

            return [output, *flat(final_state)], back

        output, *final_state = _Function.apply(run, x, *weights, *flat(initial))  # type: ignore[no-untyped-call]
        return output, filled(initial, final_state)


class TorchVRNN(_Module):
    """A variational RNN with its parameters: ``kl, nll, final_state = module(x, noise)``.

    Their sum over time is minus the bound, the loss of each row; ``beta * kl + nll`` anneals the KL
    term, and a product with a mask leaves out padding at the ends of rows, which must be finite.
    Draw new noise for every batch. For everything but training, take the parameters back:
    ``model.sample(module.params(), rng, steps)``. The parameters carry the names of the model's own
    (``encoder.weights.0`` ...). On the CPU, first derivatives only.

    Chapter ``vrnn`` trains with it.

    Parameters
    ----------
    model
        The model.
    params
        Its parameters as arrays; they are copied.

    Raises
    ------
    TypeError, ValueError
        The parameters do not fit the model, or in ``forward``, a tensor does not.

    Examples
    --------
    >>> import numpy as np, torch
    >>> from rnn_ref import GRU, VRNN
    >>> from rnn_ref.torch_module import TorchVRNN
    >>> model = VRNN(input_size=3, latent_size=2, feature_size=8, layer=GRU(16, 5))
    >>> params = model.init_params(np.random.default_rng(0), np.float32)
    >>> module = TorchVRNN(model, params)
    >>> kl, nll, final_state = module(torch.ones(4, 6, 3), noise=torch.randn(4, 6, 2))
    >>> (kl + nll).sum(0).mean().backward()
    >>> module.encoder.weights.get_parameter("0").grad.shape
    torch.Size([8, 13])

    Go on where the batch ends, with the model itself:

    >>> state = type(final_state)(*(s.detach().numpy() for s in final_state))
    >>> rng = np.random.default_rng(1)
    >>> model.sample(module.params(), rng, steps=5, batch_size=6, state=state).x.shape
    (5, 6, 3)
    """

    def __init__(self, model: VRNN, params: Any) -> None:
        if not isinstance(model, VRNN):
            raise TypeError(f"model: expected a rnn_ref.VRNN, got {_full_name(model)}")
        model._check_params(params)
        super().__init__(model, params)
        self.model = model

    def forward(self, x: Tensor, noise: Tensor, state: Any = None) -> tuple[Tensor, Tensor, Any]:
        """The two terms of the bound at each step.

        Parameters
        ----------
        x
            Observations, shape (T, N, D), dtype of the parameters.
        noise
            Standard normal noise, shape (T, N, Z); no gradient is computed for it.
        state
            The layer's initial state, a NamedTuple of tensors; zeros when absent.

        Returns
        -------
        kl, nll : Tensor
            Shape (T, N), in nats.
        final_state : NamedTuple of Tensor
            Of the layer's ``state_type``.
        """
        model, weights = self.model, self._weights()
        _check_tensors(x=x, noise=noise)
        _check_time_major(x, model.input_size)
        initial = _tensor_state(model.layer, state, x)

        def run(x: Array, noise: Array, *arrays: Array) -> tuple[list[Array], Back]:
            params, state = filled((self._form, initial), arrays)
            _, kl, nll, final_state, cache = model.elbo(params, x, noise, state)

            def back(d_kl: Array, d_nll: Array, *d_final_state: Array) -> list[Array | None]:
                d_final = model.layer.state_type(*d_final_state)
                grads = model.elbo_backward(params, cache, d_kl, d_nll, d_final)
                return [grads.x, None, *flat(grads.params), *flat(grads.state)]

            return [kl, nll, *final_state], back

        kl, nll, *final_state = _Function.apply(run, x, noise, *weights, *initial)  # type: ignore[no-untyped-call]
        return kl, nll, model.layer.state_type(*final_state)


def _register(module: nn.Module, tree: tuple[Any, ...]) -> None:
    """Make a parameter of every array and a module of every tuple in a tree."""
    for name, value in zip(field_names(tree), tree, strict=True):
        if isinstance(value, tuple):
            child = nn.Module()
            _register(child, value)
            module.add_module(name, child)
        elif value is not None:
            module.register_parameter(name, nn.Parameter(torch.tensor(value)))


def _tensor_state(layer: Layer[Any, Any, Any], state: Any, x: Tensor) -> Any:
    """The initial state as tensors; zeros where None is given."""
    dtype = np.float32 if x.dtype == torch.float32 else np.float64
    zeros = map_arrays(torch.from_numpy, layer.zero_state(x.shape[1], dtype))
    if state is None:
        return zeros
    if type(state) is not type(zeros):
        raise TypeError(f"state: expected {type(zeros).__name__}, got {type(state).__name__}")
    _check_tensors(**named_arrays(state, "state."))
    return state


def _check_tensors(**named: object) -> None:
    for name, tensor in named.items():
        if not isinstance(tensor, Tensor):
            raise TypeError(f"{name}: expected a Tensor, got {type(tensor).__name__}")
        if tensor.device.type != "cpu":
            raise ValueError(f"{name}: expected a tensor on the CPU, got one on {tensor.device}")


def _check_time_major(x: Tensor, D: int) -> None:
    if x.ndim != 3:
        raise ValueError(f"x: expected shape (T, N, D={D}), got {tuple(x.shape)}")
