"""Time of one training epoch of chapter ``classification``: the same model on GRU and on SRU.

    python -m benchmarks.classification

All cases run in one process, one thread, turn by turn, so that whatever else the machine does
meets them alike. Writes ``benchmarks/results/classification.json``, which the chapter shows.
"""

from __future__ import annotations

import sys
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import nn

from benchmarks.store import RESULTS, ROOT, write
from benchmarks.timing import heading, in_order, interleaved, progress, threads
from rnn_ref import GRU, SRU
from rnn_ref.torch_module import TorchLayer

RESULT = RESULTS / "classification.json"
WORDS, BATCH, SIZE, ROUNDS = 5000, 64, 128, 5
LETTERS = "abcdefghijklmnopqrstuvwxyzæøå"


class Classifier(nn.Module):
    """Embedding, two recurrent layers, one logit from the last state of each word."""

    def __init__(self, cell: Any, dtype: str) -> None:
        super().__init__()
        rng = np.random.default_rng(0)
        self.embedding = nn.Embedding(len(LETTERS) + 1, SIZE)
        layers = [cell(SIZE, SIZE) for _ in range(2)]
        self.layers = nn.ModuleList(
            TorchLayer(layer, layer.init_params(rng, dtype)) for layer in layers
        )
        self.readout = nn.Linear(SIZE, 1)
        self.to(getattr(torch, dtype))

    def forward(self, codes: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
        x = self.embedding(codes)
        for layer in self.layers:
            x, _ = layer(x)
        return self.readout(x[lengths - 1, torch.arange(len(lengths))])[:, 0]


def training_batches(pad_to: int | None) -> list[tuple[torch.Tensor, torch.Tensor, torch.Tensor]]:
    """Codes (T, N), lengths and labels (N,): words of like length together, as in the chapter."""
    sys.path.append(str(ROOT / "chapters"))  # for `book`
    from book import word_list

    lists = [word_list(language) for language in ("da", "nb")]
    shared = set(lists[0]) & set(lists[1])
    kept = [
        [w for w in words if w not in shared and len(w) > 2 and set(w) <= set(LETTERS)]
        for words in lists
    ]
    number = min(map(len, kept))
    words = np.array(kept[0][:number] + kept[1][:number])
    labels = np.repeat([0.0, 1.0], number)
    order = np.random.default_rng(0).permutation(len(words))[:WORDS]
    order = order[np.argsort([len(w) for w in words[order]], kind="stable")]
    batches = []
    for rows in np.array_split(order, range(BATCH, WORDS, BATCH)):
        lengths = np.array([len(w) for w in words[rows]])
        codes = np.zeros((pad_to or lengths.max(), len(rows)), int)
        for k, w in enumerate(words[rows]):
            codes[: len(w), k] = [1 + LETTERS.index(letter) for letter in w]
        batches.append(tuple(map(torch.from_numpy, (codes, lengths, labels[rows]))))
    return batches


def epoch(model: Classifier, adam: torch.optim.Optimizer, batches: Any) -> None:
    """One pass over all batches."""
    dtype = model.readout.weight.dtype
    for codes, lengths, labels in batches:
        logits = model(codes, lengths)
        loss = nn.functional.binary_cross_entropy_with_logits(logits, labels.to(dtype))
        adam.zero_grad()
        loss.backward()
        adam.step()


def main() -> None:
    batches = {"longest": training_batches(None), "50": training_batches(50)}
    cases = [
        {"cell": cell.__name__, "dtype": dtype, "padded_to": padded_to}
        for padded_to, dtype in (("longest", "float32"), ("longest", "float64"), ("50", "float64"))
        for cell in (GRU, SRU)
    ]
    models = [Classifier({"GRU": GRU, "SRU": SRU}[c["cell"]], c["dtype"]) for c in cases]
    adams = [torch.optim.Adam(m.parameters(), lr=1e-3, fused=True) for m in models]
    epochs = [
        partial(epoch, model, adam, batches[case["padded_to"]])
        for case, model, adam in zip(cases, models, adams, strict=True)
    ]
    with threads(1):
        seconds = interleaved(epochs, progress(range(ROUNDS), "rounds"))
    for case, model, taken in zip(cases, models, seconds, strict=True):
        case["parameters"] = sum(p.numel() for p in model.parameters())
        case |= in_order(taken)
    result = heading(
        words=WORDS,
        letters=int(sum(lengths.sum() for _, lengths, _ in batches["longest"])),
        batches=len(batches["longest"]),
        rounds=ROUNDS,
        cases=cases,
    )
    write(RESULT, result)
    for case in cases:
        print("{cell} {dtype} padded to {padded_to}: {median} s".format(**case))


if __name__ == "__main__":
    main()
