"""Figures that are played: what the page holds is what the layer computed, and nothing else."""

import json
import re
from collections import Counter

import numpy as np
import pytest
from book import player
from book.player import play

from rnn_ref import GRU, LSTM, SRU, VRNN, ElmanRNN

T, N, ROW = 7, 2, 1
LAYERS = {
    "elman": ElmanRNN(6, 8),
    "lstm": LSTM(6, 3),
    "gru": GRU(2, 5),
    "sru": SRU(2, 5),
    "vrnn": VRNN(1, 2, 6, GRU(12, 5), std_floor=0.01),
}
READS = [f"reads <{t}> & more" for t in range(T)]
STRIPS = {"elman": "h", "lstm": "fic", "gru": "zh", "sru": "xuc", "vrnn": ["mu_0", "z", "x"]}


def cache_of(kind, seed=0):
    layer, rng = LAYERS[kind], np.random.default_rng(seed)
    params, x = layer.init_params(rng), rng.normal(size=(T, N, layer.input_size))
    if kind == "vrnn":
        return layer.elbo(params, x, rng.normal(size=(T, N, layer.latent_size))).cache
    return layer.forward(params, x)[2]


def page(kind, seed=0, **options):
    options = {
        "alt": "a picture",
        "row": ROW,
        "over_time": STRIPS[kind],
        "marks": "abc<&fg",
    } | options
    return play(cache_of(kind, seed), READS, **options).data


def data_in(html):
    return json.loads(re.search(r'<script class="player-data"[^>]*>(.*?)</script>', html)[1])


def rows_of(html):
    """The table: label of each row and its value."""
    rows = re.findall(r'<th scope="row">(.*?)</th><td>(.*?)</td>', html)
    return [re.sub(r"<[^>]+>", "", label) for label, _ in rows], [
        float(value.replace("−", "-")) for _, value in rows
    ]


def expected(kind, name, cache):
    """The quantity that a row's label names, over time, from the cache."""
    name = name.replace("μ", "mu_").replace("σ", "sigma_")
    letter, index = re.fullmatch(r"(mu_[0zx]|sigma_[0zx]|[a-z])(.*)", name).groups()
    back = "t−1" in index
    entry = int(found[1]) - 1 if (found := re.search(r",(\d+)$", index)) else 0
    values = getattr(cache, letter)
    if len(values) > T:
        values = values[:-1] if back else values[1:]
    return values[:, ROW, entry]


@pytest.mark.parametrize("kind", LAYERS)
def test_every_number_is_the_caches(kind):
    cache, html = cache_of(kind), page(kind, start=3)
    data, (labels, shown) = data_in(html), rows_of(html)
    wanted = np.stack([expected(kind, label, cache) for label in labels], axis=1)
    assert np.abs(np.array(data["values"]) - wanted).max() < 0.00501
    assert np.array_equal(shown, data["values"][2])
    letters = {label[0] for label in labels}
    assert letters >= set({"elman": "h", "lstm": "ifgoch", "gru": "xrznmh"}.get(kind, "xh"))


@pytest.mark.parametrize("kind", LAYERS)
def test_each_bar_shows_its_number_and_stays_in_its_frame(kind):
    html = page(kind, start=4)
    values = data_in(html)["values"]
    bars = re.findall(r'data-k="(\d+)" data-full="([^"]+)" .*?scaleY\(([^)]+)\)', html)
    assert len(bars) == len(values[0]), "a bar beside the diagram for every number of the table"
    for k, full, length in bars:
        assert abs(float(length) - values[3][int(k)] / float(full)) < 0.001
        assert max(abs(step[int(k)]) for step in values) <= float(full)


@pytest.mark.parametrize("kind", ["lstm", "gru", "sru"])
def test_strips_are_the_quantities_over_time(kind):
    cache, html = cache_of(kind), page(kind)
    strips = re.findall(r'class="player-strip".*?d="([^"]*)"', html)
    shown = np.array([[float(v) for v in re.findall(r"v(-?[\d.]+)", d)] for d in strips])
    shown = -shown.T  # a bar goes up, where y is less
    letters = STRIPS[kind]
    wanted = np.hstack([getattr(cache, name)[-T:, ROW, :4] for name in letters])
    for entry, full in zip(wanted.T, shown.T, strict=True):
        scale = full[np.abs(entry).argmax()] / entry[np.abs(entry).argmax()]
        assert scale > 0
        assert np.abs(full - scale * entry).max() < 0.2


def test_what_is_compared_has_one_scale():
    for kind, groups in player.ALIKE.items():
        html = page(kind)
        labels, _ = rows_of(html)
        full = {labels[int(k)]: f for k, f in re.findall(r'data-k="(\d+)" data-full="(.*?)"', html)}
        for group in groups:
            letters = [player._label(name).replace("</sub>", "") for name in group]
            letters = [re.sub(r"<[^>]+>", "", letter) for letter in letters]
            for entry in ("", ",1", ",2"):
                assert len({full[name + entry] for name in letters if name + entry in full}) <= 1


def test_units_are_chosen_and_named():
    cache, html = cache_of("gru"), page("gru", units=[4, 0], over_time="z")
    labels, shown = rows_of(html)
    assert [label for label in labels if label[0] == "z"] == ["zt,5", "zt,1"]
    assert shown[labels.index("zt,5")] == round(float(cache.z[0, ROW, 4]), 2)


def test_extra_quantities_have_a_strip_and_a_row():
    values = np.linspace(-1, 20, T)
    html = page("lstm", extra={"warmth <°F>": values}, start=T)
    assert html.count("warmth &lt;°F&gt;") == 3  # strip, scale, table
    assert [step[-1] for step in data_in(html)["values"]] == pytest.approx(values, abs=0.00501)


def test_two_figures_share_no_id_and_every_reference_is_answered():
    figures = [page("lstm"), page("lstm", seed=1), page("gru"), page("vrnn")]
    ids = Counter(name for html in figures for name in re.findall(r' id="([^"]+)"', html))
    assert ids and max(ids.values()) == 1
    for html in figures:
        assert set(re.findall(r'href="#([^"]+)"', html)) == set(re.findall(r' id="([^"]+)"', html))


@pytest.mark.parametrize("kind", LAYERS)
def test_nothing_from_outside_and_small(kind):
    html = page(kind)
    assert not re.search(r"\w:?//|url\(|@import| src=", html)
    assert len(html.encode()) < 60_000


def test_the_same_bytes_every_time_and_one_script():
    assert page("sru") == page("sru")
    script = (player.HERE / "player.js").read_text("utf8").strip()
    style = (player.HERE / "player.css").read_text("utf8").strip()
    for kind in LAYERS:
        html = page(kind)
        assert html.endswith(f"<script>{script}</script></div>")
        assert f"<style>{style}</style>" in html


def test_without_scripts_a_step_is_shown_and_the_controls_are_not():
    html = page("lstm", start=3)
    for control in ("player-controls", "player-slider"):
        tags = re.findall(rf'<[^>]*class="{control}"[^>]*>', html)
        assert tags and all(tag.endswith("hidden>") for tag in tags)
    assert "<output>Step 3 of 7: reads &lt;2&gt; &amp; more</output>" in html
    assert re.search(r"<text [^>]*>c</text>", html), "the letter that is read"


def test_text_of_the_caller_cannot_end_the_script():
    html = play(
        cache_of("lstm"), ["</script><b>"] * T, marks=["<"] * T, alt='"<', over_time="c"
    ).data
    assert html.count("</script>") == 2
    assert html.count("<span>&lt;</span>") == T
    assert "<b>" not in re.sub(r"(?s)<script.*?</script>", "", html)
    assert data_in(html)["says"][0] == "Step 1 of 7: </script><b>"


def test_wrong_arguments_are_refused():
    cache = cache_of("gru")
    for change, message in [
        ({"alt": " "}, "alt: expected a description"),
        ({"reads": READS[1:]}, "reads: expected one text for each of T = 7 steps, got 6"),
        ({"marks": "ab"}, "marks: expected one text for each of T = 7 steps, got 2"),
        ({"units": [5]}, "units: expected 1 to 4 units of 0 ... 4, got [5]"),
        ({"units": []}, "units: expected 1 to 4 units of 0 ... 4, got []"),
        ({"units": range(5)}, "units: expected 1 to 4 units"),
        ({"over_time": "zq"}, "over_time: expected names out of x, r, m, z, n, h, got 'q'"),
        ({"extra": {"P": np.zeros(3)}}, "extra['P']: expected shape (T,) = (7,), got (3,)"),
        ({"start": 0}, "start: expected a step of 1 ... 7, got 0"),
        ({"start": 8}, "start: expected a step of 1 ... 7, got 8"),
        ({"row": 2}, "row: expected a row of 0 ... 1, got 2"),
    ]:
        options = {"cache": cache, "reads": READS, "alt": "a"} | change
        with pytest.raises(ValueError, match=re.escape(message)):
            play(**options)


def test_only_caches_of_cells_that_have_a_picture():
    with pytest.raises(TypeError, match="cache: expected that of ElmanRNN, LSTM"):
        play(np.zeros(3), [], alt="a")
    layer, rng = LSTM(2, 3, peephole=True), np.random.default_rng(0)
    _, _, cache = layer.forward(layer.init_params(rng), np.zeros((T, 1, 2)))
    with pytest.raises(
        ValueError, match="cache: expected that of a layer with the default peephole"
    ):
        play(cache, READS, alt="a")
    layer = GRU(2, 3)
    _, _, cache = layer.forward(layer.init_params(rng), np.zeros((0, 1, 2)))
    with pytest.raises(ValueError, match="cache: expected at least one step, got T = 0"):
        play(cache, [], alt="a")
