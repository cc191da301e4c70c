"""What readers search for: the page that answers, and among how many results it must be.

And texts with their words, as ``splitQuery`` in the browser and ``words`` in ``_ext/search.py``
split them.
"""

QUERIES = [
    # English
    ("peephole", "chapters/lstm", 1),
    ("forget gate", "chapters/lstm", 1),
    ("reset gate", "chapters/gru", 1),
    ("update gate", "chapters/gru", 1),
    ("GRU", "chapters/gru", 1),
    ("LSTM", "chapters/lstm", 1),
    ("Elman", "chapters/elman", 1),
    ("vanishing gradient", "chapters/gradients", 1),
    ("exploding gradients", "chapters/gradients", 1),
    ("highway", "chapters/sru", 1),
    ("KL divergence", "chapters/vrnn", 1),
    ("dropout", "chapters/composition", 1),
    ("multiply-adds", "chapters/fast", 2),
    ("weather", "chapters/forecasting", 1),
    ("convert weights from Keras", "chapters/rosetta", 1),
    ("test vectors", "chapters/vectors", 1),
    ("errata", "chapters/errata", 1),
    ("exercises", "reference/exercises", 1),
    # names in code
    ("linear_before_reset", "chapters/rosetta", 1),
    ("pack_padded_sequence", "chapters/composition", 3),
    ("weight_ih", "reference/api/cells", 1),
    ("weight_hh", "reference/api/cells", 1),
    ("proj_size", "chapters/lstm", 3),
    ("ElmanParams", "reference/api/cells", 1),
    # symbols
    ("σ", "chapters/glance", 3),
    ("δh", "chapters/gru", 3),
    ("∂", "chapters/elman", 3),
    ("⊙", "chapters/lstm", 3),
    ("W_i", "chapters/lstm", 2),
    ("U_n", "chapters/gru", 1),
    ("h_{t-1}", "chapters/gru", 3),
    (r"\delta_r", "chapters/gru", 1),
    # Chinese: first the page in Chinese where it has the term, then the English chapters
    ("遗忘门", "reference/zh", 1),
    ("遗忘门", "chapters/lstm", 2),
    ("梯度消失", "reference/zh", 1),
    ("梯度消失", "chapters/gradients", 2),
    ("门控循环单元", "chapters/gru", 3),
    ("重置门", "chapters/gru", 3),
    ("窥视孔连接", "chapters/lstm", 3),
    ("变分推断", "chapters/vrnn", 3),
    ("勘误", "reference/zh", 1),
]

WORDS = [
    ("the forget gate", ["the", "forget", "gate"]),
    ("门", ["门"]),
    ("遗忘门", ["遗忘", "忘门"]),
    ("GRU的重置门。", ["GRU", "的重", "重置", "置门"]),
    ("ＧＲＵ", ["GRU"]),  # as a Chinese keyboard may write it
    ("σ", ["sigma"]),
    ("Σ", ["sigma"]),
    ("𝜎", ["sigma"]),  # as copied from a paper
    (r"\sigma(W_i x_t)", ["sigma", "W_i", "x_t"]),
    ("δh", ["delta", "h"]),
    (r"\delta_{r,t}", ["delta", "rt"]),
    (r"\varepsilon \odot \pdi h", ["epsilon", "odot", "partial", "h"]),
    ("∂L/∂h", ["partial", "L", "partial", "h"]),
    ("h_{t-1}", ["h_t1"]),
    ("W_{hh}", ["W_hh"]),
    (r"\frac{a}{b} \qquad \mathrm{in}", ["a", "b", "in"]),
    ("weight_hh", ["weight_hh"]),
    ("_backward", ["backward"]),
    ("rnn_ref.gru.GRU", ["rnn_ref", "gru", "GRU"]),
    ("Jürgen 1997, 12", ["Jürgen"]),
    ("", []),
]
