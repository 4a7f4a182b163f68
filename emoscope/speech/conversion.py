"""Slim weights with a certificate, made by a process of their own.

FunASR's loader takes gigabytes for a moment, and importing FunASR changes the process; both end with the child.
"""

import os
from pathlib import Path

from emoscope import child
from emoscope.certificate import Certificate
from emoscope.errors import ModelError
from emoscope.results import Progress

UNSAFE = "TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD"  # would let FunASR's loader run code that a checkpoint holds


def convert(folder: Path, progress: Progress) -> Certificate:
    """Write `model.safetensors` and `certificate.json` from the folder's `model.pt`, and return the certificate.

    Where our network differs from FunASR's, only the certificate is written, and says so. Raises ModelError and
    StorageError, and whatever `progress` raises; the folder is then as it was.
    """
    environment = {name: value for name, value in os.environ.items() if name != UNSAFE} | {"PYTHONUTF8": "1"}
    if not child.run("emoscope.speech.certify", {"folder": str(folder.absolute())}, environment, progress):
        raise ModelError(
            f"The comparison of {folder.name} with FunASR stopped, perhaps for want of memory; the log tells more. "
            "“./run.sh models certify” tries again."
        )
    certificate = Certificate.read(folder)
    if certificate is None:
        raise ModelError(f"The comparison of {folder.name} with FunASR left no certificate.")
    return certificate
