"""Lengths and sizes as people say them."""


def length(seconds: float) -> str:
    """Return "3 h 12 min", "2 min 5 s" or "3.2 s"."""
    if seconds < 59.95:
        return f"{seconds:.1f}".removesuffix(".0") + " s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s" if rest else f"{minutes} min"
    hours, minutes = divmod(round(seconds / 60), 60)
    return f"{hours} h {minutes} min" if minutes else f"{hours} h"


def megabytes(count: int) -> str:
    """Return "612 MB" or "0.4 MB"; a megabyte is a million bytes."""
    return f"{count / 1e6:.0f} MB" if count >= 9.95e6 else f"{count / 1e6:.1f}".removesuffix(".0") + " MB"
