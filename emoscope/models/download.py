"""Getting a published model: a process of its own downloads it, and this one listens to how it goes.

The hubs' libraries read the environment when they are imported, print progress bars, wait and retry where nobody can
stop them, and keep tokens and identifiers in the home folder. A process of their own has its own environment, and can
be ended at any moment: what has arrived lies in a hidden folder, and the next attempt goes on from there.
"""

import os
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from emoscope import child
from emoscope.errors import ModelError, OptionError
from emoscope.models.catalogue import HUBS, PUBLISHED, Published
from emoscope.models.folders import is_model
from emoscope.models.store import quiet, verify
from emoscope.settings import Settings

if TYPE_CHECKING:
    from emoscope.results import Progress

RETRIES = 3  # after a connection broke off; each goes on where the last one stopped
PATIENCE = 30  # seconds without a byte
SECRETS = ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "HF_TOKEN_PATH", "MODELSCOPE_API_TOKEN")  # public models need none


@dataclass(frozen=True)
class Job:
    """What the worker is asked to do."""

    name: str  # of a published model
    models: str  # the folder of all models
    hubs: list[str]  # to be asked in this order
    scratch: str  # a folder for what the hubs' libraries want to remember
    retries: int = RETRIES
    patience: int = PATIENCE  # seconds


def fetch(name: str, settings: Settings, progress: "Progress" = quiet) -> Path:
    """Make sure that the published model `name` is on disk and whole, downloading what is missing; return its folder.

    The models that it works with are fetched first. Several threads and processes may call this at once: one downloads,
    the others wait. `progress` may raise `Cancelled`; what has arrived by then is kept. Each hub is asked once. Raises
    ModelError or StorageError.
    """
    if name not in PUBLISHED:
        raise ModelError(f"“{name}” cannot be downloaded. The models that can are {', '.join(PUBLISHED)}.")
    if settings.hub not in ("auto", *HUBS):
        raise OptionError(f"EMOSCOPE_HUB is auto, {' or '.join(HUBS)}, not “{settings.hub}”.")
    model, models = PUBLISHED[name], settings.models.absolute()
    for companion in model.companions:
        fetch(companion, settings, progress)
    if not is_whole(name, models, progress):
        if settings.offline:
            raise ModelError(f"{model.title} is not on disk, and EMOSCOPE_OFFLINE forbids downloads. Unset it, once.")
        with tempfile.TemporaryDirectory(prefix="emoscope-") as scratch:
            _work(Job(name, str(models), _hubs(model, settings.hub), scratch, RETRIES, PATIENCE), progress)
    return models / model.folder


def _hubs(model: Published, chosen: str) -> list[str]:
    """Return the hubs that are to be asked for a model, in this order."""
    hubs = [hub for hub in model.repos if chosen in ("auto", hub)]
    if not hubs:
        places = " and ".join(HUBS[hub] for hub in model.repos)
        raise ModelError(f"{model.title} is only published at {places}. Set EMOSCOPE_HUB to auto.")
    return hubs


def is_whole(name: str, models: Path, progress: "Progress" = quiet) -> bool:
    """Say whether a published model is on disk and every file is what its manifest says, where it has one."""
    if not is_model(models / PUBLISHED[name].folder, PUBLISHED[name].kind):
        return False
    try:
        verify(name, models, progress)
    except ModelError:
        return False
    return True


def _work(job: Job, progress: "Progress") -> None:
    """Let a process do the job. Ending it loses nothing: see the first lines of this module."""
    if not child.run("emoscope.models.worker", asdict(job), environment(), progress):
        raise ModelError("The download stopped for a reason that the log tells. Try again; it goes on where it was.")


def environment() -> dict[str, str]:
    """Return the worker's environment: the person's own proxies, certificates and endpoints, and quiet libraries."""
    mine = {name: value for name, value in os.environ.items() if name not in SECRETS}
    return mine | {
        "PYTHONUTF8": "1",
        "TQDM_DISABLE": "1",
        "HF_HUB_DISABLE_IMPLICIT_TOKEN": "1",
        "HF_HUB_DISABLE_PROGRESS_BARS": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",  # else it also fetches a list of programs, to recognise who is calling
        "HF_HUB_DISABLE_UPDATE_CHECK": "1",
        "HF_HUB_DISABLE_XET": "1",  # it asks further hosts, and cannot go on where it stopped
        "HF_HUB_DOWNLOAD_TIMEOUT": str(PATIENCE),
        "MODELSCOPE_LOG_LEVEL": "CRITICAL",
        "MODELSCOPE_DOWNLOAD_FILE_LOCK": "false",  # ours covers the whole model
        "MODELSCOPE_DOWNLOAD_INTRA_CLOUD": "false",  # it asks a further host where in the cloud we are
        "MODELSCOPE_DOWNLOAD_INTER_CLOUD_REGIONS": "",
        "MODELSCOPE_DOWNLOAD_MAX_RETRIES": str(RETRIES),
        "MODELSCOPE_DOWNLOAD_RETRY_MAX_DELAY_SECONDS": "1",  # a server may ask for more; the person decides
        "MODELSCOPE_DOWNLOAD_PARALLEL_WORKERS": "1",
        "MODELSCOPE_DOWNLOAD_TIMEOUT": str(PATIENCE),
        "MODELSCOPE_DOWNLOAD_TOTAL_TIMEOUT": str(7 * 24 * 3600),  # an hour would end a slow but steady download
        "MODELSCOPE_REPO_TREE_PAGE_MAX_ATTEMPTS": "1",
        "MODELSCOPE_REPO_TREE_PAGE_TIMEOUT_SECONDS": str(PATIENCE),
    }
