"""The variables of a SQLMesh project, without loading SQLMesh."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml
from jinja2 import TemplateError
from jinja2.sandbox import SandboxedEnvironment

from ingest.errors import ConfigError
from ingest.strict_yaml import load_yaml


def project_variables(folder: Path) -> dict[str, Any]:
    """The `variables` of a project's config.yaml, rendered as if no environment variable were set.

    Raises:
        ConfigError: it cannot be read.
    """
    path = folder / "config.yaml"
    try:
        template = SandboxedEnvironment().from_string(path.read_text(encoding="utf-8"))
        rendered = template.render(env_var=lambda _, default="": default)
        found = (load_yaml(rendered) or {}).get("variables")
    except (OSError, UnicodeDecodeError, TemplateError, yaml.YAMLError, AttributeError) as error:
        raise ConfigError(f"{path} cannot be read: {' '.join(str(error).split())}") from None
    return dict(found or {})
