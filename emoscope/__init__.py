"""Emoscope hears and reads emotion: one verdict, and nine emotions along time."""

__version__ = "0.1.0"
