"""Images built from the Dockerfile without Docker: buildah, over a Debian that debootstrap makes. As root, on Linux."""

import json
import os
import shlex
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

from emoscope.settings import ROOT

PACKAGES = "python3-venv,ca-certificates"  # Debian 12 has Python 3.11
READ_ONLY = """
mount --rbind {root} {root}
mount -o remount,bind,ro {root}
mount -t proc proc {root}/proc
mount -t tmpfs -o mode=1777 tmpfs {root}/tmp
mount --rbind /dev {root}/dev
mount --bind {outputs} {root}/outputs
mount -t tmpfs -o mode=755,{owner} tmpfs {root}/models
exec chroot --userspec={user} {root} env -i -C {folder} {variables} {command}
"""


class Images:
    """A store of images of its own in `folder`, without a layer that is shared: it works on every file system."""

    def __init__(self, folder):
        self.folder = folder

    def buildah(self, *arguments):
        places = ("--root", self.folder / "storage", "--runroot", self.folder / "run", "--storage-driver", "vfs")
        (self.folder / "tmp").mkdir(parents=True, exist_ok=True)
        done = subprocess.run(
            ["buildah", *places, *arguments],
            env=os.environ | {"TMPDIR": str(self.folder / "tmp")},
            stdout=subprocess.PIPE,
            text=True,
        )
        assert done.returncode == 0, f"buildah {arguments[0]}: its message is above"
        return done.stdout.strip()

    def make_base(self, name):
        """Import Debian's own Python under the name of the official image, which no registry has to serve then."""
        tree = self.folder / "base"
        command = ["debootstrap", "--variant=minbase", f"--include={PACKAGES}", "bookworm", tree]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True)
        assert done.returncode == 0, done.stdout[-2000:]
        self.take(tree, name)

    def take(self, tree, name):
        container = self.buildah("from", "scratch")
        self.buildah("add", "--quiet", container, tree, "/")
        self.buildah("commit", "--quiet", "--format", "docker", container, name)
        self.buildah("rm", container)

    def build(self, tag, **arguments):
        """Build the image; pip finds its packages as it does on this machine."""
        options = [f"--volume={self._pip_configuration()}:/etc/pip.conf:ro"]
        options += [f"--volume={path}:{path}:ro" for path in sorted(_local_paths())]
        options += [f"--build-arg={name}={value}" for name, value in arguments.items()]
        self.buildah(
            *("build", "--isolation", "chroot", "--pull=false", "--format", "docker"), *options, "--tag", tag, ROOT
        )

    def configuration(self, tag):
        """Return what the image says about itself: user, environment, entry point, health check."""
        return json.loads(self.buildah("inspect", "--type", "image", tag))["Docker"]["config"]

    @contextmanager
    def tree(self, tag):
        """Mount the image's files."""
        container = self.buildah("from", "--pull=false", tag)
        try:
            yield Path(self.buildah("mount", container))
        finally:
            self.buildah("rm", container)

    def _pip_configuration(self):
        file = self.folder / "pip.conf"
        file.write_text("[global]\n" + "".join(f"{name} = {value}\n" for name, value in _pip_settings().items()))
        return file


def read_only(tree, config, outputs, *command, **variables):
    """Return what runs a command of the image as its user, who can write to /models, /outputs and /tmp only."""
    named = [*config["Env"], *(f"{name}={value}" for name, value in variables.items())]
    script = READ_ONLY.format(
        root=shlex.quote(str(tree)),
        outputs=shlex.quote(str(outputs)),
        user=config["User"],
        owner="uid={},gid={}".format(*config["User"].split(":")),
        folder=shlex.quote(config["WorkingDir"]),
        variables=shlex.join(named),
        command=shlex.join(command),
    )
    return ["unshare", "--mount", "sh", "-ec", script]


def _pip_settings():
    """What pip is told on this machine by files and variables, by name."""
    listed = subprocess.run(
        [sys.executable, "-m", "pip", "config", "list"], check=True, capture_output=True, text=True, cwd="/"
    )
    pairs = (line.partition("=") for line in listed.stdout.splitlines())
    return {name.split(".")[-1]: value.strip("'\"") for name, _, value in pairs}


def _local_paths():
    """The files and folders of this machine that pip is told of."""
    words = (word.removeprefix("file://") for value in _pip_settings().values() for word in value.split())
    for path in (Path(word) for word in words if word.startswith("/")):
        if path.exists():
            yield path.parent if path.name == "simple" else path  # an index of files has them beside it
