"""YAML as the project's definitions use it: read by the C parser, and no name given twice."""

from __future__ import annotations

from typing import Any

import yaml


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]  # the C parser, if it is there
    """Refuse a name that is given twice, of which YAML would keep the last."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        pairs = node.value if isinstance(node, yaml.MappingNode) else ()  # `!!map` may stand before anything
        for name in (key.value for key, _ in pairs if isinstance(key, yaml.ScalarNode)):
            if name in seen and name != "<<":
                raise yaml.YAMLError(f"{name} is given twice, {node.start_mark}")
            seen.add(name)
        return dict(super().construct_mapping(node, deep))  # refuses names that are lists or mappings


def load_yaml(text: str) -> Any:
    """Parse a YAML document.

    Raises:
        yaml.YAMLError: it is not YAML, or gives a name twice.
    """
    return yaml.load(text, Loader=_Loader)
