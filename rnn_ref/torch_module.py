"""Any layer as a ``torch.nn.Module``: torch's losses, optimizers and checkpoints, our gradients."""

from __future__ import annotations

from typing import Any, cast

import numpy as np

try:
    import torch
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(
        "rnn_ref.torch_module needs PyTorch; install it with: pip install 'rnn-ref[torch]'"
    ) from error
from torch import Tensor, nn

from .layer import Layer


class _LayerFunction(torch.autograd.Function):
    """``layer.forward`` and ``layer.backward`` as one node of torch's graph; no array is copied.

    Tensors come and go as one flat list, params then state, because autograd sees only flat lists.
    """

    @staticmethod
    def forward(ctx: Any, layer: Layer[Any, Any, Any], x: Tensor, *flat: Tensor) -> Any:
        arrays = [tensor.detach().numpy() for tensor in flat]
        split = len(layer.param_axes())
        params, state = layer.params_type(*arrays[:split]), layer.state_type(*arrays[split:])
        output, final_state, ctx.cache = layer.forward(params, x.detach().numpy(), state)
        ctx.layer, ctx.params = layer, params
        results = torch.from_numpy(output), *map(torch.from_numpy, final_state)
        # The cache shares memory with these tensors. Saving them lets autograd see it, and refuse
        # to go on, when somebody writes into one of them before backward.
        ctx.save_for_backward(x, *flat, results[0])
        return results

    @staticmethod
    def backward(ctx: Any, d_output: Tensor, *d_final_state: Tensor) -> Any:
        # Under create_graph=True torch would go on to differentiate what follows, and would find
        # nothing to differentiate: second derivatives would silently be 0.
        if torch.is_grad_enabled():
            raise RuntimeError(
                "TorchLayer: second derivatives are not available; call backward or grad "
                "without create_graph=True"
            )
        _ = ctx.saved_tensors  # raises if one of them was modified in place
        d_final = ctx.layer.state_type(*(d.numpy() for d in d_final_state))
        grads = ctx.layer.backward(ctx.params, ctx.cache, d_output.numpy(), d_final)
        flat = (g for g in (*grads.params, *grads.state) if g is not None)
        return None, torch.from_numpy(grads.x), *map(torch.from_numpy, flat)


class TorchLayer(nn.Module):
    """A layer with its parameters, as a module: ``output, final_state = module(x, state)``.

    The parameters carry the names of the layer's own (``weight_ih``, ``weight_hh`` ...). Runs on
    the CPU. Second derivatives are refused: the hand-derived backward is not itself differentiated.

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
    >>> layer = GRU(input_size=3, hidden_size=5, reset="before")
    >>> module = TorchLayer(layer, layer.init_params(np.random.default_rng(0)))
    >>> output, final_state = module(torch.ones(4, 2, 3, dtype=torch.float64))
    >>> output.sum().backward()
    >>> module.weight_ih.grad.shape
    torch.Size([15, 3])
    """

    def __init__(self, layer: Layer[Any, Any, Any], params: Any) -> None:
        super().__init__()
        layer._check_params(params)
        self.layer = layer
        for name in layer.param_axes():
            self.register_parameter(name, nn.Parameter(torch.tensor(getattr(params, name))))

    def forward(self, x: Tensor, state: Any = None) -> tuple[Tensor, Any]:
        """Run the layer.

        Parameters
        ----------
        x
            Input, shape (T, N, D), dtype of the parameters.
        state
            Initial state, a NamedTuple of tensors as this method returns it; zeros when absent.

        Returns
        -------
        output : Tensor
            Shape (T, N, H).
        final_state : NamedTuple of Tensor
            Of the layer's ``state_type``.
        """
        flat = [cast(Tensor, getattr(self, name)) for name in self.layer.param_axes()]
        if not isinstance(x, Tensor):
            raise TypeError(f"x: expected a Tensor, got {type(x).__name__}")
        if state is None:
            if x.ndim != 3:
                D = self.layer.input_size
                raise ValueError(f"x: expected shape (T, N, D={D}), got {tuple(x.shape)}")
            zeros = torch.zeros(x.shape[1], self.layer.hidden_size, dtype=flat[0].dtype)
            state = self.layer.state_type(*(zeros for _ in self.layer.state_type._fields))
        elif not isinstance(state, self.layer.state_type):
            raise TypeError(
                f"state: expected {self.layer.state_type.__name__}, got {type(state).__name__}"
            )
        named = {f"state.{field}": tensor for field, tensor in state._asdict().items()}
        for name, tensor in {"x": x, **named}.items():
            if not isinstance(tensor, Tensor):
                raise TypeError(f"{name}: expected a Tensor, got {type(tensor).__name__}")
            if tensor.device.type != "cpu":
                raise ValueError(
                    f"{name}: expected a tensor on the CPU, got one on {tensor.device}"
                )
        output, *final_state = _LayerFunction.apply(self.layer, x, *flat, *state)  # type: ignore[no-untyped-call]
        return output, self.layer.state_type(*final_state)

    def params(self) -> Any:
        """The parameters as the layer's own NamedTuple of arrays, copied.

        Returns
        -------
        NamedTuple of Array
            Of the layer's ``params_type``.
        """
        return self.layer.params_type(
            **{
                name: np.array(getattr(self, name).detach().numpy())
                for name in self.layer.param_axes()
            }
        )

    def extra_repr(self) -> str:
        """The layer, shown inside the module's ``repr``."""
        return repr(self.layer)
