"""What a project declares, without its data: its catalog and the shape of its models, here or in a revision of git."""

from __future__ import annotations

import io
import os
import subprocess
import tempfile
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from sqlmesh import Context
from sqlmesh.core.console import NoopConsole, set_console
from sqlmesh.utils.errors import SQLMeshError

from ingest.contracts.contract import load_contracts
from ingest.errors import ConfigError
from ingest.text import printable
from pipeline.metrics.definition import load_metrics
from pipeline.portal.catalog.collect import Definitions, collect
from pipeline.portal.catalog.entries import Catalog
from pipeline.portal.catalog.shape import Shape, shape_of
from pipeline.portal.dashboard import load_dashboards
from pipeline.warehouse.classes import project_classes
from pipeline.warehouse.project import plain_name


@dataclass(frozen=True, slots=True)
class Declared:
    """What a project declares.

    Attributes:
        catalog: without figures.
        shapes: what each model computes, by table.
    """

    catalog: Catalog
    shapes: Mapping[str, Shape]


def declared(folder: Path, with_shapes: bool = False) -> Declared:
    """Read a project without opening its state or warehouse, so that it works beside a run.

    Args:
        folder: of the project.
        with_shapes: whether to compute shapes, for a comparison.

    Raises:
        ConfigError: the project cannot be loaded.
    """
    with tempfile.TemporaryDirectory(prefix="lakemesh-") as empty, _variables(empty):
        set_console(NoopConsole())
        try:
            context = Context(paths=str(folder), load=False)
            for config in context.configs.values():
                config.linter.enabled = False  # a comparison must read what lint refuses
            context.load()
        except SQLMeshError as error:
            text = printable(" ".join(str(error).split())[:1000])
            raise ConfigError(f"the project in {folder} cannot be loaded: {text}") from error
        try:
            contracts = load_contracts(folder / "ingest" / "contracts")
            metrics = load_metrics(folder / "metrics")
            classes = project_classes(context, contracts)
            definitions = Definitions(metrics, load_dashboards(folder / "dashboards", metrics), classes)
            shapes: dict[str, Shape] = {}
            if with_shapes:
                shapes = {plain_name(model.fqn): shape_of(model) for model in context.models.values()}
            return Declared(collect(context, contracts, definitions), shapes)
        finally:
            context.close()


@contextmanager
def exported(folder: Path, revision: str) -> Iterator[Path]:
    """A project as it is in a revision of git, in a temporary folder while the body runs.

    Args:
        folder: of the project, in a working copy of git.

    Raises:
        ConfigError: git is missing, or knows no such revision.
    """
    commit = _git(folder, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}").strip()
    archive = _git_bytes(folder, "archive", "--format=zip", commit.decode())
    with tempfile.TemporaryDirectory(prefix="lakemesh-") as name:
        with zipfile.ZipFile(io.BytesIO(archive)) as files:  # tarfile has no safe filter before Python 3.11.4
            files.extractall(name)
        yield Path(name)


def _git(folder: Path, *arguments: str) -> bytes:
    try:
        return _git_bytes(folder, *arguments)
    except ConfigError as error:
        revision = arguments[-1].removesuffix("^{commit}")
        reason = f": {error}" if str(error) else ""
        raise ConfigError(
            f"git knows no revision {revision} in {folder}{reason}; expected a branch, tag or commit, such as main"
        ) from None


def _git_bytes(folder: Path, *arguments: str) -> bytes:
    try:
        found = subprocess.run(["git", "-C", str(folder), *arguments], capture_output=True, check=False)
    except FileNotFoundError:
        raise ConfigError("git is not installed, which compares revisions") from None
    if found.returncode:
        raise ConfigError(printable(" ".join(found.stderr.decode("utf-8", "replace").split())))
    return found.stdout


@contextmanager
def _variables(home: str) -> Iterator[None]:
    """Point the settings that config.yaml reads to an empty home while the body runs."""
    wanted = {"LAKE_HOME": home, "LAKE_GATEWAY": "local"}
    unset = ("LAKE_URI", "WAREHOUSE_PATH", "STATE_PATH")
    before = {name: os.environ.get(name) for name in (*wanted, *unset)}
    os.environ.update(wanted)
    for name in unset:
        os.environ.pop(name, None)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
