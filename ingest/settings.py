"""Settings from the environment; the only module that reads it.

`.env` in the project folder (or the file that `SQLMESH_DOTENV_PATH` names) overrides the process environment. SQLMesh
does the same, so `lake` and `sqlmesh` always use the same lake.
"""

from __future__ import annotations

import datetime as dt
import json
import os
import re
from collections.abc import Mapping
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal

from dotenv import load_dotenv
from pydantic import AfterValidator, AliasChoices, BeforeValidator, Field, PrivateAttr, ValidationError
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from ingest import schemes
from ingest.errors import ConfigError
from ingest.limits import DEFAULT, Limits


def _project() -> Path:
    """The SQLMesh project: LAKE_PROJECT, else the checkout that holds this package, else the current folder."""
    checkout = Path(__file__).resolve().parents[1]
    if named := os.environ.get("LAKE_PROJECT"):
        return Path(named).expanduser().resolve()
    return checkout if (checkout / "config.yaml").exists() else Path.cwd()


KAFKA = "KAFKA_"
_OTHERS = re.compile(r"BOOTSTRAP_SERVERS$|SCHEMA_REGISTRY_|HOME$|OPTS$|\w+_OPTS$|(SCALA_)?VERSION$|PORT(_|$)|SERVICE_")
"""Variables KAFKA_… that are settings of their own, of Kafka's scripts, or of Kubernetes for a service `kafka`."""
OPENLINEAGE = "OPENLINEAGE_"
_SECRET = re.compile(
    rf"{KAFKA}\w*(PASSWORD|SECRET|PEM|USER_INFO|CONFIG)\w*|{OPENLINEAGE}\w*(KEY|TOKEN|PASSWORD|SECRET|AUTH)"
)
_TRANSPORT = re.compile(rf"{OPENLINEAGE}(URL|CONFIG|_TRANSPORT\w*)")
"""Variables that say where OpenLineage's client sends events; it reads them itself."""
PROJECT = _project()
"""Folder of the SQLMesh project that this process works on."""


def _absolute(value: str) -> str:
    return schemes.absolute(value, PROJECT)


def _local(value: str) -> str:
    if schemes.is_remote(value):
        allowed = schemes.remote_schemes()
        raise ValueError(f"'{value}' must be on a local disk; only LANDING_URI and LAKE_URI may be {allowed}")
    return _absolute(value)


def _gateway_home(data: dict[str, Any]) -> str:
    """The folder for a gateway's own files: its state describes its own warehouse only."""
    home = data.get("lake_home", "data")
    return f"{home}/spark" if data.get("lake_gateway", "").startswith("spark") else str(home)


def _landing(value: str) -> str:
    if "{bucket}" not in value:
        raise ValueError(f"'{value}' lacks the placeholder {{bucket}}; expected for instance s3://{{bucket}}")
    return _absolute(value)


def _local_file(value: str) -> str:
    return _local(value) if value else ""


def _schema(value: str) -> str:
    if value.startswith("pg_") or value in {"public", "information_schema", "lakemesh", "sqlmesh"}:
        raise ValueError(f"'{value}' is reserved; expected a schema that only Lakemesh writes to, for instance gold")
    return value


def _mode(value: int | str) -> int:
    if isinstance(value, int):
        return value
    if not re.fullmatch("(0o?)?7[0-7]{2}", value):
        raise ValueError(f"'{value}' is not a folder mode; expected octal digits with 7 for the owner, as in 0750")
    return int(value, 8)


def _keys(value: str) -> str:
    try:
        found = json.loads(value or "{}")
    except ValueError:
        found = None
    if not isinstance(found, dict) or not all(isinstance(key, str) for key in found.values()):
        raise ValueError('expected a JSON object with the key of each role, as in {"analyst": "…"}')
    return value


def _day(value: dt.date | str) -> dt.date:
    if isinstance(value, dt.date):
        return value
    try:
        return dt.date.fromisoformat(value)
    except ValueError:
        raise ValueError(f"'{value}' is not a date; expected for instance 2021-01-31") from None


def _kafka(variables: Mapping[str, str]) -> dict[str, str]:
    """The properties of librdkafka among some variables, without those that other programs set under such names."""
    named = {name.removeprefix(KAFKA): value for name, value in variables.items() if name.startswith(KAFKA) and value}
    return {name.lower().replace("_", "."): value for name, value in named.items() if not _OTHERS.match(name)}


def _sends_lineage() -> bool:
    is_off = os.environ.get("OPENLINEAGE_DISABLED", "").strip().lower() == "true"
    return not is_off and any(value and _TRANSPORT.fullmatch(name) for name, value in os.environ.items())


class Settings(BaseSettings):
    """Locations, connections and limits. Fields are environment variables in upper case; `repr=False` marks secrets.

    Attributes:
        lake_home: folder of everything that the embedded default writes.
        lake_folder_mode: permission bits, in octal, of each folder that is created; existing folders keep theirs.
        lake_gateway: the gateway of config.yaml; it determines the location of warehouse and state.
        landing_uri: template of the landing's address, with `{bucket}`.
        lake_uri: bronze, quarantine and ledger.
        warehouse_path: DuckDB file with silver and gold.
        notifications_path: spool folder of S3 event documents, for `lake ingest --hinted`.
        state_path: DuckDB file with SQLMesh's state and the applied positions; each gateway has its own.
        state_lock_seconds: how long to wait for a process that locks the state or computes.
        published_uri: the releases of gold, for readers.
        published_folder_mode: permission bits of the releases' folders; LAKE_FOLDER_MODE by default.
        published_states: how many releases are kept.
        serving_dsn: Postgres that each release is copied to, in libpq's format (`postgresql://…` or `host=…`); empty
            for none. Omitted values come from libpq's PG variables.
        serving_schema: the schema there that Lakemesh owns.
        serving_role: the role there that may read that schema and nothing else; empty for none.
        lake_role_keys: the key of each role's hashes, as a JSON object by the name of the role (docs/governance.md).
        lake_erasure_key: the secret of the tombstones of persons who are forgotten (docs/governance.md).
        full_audit_hours: maximum age of the last audit of whole tables; in between, only changes are audited.
        notify_webhook_url: where alerts of `lake run` are posted as JSON; empty for nowhere.
        slack_webhook_url: an incoming Slack webhook that also receives them; empty for none.
        smtp_host, smtp_port, smtp_user, smtp_password, smtp_sender, smtp_recipients: a mail server over TLS that sends
            them; no host for none, recipients separated by commas. `sqlmesh` uses Slack and mail too, see config.yaml.
        metrics_file: where cycles and maintenance write their measures for Prometheus; empty for nowhere.
        lake_log: `text` or `json`: the form of what `lake` and `sqlmesh` log.
        openlineage_url, openlineage_api_key: where events of cycles are sent (docs/monitoring.md); empty for nowhere.
            OpenLineage's client reads these and its other variables OPENLINEAGE_… itself.
        openlineage_namespace: of the jobs in those events.
        lake_start: first day (UTC) of the history that the models cover.
        lake_load_bytes, lake_load_objects, lake_fetch_threads, lake_bytes_in_flight: see `Limits`.
        pghost, pgport, pguser, pgpassword, pgdatabase: Postgres with the state, for the `…postgres_state` gateways.
            Empty values are left to libpq, which reads its other PG variables itself.
        kafka_bootstrap_servers: brokers of Kafka, `host:port` separated by commas; empty for none. Every other variable
            KAFKA_… is the property of librdkafka with dots for underscores, see `kafka`.
        kafka_schema_registry_url, kafka_schema_registry_basic_auth_user_info: the registry of Avro schemas, and
            `user:password` for it.
        lake_api_keys: who may read from `lake serve`: a JSON object of the SHA-256 of each key and its role, by name;
            empty for everybody on this machine (docs/serve.md).
        lake_jwt_key: the secret (HS256) or the public key in PEM (RS256) of tokens that are accepted too; empty for
            none.
        lake_jwt_algorithm, lake_jwt_audience, lake_jwt_issuer: what tokens must say; an empty one is not checked.
        lake_api_rows, lake_api_bytes, lake_api_seconds, lake_api_memory: what one request may take, see `Limits` of the
            server; memory in bytes.
        lake_api_rate: requests per minute of one caller.
        lake_api_workers: processes that compute answers.
        lake_api_audit_seconds: how long reads wait for others of their entry in the audit log.
        live_url: the address of live numbers, which `lake serve` passes through; empty for none.
        aws_endpoint_url: address of an S3-compatible store; unset means AWS itself.
    """

    model_config = SettingsConfigDict(extra="ignore", frozen=True, env_ignore_empty=True)

    lake_home: Annotated[str, AfterValidator(_local)] = Field(default="data", validate_default=True)
    lake_folder_mode: Annotated[int, BeforeValidator(_mode)] = 0o700
    lake_gateway: str = "local"
    landing_uri: Annotated[str, NoDecode, AfterValidator(_landing)] = Field(
        default_factory=lambda data: f"{data.get('lake_home', 'data')}/landing/{{bucket}}", validate_default=True
    )
    lake_uri: Annotated[str, AfterValidator(_absolute)] = Field(
        default_factory=lambda data: f"{data.get('lake_home', 'data')}/lake", validate_default=True
    )
    warehouse_path: Annotated[str, AfterValidator(_local)] = Field(
        default_factory=lambda data: f"{data.get('lake_home', 'data')}/warehouse.duckdb", validate_default=True
    )
    state_path: Annotated[str, AfterValidator(_local)] = Field(
        default_factory=lambda data: f"{_gateway_home(data)}/state.duckdb", validate_default=True
    )
    state_lock_seconds: float = Field(default=30, ge=0)
    notifications_path: Annotated[str, AfterValidator(_local)] = Field(
        default_factory=lambda data: f"{data.get('lake_home', 'data')}/notifications", validate_default=True
    )
    published_uri: Annotated[str, AfterValidator(_absolute)] = Field(
        default_factory=lambda data: f"{data.get('lake_home', 'data')}/published", validate_default=True
    )
    published_folder_mode: Annotated[int, BeforeValidator(_mode)] = Field(
        default_factory=lambda data: data.get("lake_folder_mode", 0o700)
    )
    published_states: int = Field(default=30, ge=2)
    serving_dsn: str = Field(default="", repr=False)
    serving_schema: Annotated[str, AfterValidator(_schema)] = "gold"
    serving_role: str = ""
    lake_role_keys: Annotated[str, AfterValidator(_keys)] = Field(default="", repr=False)
    lake_erasure_key: str = Field(default="", repr=False)
    full_audit_hours: float = Field(default=24, ge=0)
    notify_webhook_url: str = Field(default="", repr=False)
    slack_webhook_url: str = Field(default="", repr=False)
    smtp_host: str = ""
    smtp_port: int = Field(default=465, ge=1, le=65535)
    smtp_user: str = ""
    smtp_password: str = Field(default="", repr=False)
    smtp_sender: str = ""
    smtp_recipients: str = ""
    metrics_file: Annotated[str, AfterValidator(_local_file)] = ""
    lake_log: Literal["text", "json"] = "text"
    openlineage_url: str = Field(default="", repr=False)
    openlineage_api_key: str = Field(default="", repr=False)
    openlineage_namespace: str = "lakemesh"
    lake_start: Annotated[dt.date, BeforeValidator(_day)] = dt.date(2021, 1, 1)
    lake_load_bytes: int = Field(default=DEFAULT.load_bytes, ge=1)
    lake_load_objects: int = Field(default=DEFAULT.load_objects, ge=1)
    lake_fetch_threads: int = Field(default=DEFAULT.fetch_threads, ge=1, le=512)
    lake_bytes_in_flight: int = Field(default=DEFAULT.bytes_in_flight, ge=1 << 20)
    pghost: str = "localhost"
    pgport: int = Field(default=5432, ge=1, le=65535)
    pguser: str = ""
    pgpassword: str = Field(default="", repr=False)
    pgdatabase: str = ""
    kafka_bootstrap_servers: str = ""
    kafka_schema_registry_url: str = ""
    kafka_schema_registry_basic_auth_user_info: str = Field(default="", repr=False)
    lake_api_keys: str = Field(default="", repr=False)
    lake_jwt_key: str = Field(default="", repr=False)
    lake_jwt_algorithm: Literal["HS256", "RS256"] = "HS256"
    lake_jwt_audience: str = ""
    lake_jwt_issuer: str = ""
    lake_api_rows: int = Field(default=100_000, ge=1)
    lake_api_bytes: int = Field(default=32 << 20, ge=1 << 10)
    lake_api_seconds: float = Field(default=30, gt=0)
    lake_api_memory: int = Field(default=512 << 20, ge=64 << 20)
    lake_api_rate: int = Field(default=600, ge=1)
    lake_api_workers: int = Field(default=4, ge=1, le=64)
    lake_api_audit_seconds: float = Field(default=900, gt=0)
    live_url: str = ""
    aws_endpoint_url: str | None = Field(
        default=None, validation_alias=AliasChoices("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL")
    )
    aws_region: str = Field(default="us-east-1", validation_alias=AliasChoices("AWS_REGION", "AWS_DEFAULT_REGION"))
    aws_access_key_id: str | None = None
    aws_secret_access_key: str | None = Field(default=None, repr=False)
    aws_session_token: str | None = Field(default=None, repr=False)

    _kafka: dict[str, str] = PrivateAttr(default_factory=lambda: _kafka(os.environ))
    _sends_lineage: bool = PrivateAttr(default_factory=_sends_lineage)

    @property
    def has_postgres_state(self) -> bool:
        """Whether SQLMesh's and Lakemesh's state is stored in Postgres instead of a DuckDB file."""
        return self.lake_gateway in ("postgres_state", "spark_postgres_state")

    @property
    def has_spark(self) -> bool:
        """Whether Spark instead of DuckDB computes and stores silver and gold."""
        return self.lake_gateway in ("spark", "spark_postgres_state")

    @property
    def warehouse_name(self) -> str:
        """The warehouse in messages: the path of the DuckDB file, or the Spark of LAKE_HOME."""
        return f"Spark of {self.lake_home}" if self.has_spark else self.warehouse_path

    @property
    def limits(self) -> Limits:
        """The limits of one ingest."""
        return Limits(self.lake_load_bytes, self.lake_load_objects, self.lake_fetch_threads, self.lake_bytes_in_flight)

    @property
    def kafka(self) -> dict[str, str]:
        """The properties of librdkafka that KAFKA_… variables set: `sasl.mechanism` of KAFKA_SASL_MECHANISM."""
        brokers = {"bootstrap.servers": self.kafka_bootstrap_servers} if self.kafka_bootstrap_servers else {}
        return dict(self._kafka) | brokers

    @property
    def sends_lineage(self) -> bool:
        """Whether a variable of OpenLineage's client says where to send events."""
        return self._sends_lineage

    @property
    def role_keys(self) -> dict[str, str]:
        """The keys of the hashes that roles see, by the name of the role."""
        return dict(json.loads(self.lake_role_keys or "{}"))

    def landing(self, bucket: str) -> str:
        """The address of one landing bucket: a folder or `s3://…`."""
        return self.landing_uri.replace("{bucket}", bucket)


def read_settings() -> Settings:
    """Read `.env` and the environment again.

    Raises:
        ConfigError: a value is invalid; the message names the variable.
    """
    load_dotenv(os.environ.get("SQLMESH_DOTENV_PATH") or PROJECT / ".env", override=True)
    try:
        return Settings()
    except ValidationError as error:
        first = error.errors()[0]
        name = str(first["loc"][0]).upper() if first["loc"] else "a setting"
        reason = first["msg"].removeprefix("Value error, ")
        raise ConfigError(f"{name}: {reason}. Fix it in the environment or in .env (see .env.example)") from None


def secrets() -> dict[str, str]:
    """The current values of secret settings, by variable, even if other settings are invalid."""
    names = {name.upper() for name, field in Settings.model_fields.items() if not field.repr}
    names |= {name for name in os.environ if _SECRET.fullmatch(name)}
    found = {name: value for name in sorted(names) if (value := os.environ.get(name))}
    for name in [name for name in found if name.endswith("_AUTH")]:  # a JSON object
        with suppress(ValueError, AttributeError):
            own = json.loads(found[name]).items()
            found |= {f"{key} of {name}": value for key, value in own if isinstance(value, str) and key != "type"}
    if role_keys := found.get("LAKE_ROLE_KEYS"):  # each line of a log asks
        with suppress(ValueError):
            keys = Settings.model_construct(lake_role_keys=_keys(role_keys)).role_keys
            found |= {f"the key of role {role}": key for role, key in keys.items() if key}
    return found


def logs_as_json() -> bool:
    """Whether LAKE_LOG asks for JSON, even if other settings are invalid."""
    load_dotenv(os.environ.get("SQLMESH_DOTENV_PATH") or PROJECT / ".env", override=True)
    return os.environ.get("LAKE_LOG") == "json"


@cache
def settings() -> Settings:
    """The settings of this process, read once."""
    return read_settings()
