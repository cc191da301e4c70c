"""Parameters of :class:`~rnn_ref.sru.SRU` from and to ``sru``, the package of the cell's authors.

The package stores the same numbers in another order. Its ``weight`` has shape (D, kH), with k = 3
or 4 blocks of columns interleaved: column ``j * k + m`` belongs to unit j, and m = 0, 1, 2, 3 means
u, f, r, s. In version 3 this matrix is the transpose of ``transform_module.weight``. Its ``bias``
and ``weight_c`` are our ``bias_ih`` and ``weight_ph``; version 1 of the cell has a ``weight_c`` of
zeros. Versions 2.6.0 and 3.0.0.dev6 of the package are tested.

What one side cannot express is refused, with an error that names it. :func:`from_sru` only reads
attributes of a cell and imports nothing; :func:`to_sru` imports the package.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..checks import Array, _check_array
from ..sru import SRU, SRUParams


def from_sru(cell: Any) -> tuple[SRU, SRUParams]:
    """The layer and the parameters that compute what a cell of the package computes.

    Chapter ``sru`` derives what the cell computes.

    Parameters
    ----------
    cell
        An ``sru.SRUCell``, in float32 or float64. Of a module ``sru.SRU``, which is a stack of
        cells, convert one at a time: ``from_sru(module.rnn_lst[k])``.

    Returns
    -------
    layer : SRU
        Its ``alpha`` is the cell's ``scale_x`` where the package uses that: with ``rescale`` and a
        skip term, and D = H. Otherwise ``alpha`` is 1.
    params : SRUParams
        Copies, in the dtype of the cell.

    Raises
    ------
    ValueError
        The cell is bidirectional, or has a layer norm, a projection, a transform of its own in
        place of the one matrix, an activation other than identity and tanh, or dropout that is
        switched on (``cell.eval()`` switches it off); or an array does not fit the cell's sizes.
    TypeError
        ``cell`` is not an SRUCell, or neither in float32 nor in float64.

    Notes
    -----
    The arguments that only set initial values (``highway_bias``, ``weight_c_init``) and the one
    that only concerns half precision on a GPU (``amp_recurrence_fp16``) have no counterpart.

    Examples
    --------
    >>> import numpy as np, torch
    >>> from rnn_ref.interop.sru import from_sru
    >>> from sru import SRUCell
    >>> cell = SRUCell(3, 5)
    >>> layer, params = from_sru(cell)
    >>> params.weight_ih.shape
    (20, 3)
    >>> x = torch.randn(4, 2, 3)
    >>> with torch.no_grad():
    ...     theirs, _ = cell(x)
    >>> bool(np.allclose(layer.forward(params, x.numpy())[0], theirs, atol=1e-5))
    True
    """
    _check_cell(cell)
    D, H, skip = cell.input_size, cell.hidden_size, bool(cell.has_skip_term)
    k = 4 if skip and D != H else 3
    linear = getattr(cell, "transform_module", None)
    weight = _array("weight", cell.weight if linear is None else linear.weight.T)
    weight_c, bias = _array("weight_c", cell.weight_c), _array("bias", cell.bias)
    dtype = _check_array("weight", weight, (("D", D), (f"{k}H", k * H)), None)
    _check_array("weight_c", weight_c, (("2H", 2 * H),), dtype)
    _check_array("bias", bias, (("2H", 2 * H),), dtype)
    if cell.v1 and weight_c.any():
        raise ValueError("weight_c: expected zeros together with v1=True; version 1 has no v")
    layer = SRU(
        input_size=D,
        hidden_size=H,
        version=1 if cell.v1 else 2,
        nonlinearity="tanh" if cell.activation_type == 1 else "identity",
        highway=skip,
        alpha=_scale(cell) if skip and D == H and cell.rescale else 1.0,
    )
    blocks = weight.reshape(D, H, k).transpose(2, 1, 0).reshape(k * H, D)
    return layer, SRUParams(np.ascontiguousarray(blocks), bias, None if cell.v1 else weight_c)


def to_sru(layer: SRU, params: SRUParams) -> Any:
    """A new cell of the package that computes what the layer does with these parameters.

    Needs the package, which the extra ``sru`` installs, and to import it, a C++ compiler: the
    first import compiles for about a minute and warns that it found no CUDA where there is none.

    Chapter ``sru`` derives what the cell computes.

    Parameters
    ----------
    layer
        The layer. With D != H its ``alpha`` must be 1, since the package applies no factor there.
    params
        Its parameters; they are copied.

    Returns
    -------
    torch.nn.Module
        An ``sru.SRUCell`` in the dtype of the parameters, with ``rescale`` set where ``alpha`` is
        not 1. From it :func:`from_sru` returns an equal layer and identical arrays.

    Raises
    ------
    ValueError
        ``alpha`` is not 1 with D != H, or is not a number of float32 with parameters in float32,
        where the package could only store a rounded one; or the parameters do not fit the layer.
    TypeError
        ``layer`` is not an SRU, or the parameters have the wrong type.
    ModuleNotFoundError
        The package is not installed.

    Examples
    --------
    >>> import numpy as np
    >>> from rnn_ref import SRU
    >>> from rnn_ref.interop.sru import to_sru
    >>> layer = SRU(3, 5, nonlinearity="tanh")
    >>> cell = to_sru(layer, layer.init_params(np.random.default_rng(0)))
    >>> cell.activation, cell.bias.dtype
    ('tanh', torch.float64)
    """
    if not isinstance(layer, SRU):
        raise TypeError(f"layer: expected SRU, got {type(layer).__name__}")
    dtype = layer._check_params(params)
    _check_alpha(layer, dtype)
    try:
        import torch
        from sru import SRUCell
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            "rnn_ref.interop.sru.to_sru needs the package sru; "
            "install it with: pip install 'rnn-ref[sru]'"
        ) from error
    D, H, k = layer.input_size, layer.hidden_size, layer.gates
    with torch.random.fork_rng(devices=[]):  # the cell draws values, which are replaced below
        cell = SRUCell(
            D,
            H,
            use_tanh=layer.nonlinearity == "tanh",
            has_skip_term=layer.highway,
            rescale=layer.alpha != 1.0,
            v1=layer.version == 1,
        )
    cell.to(getattr(torch, dtype.name))
    weight = params.weight_ih.reshape(k, H, D).transpose(2, 1, 0).reshape(D, H * k)
    by_name: dict[str, Array] = {
        "bias": params.bias_ih,
        "weight_c": np.zeros(2 * H, dtype) if params.weight_ph is None else params.weight_ph,
        "scale_x": np.array([layer.alpha], dtype),
    }
    if hasattr(cell, "transform_module"):
        by_name["transform_module.weight"] = weight.T
    else:
        by_name["weight"] = weight
    # Strict: a parameter that is missing here, or unknown there, is an error.
    cell.load_state_dict({k: torch.tensor(np.ascontiguousarray(v)) for k, v in by_name.items()})
    return cell


def _check_cell(cell: Any) -> None:
    """Refuse what is no SRUCell, and every property of one that an SRU lacks."""
    if hasattr(cell, "rnn_lst"):
        first = ", and its input_to_hidden comes before them"
        raise TypeError(
            "cell: expected an SRUCell, got a stack of them; convert them one at a time with "
            f"from_sru(module.rnn_lst[k]), k = 0 ... {len(cell.rnn_lst) - 1}"
            + (first if getattr(cell, "input_to_hidden", None) is not None else "")
        )
    needed = "input_size hidden_size has_skip_term rescale v1 weight_c bias scale_x training "
    needed += "bidirectional layer_norm projection_size activation_type dropout rnn_dropout"
    missing = [name for name in needed.split() if not hasattr(cell, name)]
    if missing:
        raise TypeError(
            "cell: expected an SRUCell of the package sru, version 2.6 or 3.0, got "
            f"{type(cell).__name__}, which lacks {', '.join(missing)}"
        )
    linear = getattr(cell, "transform_module", None)  # version 3
    its_type = f"{type(linear).__module__}.{type(linear).__qualname__}"
    own_transform = linear is not None and its_type != "torch.nn.modules.linear.Linear"
    no_dropout = "SRU has no dropout; cell.eval() switches it off"
    no_transform = "SRU has one matrix for the input, and no module in its place"
    for name, refused, why in (
        ("bidirectional", cell.bidirectional, "SRU runs in one direction only"),
        ("layer_norm", cell.layer_norm is not None, "SRU does not normalize"),
        ("projection_size", cell.projection_size != 0, "SRU does not factorize its matrix"),
        ("custom_m", getattr(cell, "custom_m", None) is not None, no_transform),
        ("transform_module", own_transform, no_transform),
        (
            "transform_module.bias",
            getattr(linear, "bias", None) is not None,
            "SRU has a bias in the gates f and r only",
        ),
        ("activation_type", cell.activation_type not in (0, 1), "SRU knows identity and tanh"),
        ("dropout", cell.training and cell.dropout != 0, no_dropout),
        ("rnn_dropout", cell.training and cell.rnn_dropout != 0, no_dropout),
    ):
        if refused:
            raise ValueError(f"{name}: the cell cannot be converted, since {why}")


def _array(name: str, tensor: Any) -> Array:
    """A copy of a tensor."""
    if str(tensor.dtype) not in ("torch.float32", "torch.float64"):
        raise TypeError(f"{name}: expected float32 or float64, got {tensor.dtype}")
    return np.array(tensor.detach().cpu().numpy())


def _scale(cell: Any) -> float:
    """The highway's factor, which the package keeps as a tensor of one number."""
    scale = float(cell.scale_x)
    if not 0.0 < scale < math.inf:
        raise ValueError(f"scale_x: expected a positive finite number, got {scale}")
    return scale


def _check_alpha(layer: SRU, dtype: np.dtype[Any]) -> None:
    """Refuse a factor that the package would leave out or round."""
    alpha = layer.alpha
    if alpha == 1.0:
        return
    if layer.input_size != layer.hidden_size:
        raise ValueError(
            f"alpha: expected 1 with D={layer.input_size} != H={layer.hidden_size}, got {alpha}; "
            "the package applies no factor there. Multiply the block W_s of weight_ih by it instead"
        )
    with np.errstate(over="ignore"):
        rounded = float(dtype.type(alpha))
    if rounded != alpha:
        raise ValueError(
            f"alpha: expected a number of {dtype}, the dtype of the parameters, got {alpha!r}; the "
            f"package would round it to {rounded!r}. With arrays of {dtype}, SRU computes the same "
            f"with alpha={rounded!r}"
        )
