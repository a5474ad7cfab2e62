"""The Helm chart: values, settings and commands fit the project; what it renders is valid, closed, and by reference."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import click
import jsonschema_rs
import pytest
import yaml

from ingest.settings import PROJECT, Settings
from pipeline.cli import main

HELM = PROJECT / "deploy" / "helm"
CHART = HELM / "lakemesh"
SETS = ("default", *sorted(path.stem for path in (HELM / "ci").glob("*.yaml")))
KUBERNETES = ("1.29", "1.33", "1.37")
NAMES = {name.upper() for name in Settings.model_fields} | {"AWS_REGION", "AWS_ENDPOINT_URL"}
SECRETS = {name.upper() for name, field in Settings.model_fields.items() if not field.repr}
OTHERS = re.compile(r"KAFKA_\w+|OPENLINEAGE_\w+|PG\w+|PYSPARK_SUBMIT_ARGS|AWS_\w+")
"""Variables that libraries read by themselves."""


@cache
def schema() -> dict[str, Any]:
    found: dict[str, Any] = json.loads((CHART / "values.schema.json").read_text(encoding="utf-8"))
    return found


def values(name: str) -> dict[str, Any]:
    """The values of a set, without the defaults below them."""
    path = CHART / "values.yaml" if name == "default" else HELM / "ci" / f"{name}.yaml"
    found: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    return found


@pytest.mark.parametrize("name", SETS)
def test_values_follow_the_schema_and_name_settings_of_the_project(name: str) -> None:
    given = values(name)
    jsonschema_rs.validate(schema(), given)
    for variable in (*given.get("settings", {}), *given.get("secrets", {})):
        assert variable in NAMES or OTHERS.fullmatch(variable), variable


@pytest.mark.parametrize(
    "wrong",
    [
        {"settings": {"SERVING_DSN": "postgresql://lake:secret@db/bi"}},
        {"settings": {"KAFKA_SASL_PASSWORD": "secret"}},
        {"settings": {"LAKE_URI": "s3://elsewhere"}},
        {"secrets": {"LAKE_API_KEYS": "secret"}},
        {"secrets": {"LAKE_START": {"name": "a", "key": "b"}}},
        {"lake": {"uri": "/data/lake"}},
        {"lake": {"landing": "s3://raw"}},
        {"gateway": "snowflake"},
        {"image": {"digest": "latest"}},
        {"cycle": {"schedule": "daily"}},
        {"ingress": {"enabled": True, "host": "lake.example.org", "tlsSecret": ""}},
        {"streams": {"enabled": True}},
    ],
    ids=json.dumps,
)
def test_wrong_values_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(jsonschema_rs.ValidationError):
        jsonschema_rs.validate(schema(), wrong)


def test_the_schema_knows_every_secret_setting() -> None:
    names = schema()["properties"]["secrets"]["propertyNames"]["pattern"]
    assert {name for name in SECRETS if not re.match(names, name)} == set()
    assert {name for name in NAMES - SECRETS if re.match(names, name)} == {"AWS_ACCESS_KEY_ID"}


def test_each_default_is_explained_and_in_the_schema() -> None:
    def objects(given: Any, known: Any, path: str) -> Iterator[str]:
        for name, value in given.items():
            if isinstance(value, dict) and known["properties"][name].get("properties"):
                yield from objects(value, known["properties"][name], f"{path}.{name}")
            elif name not in known["properties"]:
                yield f"{path}.{name}"

    assert list(objects(values("default"), schema(), "")) == []
    text = (CHART / "values.yaml").read_text(encoding="utf-8")
    blocks = re.split(r"\n\n", text)
    unexplained = {block.split(":")[0] for block in blocks if not block.startswith("#")}
    assert unexplained == {"podLabels"}, "only what every chart has goes without a word"


def test_commands_of_the_templates_are_those_of_lake() -> None:
    text = "".join(path.read_text(encoding="utf-8") for path in (CHART / "templates").rglob("*.yaml"))
    text += (CHART / "templates" / "_helpers.tpl").read_text(encoding="utf-8")
    commands = re.findall(r"command: \[lake, ([^\]]+)\]", text) + re.findall(r"^ +lake (.*)$", text, re.MULTILINE)
    used = set()
    for line in commands:
        name, *rest = re.split(r", | ", line.split("{{ range")[0])
        command = main.commands[name]
        options = {option for parameter in command.params for option in parameter.opts}
        assert {item for item in rest if item.startswith("--")} <= options, line
        assert isinstance(command, click.Command)
        used.add(name)
    assert used == {"run", "maintain", "stream", "serve", "live", "health", "ingest"}


def test_the_chart_is_of_this_version() -> None:
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text(encoding="utf-8"))
    assert f'\nversion = "{chart["appVersion"]}"\n' in (PROJECT / "pyproject.toml").read_text(encoding="utf-8")


def tool(name: str) -> str:
    """A program that `make charts` asks for; skips the test without it."""
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"{name} is not installed, see docs/deploy.md")
    return found


@cache
def rendered(name: str, *more: str) -> list[dict[str, Any]]:
    """What the chart makes of a set of values."""
    given = [] if name == "default" else ["--values", str(HELM / "ci" / f"{name}.yaml")]
    command = [tool("helm"), "template", "x", str(CHART), "-n", "lake", "--kube-version", KUBERNETES[-1], *given, *more]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return [item for item in yaml.safe_load_all(done.stdout) if item]


def pods(name: str) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    """Metadata and spec of each pod."""
    for item in rendered(name):
        if item["kind"] == "Pod":
            yield item["metadata"], item["spec"]
        elif item["kind"] in ("Job", "Deployment"):
            yield item["spec"]["template"]["metadata"], item["spec"]["template"]["spec"]
        elif item["kind"] == "CronJob":
            template = item["spec"]["jobTemplate"]["spec"]["template"]
            yield template["metadata"], template["spec"]


def containers(name: str) -> Iterator[dict[str, Any]]:
    for _, spec in pods(name):
        yield from spec["containers"]


@pytest.mark.slow
@pytest.mark.parametrize("name", SETS)
def test_helm_kubernetes_and_checkov_find_nothing(name: str, tmp_path: Path) -> None:
    given = [] if name == "default" else ["--values", str(HELM / "ci" / f"{name}.yaml")]
    lint = subprocess.run([tool("helm"), "lint", "--strict", str(CHART), *given], capture_output=True, text=True)
    assert lint.returncode == 0, lint.stdout + lint.stderr
    path = tmp_path / "all.yaml"
    path.write_text(yaml.safe_dump_all(rendered(name)), encoding="utf-8")
    for version in KUBERNETES:
        valid = [tool("kubernetes-validate"), "--strict", "-k", version, str(path)]
        done = subprocess.run(valid, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
    check = [tool("checkov"), "--config-file", str(HELM / "checkov.yaml"), "-f", str(path), "-o", "json"]
    report = json.loads(subprocess.run(check, capture_output=True, text=True).stdout)
    assert report["results"]["failed_checks"] == []
    assert report["summary"]["passed"] > 50


@pytest.mark.slow
def test_those_tools_find_what_is_wrong(tmp_path: Path) -> None:
    broken = json.loads(json.dumps(rendered("default")))
    cron = next(item for item in broken if item["kind"] == "CronJob")
    cron["spec"]["concurencyPolicy"] = cron["spec"].pop("concurrencyPolicy")
    spec = cron["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    spec["containers"][0]["securityContext"]["allowPrivilegeEscalation"] = True
    path = tmp_path / "all.yaml"
    path.write_text(yaml.safe_dump_all(broken), encoding="utf-8")
    assert subprocess.run([tool("kubernetes-validate"), "--strict", str(path)], capture_output=True).returncode != 0
    check = [tool("checkov"), "--config-file", str(HELM / "checkov.yaml"), "-f", str(path), "-o", "json"]
    report = json.loads(subprocess.run(check, capture_output=True, text=True).stdout)
    assert {item["check_id"] for item in report["results"]["failed_checks"]} == {"CKV_K8S_20"}
    refused = [
        tool("helm"),
        "template",
        "x",
        str(CHART),
        "--kube-version",
        KUBERNETES[-1],
        "--set",
        "serve.enabled=true",
    ]
    done = subprocess.run(refused, capture_output=True, text=True)
    assert "only with keys" in done.stderr
    local = [*refused[:-1], "persistence.enabled=false"]
    assert "must be true" in subprocess.run(local, capture_output=True, text=True).stderr


@pytest.mark.slow
@pytest.mark.parametrize("name", SETS)
def test_pods_are_restricted_and_write_to_home_and_tmp_alone(name: str) -> None:
    """The profile `restricted` of Pod Security Standards, and a read-only root beyond it."""
    assert list(pods(name))
    for _, spec in pods(name):
        assert not {"hostNetwork", "hostPID", "hostIPC"} & set(spec)
        assert spec["automountServiceAccountToken"] is False
        own = spec["securityContext"]
        assert (own["runAsNonRoot"], own["runAsUser"], own["seccompProfile"]) == (
            True,
            10001,
            {"type": "RuntimeDefault"},
        )
        assert all(set(volume) - {"name"} <= {"emptyDir", "persistentVolumeClaim"} for volume in spec["volumes"])
    for container in containers(name):
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "runAsNonRoot": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert {mount["mountPath"] for mount in container["volumeMounts"]} == {"/data", "/tmp"}
        assert container["resources"]["requests"]
        assert "memory" in container["resources"]["limits"]


@pytest.mark.slow
@pytest.mark.parametrize("name", SETS)
def test_secrets_come_by_reference_to_those_who_read_them(name: str) -> None:
    for container in containers(name):
        for variable in container["env"]:
            if variable["name"] not in ("LAKE_HOME", "LIVE_URL"):
                assert set(variable["valueFrom"]) == {"secretKeyRef"}
        names = {variable["name"] for variable in container["env"]}
        if container["name"] == "serve":
            assert not names & {"LAKE_ERASURE_KEY", "SERVING_DSN", "PGPASSWORD"}
            assert names & {"LAKE_API_KEYS", "LAKE_JWT_KEY"}
        elif container["name"] == "test":
            assert names == {"LAKE_HOME"}
        else:
            assert not any(variable.startswith(("LAKE_API_", "LAKE_JWT_")) for variable in names)
    for item in rendered(name):
        assert item["kind"] != "Secret"
        if item["kind"] == "ConfigMap":
            assert not set(item["data"]) & SECRETS
            assert all(variable in NAMES or OTHERS.fullmatch(variable) for variable in item["data"])


@pytest.mark.slow
@pytest.mark.parametrize("name", SETS)
def test_one_cycle_at_a_time_and_probes_of_what_runs_on(name: str) -> None:
    kinds: dict[str, list[dict[str, Any]]] = {}
    for item in rendered(name):
        kinds.setdefault(item["kind"], []).append(item)
        assert item["metadata"]["namespace"] == "lake"
    assert [item["spec"]["concurrencyPolicy"] for item in kinds["CronJob"]] == ["Forbid", "Forbid"]
    for deployment in kinds.get("Deployment", []):
        for container in deployment["spec"]["template"]["spec"]["containers"]:
            assert {"startupProbe", "livenessProbe", "readinessProbe"} <= set(container)
    for service in kinds.get("Service", []):
        wanted = service["spec"]["selector"].items()
        (target,) = [spec for metadata, spec in pods(name) if wanted <= metadata["labels"].items()]
        names = {port["name"] for container in target["containers"] for port in container.get("ports", [])}
        assert {port["targetPort"] for port in service["spec"]["ports"]} <= names
    accounts = {item["metadata"]["name"] for item in kinds["ServiceAccount"]}
    assert {spec["serviceAccountName"] for _, spec in pods(name)} == accounts


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in SETS if name != "minimal"])
def test_every_pod_is_closed_but_for_what_is_named(name: str) -> None:
    policies = [item["spec"] for item in rendered(name) if item["kind"] == "NetworkPolicy"]

    def of(labels: dict[str, str]) -> list[dict[str, Any]]:
        return [policy for policy in policies if policy["podSelector"]["matchLabels"].items() <= labels.items()]

    for metadata, _ in pods(name):
        own = of(metadata["labels"])
        assert any(policy["policyTypes"] == ["Ingress", "Egress"] and "ingress" not in policy for policy in own)
        ports = {port["port"] for policy in own for rule in policy["egress"] for port in rule["ports"]}
        component = metadata["labels"]["app.kubernetes.io/component"]
        assert 53 in ports
        assert all(rule["ports"] for policy in own for rule in policy["egress"]), "no rule opens every port"
        assert (5432 in ports) <= (component == "cycle")
        assert any("ingress" in policy for policy in own) == (component in ("serve", "live"))
        assert (8321 in ports) == (component == "test")
