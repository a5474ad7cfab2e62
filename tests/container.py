"""What a container does, without an engine: the image's files, read-only, for a user without rights, for tests.

The file system that a process sees has this machine's programs and Python's packages in place of the base image, and of
the project only what `.dockerignore` lets through. Everything is mounted read-only but what is said to be writable.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from ingest.settings import PROJECT

DOCKERFILE = PROJECT / "deploy" / "Dockerfile"
USER = 10001
_SETUP = r"""
set -e
bound() { mkdir -p "$root$2"; mount --rbind "$1" "$root$2"; mount -o "remount,bind,$3" "$root$2"; }
mount --make-rprivate /
mount -t tmpfs -o size=4m,mode=755 tmpfs "$root"
for name in bin lib lib32 lib64 sbin; do [ ! -e /$name ] || ln -s usr/$name "$root/$name"; done
for place in /usr /etc $packages; do bound $place $place ro; done
mkdir -p "$root/dev" "$root/proc"
mount --rbind /dev "$root/dev"
mount --rbind /proc "$root/proc"
mount --bind "$passwd" "$root/etc/passwd"
for one in $mounts; do IFS=: read -r from to mode <<< "$one"; bound "$from" "$to" "$mode"; done
for place in $tmpfs; do
  mkdir -p "$root$place"
  mount -t tmpfs -o noexec,nosuid,nodev,mode=1777 tmpfs "$root$place"
done
mount -o remount,bind,ro "$root"
exec chroot "$root" setpriv --reuid "$uid" --regid "$uid" --clear-groups --no-new-privs --bounding-set -all \
  --inh-caps -all sh -c 'cd "$0"; exec "$@"' "$folder" "$@"
"""


def instructions() -> list[tuple[str, str]]:
    """The instructions of the Dockerfile with their arguments, in order."""
    text = re.sub(r"^#.*\n", "", DOCKERFILE.read_text(encoding="utf-8"), flags=re.MULTILINE).replace("\\\n", " ")
    return [(name, rest.strip()) for name, rest in re.findall(r"^([A-Z]+)\s+(.*)$", text, re.MULTILINE)]


def variables() -> dict[str, str]:
    """The environment that the image sets."""
    found = [shlex.split(rest) for name, rest in instructions() if name == "ENV"]
    return dict(item.split("=", 1) for group in found for item in group)


def context() -> Iterator[str]:
    """The tracked files that `.dockerignore` lets through."""
    lines = (PROJECT / ".dockerignore").read_text(encoding="utf-8").split()
    allowed = [line.removeprefix("!") for line in lines if line.startswith("!")]
    tracked = subprocess.run(["git", "ls-files"], cwd=PROJECT, capture_output=True, text=True, check=True).stdout
    for name in tracked.splitlines():
        if any(Path(name.split("/")[0]).match(pattern) for pattern in allowed) and (PROJECT / name).exists():
            yield name


def wheel(folder: Path) -> Path:
    """The content of a wheel that is built from a copy of the sources, as the image's second stage does it."""
    source = folder / "source"
    for name in context():
        if name.startswith(("ingest/", "pipeline/", "sample/", "pyproject.toml", "README.md", "LICENSE")):
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(PROJECT / name, source / name)
    build = [sys.executable, "-c", "import sys, setuptools.build_meta as b; print(b.build_wheel(sys.argv[1]))", folder]
    subprocess.run(build, cwd=source, capture_output=True, check=True)
    (found,) = folder.glob("lakemesh-*.whl")
    with zipfile.ZipFile(found) as archive:
        archive.extractall(folder / "site")
    return folder / "site"


def project(folder: Path) -> Path:
    """What the image has of the project beside the packages."""
    removed = next(rest for name, rest in instructions() if name == "RUN" and rest.startswith("rm -r "))
    patterns = removed.removeprefix("rm -r ").split("&&")[0].split()
    for name in context():
        if not any(Path(name.split("/")[0]).match(pattern) for pattern in patterns):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(PROJECT / name, folder / name)
    return folder


@dataclass(frozen=True, slots=True)
class Image:
    """The image's files on this machine.

    Attributes:
        site: the packages.
        project: what lies at LAKE_PROJECT.
    """

    site: Path
    project: Path

    @contextmanager
    def run(
        self,
        command: Sequence[str],
        environment: Mapping[str, str] = {},
        *,
        writable: Mapping[str, Path] = {},
        readable: Mapping[str, Path] = {},
        tmpfs: Sequence[str] = ("/tmp",),
        user: int = USER,
        folder: str = "/data",
    ) -> Iterator[subprocess.Popen[str]]:
        """A process of the image while the body runs.

        Args:
            writable, readable: what is mounted where, by the path that the process sees.
            tmpfs: paths of empty folders in memory.
            user: whose process it is, without any capability even if it is root.
            folder: the working directory.
        """
        root = self.site.parent / "root"
        root.mkdir(exist_ok=True)
        passwd = self.site.parent / "passwd"
        passwd.write_text("root:x:0:0::/root:/bin/sh\n" + f"lake:x:{USER}:{USER}::/tmp:/usr/sbin/nologin\n")
        for path in writable.values():
            path.mkdir(mode=0o700, exist_ok=True)
            os.chown(path, user, user)
        mounts = [(self.project, "/lakemesh", "ro"), (self.site, "/site", "ro")]
        mounts += [(path, place, "ro") for place, path in readable.items()]
        mounts += [(path, place, "rw") for place, path in writable.items()]
        packages = sorted({sys.base_prefix, sys.prefix} - {"/usr"})
        own = {"PATH": f"{sys.prefix}/bin:/usr/local/bin:/usr/bin:/bin", "PYTHONPATH": "/site"}
        outside = {
            "root": str(root),
            "passwd": str(passwd),
            "packages": " ".join(packages),
            "mounts": " ".join(f"{path}:{place}:{mode}" for path, place, mode in mounts),
            "tmpfs": " ".join(tmpfs),
            "uid": str(user),
            "folder": folder,
        }
        inside = [f"{name}={value}" for name, value in (variables() | own | dict(environment)).items()]
        start = ["unshare", "--mount", "bash", "-c", _SETUP, "container", "env", "-i", *inside, *command]
        with subprocess.Popen(
            start,
            env={"PATH": os.environ["PATH"]} | outside,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        ) as process:
            try:
                yield process
            finally:
                process.kill()

    def done(self, command: Sequence[str], environment: Mapping[str, str] = {}, **options: object) -> str:
        """The output of a command that succeeds."""
        with self.run(command, environment, **options) as process:  # type: ignore[arg-type]
            output = process.communicate()[0]
        assert process.returncode == 0, output
        return output


def needs_root() -> None:
    """Skip the test where mounts and other users are not to be had."""
    if os.geteuid() != 0 or subprocess.run(["unshare", "--mount", "true"], check=False, capture_output=True).returncode:
        pytest.skip("containers: needs root with the right to mount, as in CI")
