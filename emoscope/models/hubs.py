"""ModelScope and Hugging Face, each through its own library: what a repository offers, and one file of it.

Only the worker process imports this; its environment keeps both libraries quiet (see `download.py`).
"""

import errno
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from emoscope import __version__
from emoscope.errors import StorageError

CHUNK = 256 * 1024  # bytes; by default Hugging Face's library loses up to 10 MB when a connection breaks


@dataclass(frozen=True)
class RemoteFile:
    """A file as a hub lists it."""

    path: str
    size: int  # bytes
    kind: str  # "sha256", or "git" where a hub keeps a small file in Git and tells only Git's name for its content
    digest: str


@dataclass(frozen=True)
class Offer:
    """What a repository holds at one revision."""

    revision: str
    files: tuple[RemoteFile, ...]


class HubError(Exception):
    """Why a hub did not serve, in words that follow its name: "could not be reached"."""


class Hub(Protocol):
    """A place that models are downloaded from."""

    def offer(self, repo: str) -> Offer:
        """List a repository."""

    def get(self, repo: str, revision: str, file: RemoteFile, folder: Path) -> None:
        """Put a file into the folder, going on from what lies in `incomplete(folder / file.path)`."""


def incomplete(target: Path) -> Path:
    """Return where a file grows until it has all its bytes; ModelScope's library has this name built in."""
    return target.with_name(f"{target.name}.incomplete")


class ModelScope:
    """ModelScope, through `modelscope_hub`."""

    def __init__(self, scratch: Path) -> None:
        """`scratch` takes what the library wants to remember."""
        import modelscope_hub

        self._errors = modelscope_hub.HubError
        self._mismatch = modelscope_hub.FileIntegrityError
        # An empty token sends none, even where the person is signed in.
        self._api = modelscope_hub.HubApi(modelscope_hub.HubConfig(cache_dir=scratch, config_dir=scratch, token=""))

    def offer(self, repo: str) -> Offer:
        """List a repository; every file comes with its SHA-256."""
        with _blaming_the_hub(repo, self._errors):
            listed = [file for file in self._api.list_repo_files(repo, "model", revision="master") if not file.is_dir]
            return Offer(
                "master", tuple(RemoteFile(file.path, file.size, "sha256", file.sha256 or "") for file in listed)
            )

    def get(self, repo: str, revision: str, file: RemoteFile, folder: Path) -> None:
        """Download one file."""
        with _blaming_the_hub(repo, self._errors):
            try:
                # Without the hash, because the library would fetch a wrong file three times; the worker compares it.
                self._api.download_file(
                    repo, "model", file.path, revision=revision, local_dir=folder, file_size=file.size
                )
            except self._mismatch as error:
                raise HubError(f"sent {file.path} {OTHER}") from error


class HuggingFace:
    """Hugging Face, through `huggingface_hub`."""

    def __init__(self, retries: int, patience: float) -> None:
        """Retry a broken connection so many times; wait so many seconds for an answer."""
        import httpx2
        from huggingface_hub import HfApi, constants, set_client_factory

        if constants.is_offline_mode():
            raise HubError("is switched off by HF_HUB_OFFLINE")
        constants.DOWNLOAD_CHUNK_SIZE = CHUNK
        self._errors, self._retries, self._patience = httpx2.HTTPError, retries, patience
        self._api = HfApi(token=False, library_name="emoscope", library_version=__version__)
        hooks = {"response": [_refuse_to_wait]}
        set_client_factory(lambda: httpx2.Client(event_hooks=hooks, follow_redirects=True, timeout=patience))

    def offer(self, repo: str) -> Offer:
        """List a repository; files in LFS come with their SHA-256, small ones with Git's name for their content."""
        with _blaming_the_hub(repo, self._errors):
            info = self._api.model_info(repo, files_metadata=True, timeout=self._patience)
            return Offer(info.sha or "main", tuple(map(_remote_file, info.siblings or ())))

    def get(self, repo: str, revision: str, file: RemoteFile, folder: Path) -> None:
        """Download one file."""
        from huggingface_hub import hf_hub_url
        from huggingface_hub.file_download import http_get  # `hf_hub_download` starts anew after a kill

        target = folder / file.path
        part = incomplete(target)
        with _blaming_the_hub(repo, self._errors):
            target.parent.mkdir(parents=True, exist_ok=True)
            if part.exists() and part.stat().st_size > file.size:
                part.unlink()
            try:
                with part.open("ab") as stream:
                    http_get(
                        hf_hub_url(repo, file.path, revision=revision),
                        stream,
                        resume_size=stream.tell(),
                        headers={"User-Agent": f"emoscope/{__version__}", "Accept-Encoding": "identity"},
                        expected_size=file.size,
                        _nb_retries=self._retries,
                    )
            except OSError as error:
                if "Consistency check failed" not in str(error):  # the library has no type of its own for it
                    raise
                part.unlink()
                raise HubError(f"sent {file.path} {OTHER}") from error
            part.replace(target)


def _remote_file(sibling: Any) -> RemoteFile:
    if sibling.lfs is not None:
        return RemoteFile(sibling.rfilename, sibling.lfs.size, "sha256", sibling.lfs.sha256)
    return RemoteFile(sibling.rfilename, sibling.size or 0, "git", sibling.blob_id or "")


class _StatusError(Exception):
    def __init__(self, status_code: int) -> None:
        super().__init__(status_code)
        self.status_code = status_code


def _refuse_to_wait(response: Any) -> None:
    """Give up where the library would wait, silently and for as long as the server likes."""
    if response.status_code in (408, 429):
        raise _StatusError(response.status_code)


OTHER = "with another size or hash than it lists, so it was thrown away"
BROKEN = "could not be reached, or the connection broke off"
# What went wrong below the library, most telling first, and how to say it after the hub's name.
CAUSES: tuple[tuple[type[BaseException], str], ...] = (
    (socket.gaierror, "could not be reached (its name was not found)"),
    (ssl.SSLError, "could not be reached (no secure connection came about)"),
    (ConnectionRefusedError, "could not be reached (the connection was refused)"),
    (TimeoutError, "did not answer in time"),
    (ValueError, "gave an answer that makes no sense (is there a sign-in page in between?)"),
    (TypeError, "gave an answer that makes no sense"),
    (LookupError, "gave an answer that makes no sense"),
)
STATUS = {
    401: "refuses access to {repo} (401)",
    403: "refuses access to {repo} (403)",
    404: "does not have {repo} (404)",
    429: "is asked too much from here just now (429)",
}
FULL = {errno.ENOSPC, errno.EDQUOT}
OF_THE_DISK = FULL | {errno.EROFS, errno.EIO, errno.EFBIG}


@contextmanager
def _blaming_the_hub(repo: str, errors: type[Exception]) -> Iterator[None]:
    """Turn what a library raises into a HubError, or into a StorageError where our own disk is to blame."""
    try:
        yield
    except (errors, _StatusError, OSError, ValueError, TypeError, LookupError, AttributeError) as error:
        raise explain(error, repo) from error


def explain(error: BaseException, repo: str) -> Exception:
    """Find the words for an error, looking through everything that led to it."""
    links = list(_chain(error))
    for link in links:
        if isinstance(link, OSError) and (link.errno in OF_THE_DISK or link.filename is not None):
            return StorageError(disk_sentence(link))
    for link in links:
        status = getattr(link, "status_code", None) or getattr(getattr(link, "response", None), "status_code", None)
        if isinstance(status, int) and status >= 400:
            return HubError(STATUS.get(status, "has trouble of its own ({status})").format(repo=repo, status=status))
    return HubError(next((words for kind, words in CAUSES if any(isinstance(link, kind) for link in links)), BROKEN))


def disk_sentence(error: OSError) -> str:
    """Say what is wrong with our own disk, and what to do."""
    if error.errno in FULL:
        return (
            "The disk is full. What has arrived is kept: make room and try again, or set EMOSCOPE_MODELS to a folder "
            "on a larger disk."
        )
    place = f" ({error.filename})" if error.filename else ""
    return f"The model cannot be written{place}: {error.strerror or error}. EMOSCOPE_MODELS can name another folder."


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """Return an error and everything that led to it, outermost first."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or error.__context__
