"""Texts in cells of a spreadsheet: whatever somebody called a file, none of them becomes a formula."""

DANGEROUS = tuple("=+-@|\t\r\n＝＋－＠")  # a spreadsheet may run a cell that begins with one of these
QUOTE = "'"  # in front of it a spreadsheet shows the cell as text


def harmless(text: str) -> str:
    """Put a quote before a text that a spreadsheet would take for a formula; `plain` takes it away."""
    return QUOTE + text if text.lstrip(" ").startswith((*DANGEROUS, QUOTE)) else text


def plain(text: str) -> str:
    """Return the text that `harmless` was given."""
    return text[1:] if text.startswith(QUOTE) else text
