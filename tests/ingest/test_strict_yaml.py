"""YAML of definitions: no name is given twice, and whatever else is wrong is an error of YAML."""

from __future__ import annotations

import pytest
import yaml

from ingest.strict_yaml import load_yaml


@pytest.mark.parametrize("text", ["a: 1\na: 2", "list:\n- {b: 1, a: 1, b: 1}", "deep: {a: {b: 1, b: 2}}"])
def test_a_name_given_twice_is_refused(text: str) -> None:
    with pytest.raises(yaml.YAMLError, match="is given twice"):
        load_yaml(text)


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("version: {{ v }}", id="mapping as a name, as of an unfilled template"),
        pytest.param("{[a, b]: 1}", id="list as a name"),
        pytest.param("? {a: 1}\n: 1\n? {a: 1}\n: 2", id="the same mapping as a name twice"),
        pytest.param("a: !!map [b]", id="list that says it is a mapping"),
        pytest.param("a: !!map b", id="text that says it is a mapping"),
    ],
)
def test_what_is_no_name_is_an_error_of_yaml(text: str) -> None:
    with pytest.raises(yaml.YAMLError):
        load_yaml(text)


def test_merged_mappings_are_read_and_may_be_several() -> None:
    text = "one: &one {a: 1}\ntwo: &two {b: 2}\nboth:\n  <<: *one\n  <<: *two\n  a: 3"
    assert load_yaml(text)["both"] == {"a": 3, "b": 2}
