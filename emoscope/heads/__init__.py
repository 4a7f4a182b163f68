"""Trained fusion: a small head over the embeddings of speech and text, made from labelled pairs.

Importing this loads neither scikit-learn nor PyTorch: only `heads.training` needs them, applying a head does not.
"""

from emoscope.heads.head import COMMAND, FORMULAS, PREFIX, Head, Maker, load, names

__all__ = ["COMMAND", "FORMULAS", "PREFIX", "Head", "Maker", "load", "names"]
