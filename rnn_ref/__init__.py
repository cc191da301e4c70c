"""Recurrent cells in NumPy, each derived in the book's chapter of the same name.

Every layer keeps one contract, :class:`rnn_ref.Layer`: ``step`` is the chapter's equations,
``forward`` and ``backward`` run them fast over a whole batch of sequences. Importing this package
needs NumPy alone; :mod:`rnn_ref.torch_module` needs PyTorch and is imported on its own.
"""

from .activations import Activation
from .cell import Cell, RaggedCache, Span
from .check import gradient_errors, numerical_gradient, numerical_gradients, relative_error
from .compose import (
    Bidirectional,
    BidirectionalCache,
    BidirectionalParams,
    BidirectionalState,
    Reverse,
    ReverseCache,
    Stack,
    StackCache,
)
from .elman import ElmanCache, ElmanParams, ElmanRNN, ElmanState
from .gru import GRU, GRUCache, GRUParams, GRUState
from .layer import Gradients, Layer
from .lstm import LSTM, LSTMCache, LSTMParams, LSTMState
from .mlp import MLP, MLPParams
from .sru import SRU, SRUCache, SRUParams, SRUState, highway_alpha
from .vrnn import VRNN, Elbo, Sample, VRNNCache, VRNNNetworks, VRNNParams

__version__ = "0.1.0"

__all__ = [
    "GRU",
    "LSTM",
    "MLP",
    "SRU",
    "VRNN",
    "Activation",
    "Bidirectional",
    "BidirectionalCache",
    "BidirectionalParams",
    "BidirectionalState",
    "Cell",
    "Elbo",
    "ElmanCache",
    "ElmanParams",
    "ElmanRNN",
    "ElmanState",
    "GRUCache",
    "GRUParams",
    "GRUState",
    "Gradients",
    "LSTMCache",
    "LSTMParams",
    "LSTMState",
    "Layer",
    "MLPParams",
    "RaggedCache",
    "Reverse",
    "ReverseCache",
    "SRUCache",
    "SRUParams",
    "SRUState",
    "Sample",
    "Span",
    "Stack",
    "StackCache",
    "VRNNCache",
    "VRNNNetworks",
    "VRNNParams",
    "gradient_errors",
    "highway_alpha",
    "numerical_gradient",
    "numerical_gradients",
    "relative_error",
]
