"""Every analysis of the past: its files, and a row in SQLite or PostgreSQL to find it by."""

from emoscope.history.chosen import ORDERS, Filter
from emoscope.history.entry import Run
from emoscope.history.keeper import Keeper, Kept
from emoscope.history.nearness import MAPS
from emoscope.history.store import Chart, History, Reconciled, Similar
from emoscope.history.table import write_csv
from emoscope.history.trends import Day

__all__ = [
    "MAPS",
    "ORDERS",
    "Chart",
    "Day",
    "Filter",
    "History",
    "Keeper",
    "Kept",
    "Reconciled",
    "Run",
    "Similar",
    "write_csv",
]
