"""The process that downloads one model: `python -m emoscope.models.worker JOB`, started by `download.fetch`.

A download grows in a hidden folder beside its destination, and is renamed only when every file is there with the hash
that the hub lists. It says how far it is in lines of JSON on stdout.
"""

import contextlib
import json
import os
import shutil
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TextIO, TypeAlias

from emoscope import child
from emoscope.errors import ModelError, StorageError
from emoscope.models.catalogue import HUBS, PUBLISHED, Contents, Published
from emoscope.models.download import Job, is_whole
from emoscope.models.folders import UNFINISHED
from emoscope.models.hubs import (
    OTHER,
    Hub,
    HubError,
    HuggingFace,
    ModelScope,
    Offer,
    RemoteFile,
    disk_sentence,
    incomplete,
)
from emoscope.models.lock import alone
from emoscope.models.manifest import MANIFEST, Manifest, fingerprint, size_of

Clients: TypeAlias = Mapping[str, Callable[[], Hub]]

RESERVE = 100_000_000  # bytes to be left free on the disk


@dataclass
class Watch:
    """What is being done, for the process that listens."""

    what: str = "Preparing the download"
    files: list[tuple[Path, int]] = field(default_factory=list)  # where each file will be, and its size in bytes

    def message(self) -> dict[str, object]:
        """Say what is being done and how far, counting the bytes on disk."""
        total = sum(size for _, size in self.files)
        there = sum(min(_present(target), size) for target, size in self.files)
        amount = f" ({there / 1e6:,.0f} of {total / 1e6:,.0f} MB)" if total else ""
        return {"what": self.what + amount, "done": there / total if total else 0.0}


def main(job: Job, out: TextIO) -> None:
    """Do a job and report on it."""
    watch = Watch()
    child.answer(lambda: obtain(PUBLISHED[job.name], Path(job.models), clients(job), watch), watch.message, out)


def clients(job: Job) -> Clients:
    """Return what builds each hub's client; only building one imports its library."""
    known: Clients = {
        "modelscope": lambda: ModelScope(Path(job.scratch)),
        "huggingface": lambda: HuggingFace(job.retries, job.patience),
    }
    return {hub: known[hub] for hub in job.hubs}


def obtain(model: Published, models: Path, clients: Clients, watch: Watch) -> None:
    """Get a model from the first hub that serves it, unless another process does so meanwhile."""

    def waiting() -> None:
        watch.what = f"Waiting for another download of {model.title}"

    folder, part = models / model.folder, model.part(models)
    try:
        models.mkdir(parents=True, exist_ok=True)
        with alone(models, model.folder, waiting):
            if is_whole(model.name, models):
                return
            _refuse_to_overwrite(folder)
            if not (part / MANIFEST).exists() or (part / UNFINISHED).exists():  # else only the last step is missing
                _from_any(model, models, clients, watch)
            _put_in_place(part, folder)
    except OSError as error:
        raise StorageError(disk_sentence(error)) from error


def _refuse_to_overwrite(folder: Path) -> None:
    if folder.is_symlink() or (folder.exists() and not (folder / MANIFEST).exists() and any(folder.iterdir())):
        raise StorageError(f"{folder} is no whole model, and Emoscope did not make it. Move it away, then try again.")


def _from_any(model: Published, models: Path, clients: Clients, watch: Watch) -> None:
    """Ask the hubs in turn, each once. Raises ModelError with every hub's reason."""
    reasons = []
    for hub, client in clients.items():
        watch.what = f"Asking {HUBS[hub]} for {model.title}"
        try:
            _from_one(model, models, hub, client(), watch)
        except HubError as error:
            reasons.append(f"{HUBS[hub]} {error}")
        else:
            return
    raise ModelError(
        f"{model.title} could not be downloaded: {'; '.join(reasons)}. What has arrived is kept, and "
        f"{model.command} goes on from there."
    )


def _from_one(model: Published, models: Path, hub: str, client: Hub, watch: Watch) -> None:
    """Bring every wanted file into the part folder, then write the manifest."""
    repo, part = model.repos[hub], model.part(models)
    offer = client.offer(repo)
    files = wanted(offer, model.contents)
    _prepare(part, files, model.contents.all)
    _reuse(models / model.folder, part, files)
    _check_space(model, part, files)
    watch.files = [(part / file.path, file.size) for file in files]
    for file in files:
        watch.what = f"Downloading {file.path} from {HUBS[hub]}"
        _bring(client, repo, offer.revision, file, part)
    watch.what = f"Finishing {model.title}"
    Manifest(
        model=model.folder,
        hub=HUBS[hub],
        repo=repo,
        revision=offer.revision,
        date=datetime.now(UTC).isoformat(timespec="seconds"),
        licence=model.licence,
        authors=model.authors,
        files={file.path: _record(part / file.path, file) for file in files},
    ).write(part)
    (part / UNFINISHED).unlink()


def wanted(offer: Offer, contents: Contents) -> list[RemoteFile]:
    """Choose the files that inference needs, small ones first. Raises HubError when the offer cannot be used."""
    sure = {file.path: file for file in offer.files if file.digest and file.size > 0}
    found = [next((path for path in group if path in sure), None) for group in contents.required]
    if None in found:
        missing = [" or ".join(group) for group, path in zip(contents.required, found, strict=True) if path is None]
        raise HubError(f"does not offer {' and '.join(missing)} with a size and a hash")
    paths = dict.fromkeys([*found, *contents.welcome])
    return sorted((sure[path] for path in paths if path in sure), key=lambda file: file.size)


def _prepare(part: Path, files: Iterable[RemoteFile], possible: Iterable[str]) -> None:
    """Keep of an earlier attempt what still belongs to the same files, and drop the rest."""
    plan = {file.path: [file.kind, file.digest] for file in files}
    try:
        before = dict(json.loads((part / UNFINISHED).read_text("utf-8")))
    except (OSError, ValueError, TypeError):
        before = {}
        if part.exists():  # nobody knows what it is
            shutil.rmtree(part)
    part.mkdir(exist_ok=True)
    for path in possible:
        if before.get(path) != plan.get(path):
            (part / path).unlink(missing_ok=True)
            incomplete(part / path).unlink(missing_ok=True)
    (part / UNFINISHED).write_text(json.dumps(plan), "utf-8")


def _reuse(folder: Path, part: Path, files: Iterable[RemoteFile]) -> None:
    """Take over from a damaged model what is not damaged, so that a repair is quick."""
    for file in files:
        if not (part / file.path).exists() and matches(folder / file.path, file):
            (part / file.path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(folder / file.path, part / file.path)


def _check_space(model: Published, part: Path, files: Iterable[RemoteFile]) -> None:
    needed = sum(max(file.size - _present(part / file.path), 0) for file in files) + RESERVE
    free = shutil.disk_usage(part).free
    if needed > free:
        raise StorageError(
            f"{model.title} needs {needed / 1e6:,.0f} MB on the disk of {part.parent}, but {free / 1e6:,.0f} MB are "
            "free. Make room, or set EMOSCOPE_MODELS to a folder on a larger disk."
        )


def _bring(client: Hub, repo: str, revision: str, file: RemoteFile, part: Path) -> None:
    """Get one file, and refuse it when it is not what the hub lists."""
    target = part / file.path
    if matches(target, file):
        return
    target.unlink(missing_ok=True)
    client.get(repo, revision, file, part)
    if not matches(target, file):
        target.unlink(missing_ok=True)
        raise HubError(f"sent {file.path} {OTHER}")


def matches(target: Path, file: RemoteFile) -> bool:
    """Say whether a file on disk is the one that the hub lists."""
    return size_of(target) == file.size and fingerprint(target, file.kind) == file.digest


def _present(target: Path) -> int:
    """Return how many bytes of a file have arrived."""
    return max(size_of(target), size_of(incomplete(target)), 0)


def _record(target: Path, file: RemoteFile) -> dict[str, int | str]:
    with target.open("rb+") as stream:
        os.fsync(stream.fileno())  # the rename must not reach the disk before the bytes do
    return {"bytes": file.size, "sha256": file.digest if file.kind == "sha256" else fingerprint(target)}


def _put_in_place(part: Path, folder: Path) -> None:
    """Rename the finished part, in the place of what was damaged."""
    old = folder.with_name(f".{folder.name}.old")
    if old.exists():
        shutil.rmtree(old)
    if folder.exists():
        folder.rename(old)
    part.rename(folder)
    shutil.rmtree(old, ignore_errors=True)


if __name__ == "__main__":
    with contextlib.redirect_stdout(sys.stderr):  # nothing that a library prints may mix with the messages
        main(Job(**json.loads(sys.argv[1])), sys.__stdout__ or sys.stderr)
