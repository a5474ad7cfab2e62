"""An account of AWS on this machine: moto's S3 with its enforcement of IAM, roles, and their credentials as Fargate
gives them to a task. Every request of a role is recorded, with the actions that it needs, and can be sent again.

What moto 5.2 does otherwise than AWS, and is put right here: it checks a request that deletes many objects against the
bucket instead of each object. What it lacks: keys of KMS, conditions on requests, the right to the source of a copy.
"""

from __future__ import annotations

import datetime as dt
import http.client
import io
import json
import logging
import re
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from fnmatch import fnmatchcase
from string import Template
from typing import Any

import boto3
import pytest
from moto import settings as moto_settings
from moto.core import DEFAULT_ACCOUNT_ID
from moto.iam.access_control import IAMPolicy, PermissionResult, S3IAMRequest
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from moto.s3.exceptions import S3ClientError
from moto.s3.models import s3_backends
from werkzeug.serving import make_server
from xmltodict import parse

from ingest.settings import PROJECT

POLICIES = PROJECT / "deploy" / "terraform" / "policies"
REGION = "eu-central-1"
TRUST = {"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"Service": "ecs-tasks.amazonaws.com"}}


def render(name: str, values: Mapping[str, str | Sequence[str]]) -> dict[str, Any]:
    """A policy as Terraform's `templatefile` renders it; a list becomes several elements of the list it stands in."""
    text = {key: value if isinstance(value, str) else '", "'.join(value) for key, value in values.items()}
    found: dict[str, Any] = json.loads(Template((POLICIES / f"{name}.json").read_text()).substitute(text))
    return found


@dataclass(frozen=True, slots=True)
class Grant:
    """One action on one resource that a policy allows."""

    statement: str
    action: str
    resource: str


def grants(policy: Mapping[str, Any]) -> list[Grant]:
    """Everything that a policy allows."""
    return [
        Grant(statement["Sid"], action, resource)
        for statement in policy["Statement"]
        for action in statement["Action"]
        for resource in statement["Resource"]
    ]


def document(kept: Sequence[Grant]) -> str:
    """A policy of these grants alone; one without any is none to IAM, so it forbids instead."""
    found = [{"Effect": "Allow", "Action": item.action, "Resource": item.resource} for item in kept]
    nothing = [{"Effect": "Deny", "Action": "*", "Resource": "*"}]
    return json.dumps({"Version": "2012-10-17", "Statement": found or nothing})


@dataclass(frozen=True, slots=True)
class Call:
    """A request of a role, as it came.

    Attributes:
        needs: (action, resource) of everything that it needs.
        allowed: whether moto allowed all of that.
    """

    role: str
    method: str
    target: str
    headers: tuple[tuple[str, str], ...]
    body: bytes
    needs: tuple[tuple[str, str], ...]
    allowed: bool

    @property
    def names(self) -> list[str]:
        """What it needs, as in calls.yaml: the action, and the bucket with the first part of the key."""
        return [f"{action} {_short(resource.removeprefix('arn:aws:s3:::'))}" for action, resource in self.needs]

    def uses(self, grant: Grant) -> bool:
        """Whether the request needs something that this grant allows."""
        return any(action == grant.action and fnmatchcase(resource, grant.resource) for action, resource in self.needs)


def _short(place: str) -> str:
    kind = re.search(r"\.(checkpoint|objects)\.parquet$", place)
    return "/".join([*place.split("/")[:2], *([f"*{kind[0]}"] if kind else [])])


def permits(kept: Sequence[Grant], action: str, resource: str) -> bool:
    """Whether moto's IAM permits an action by these grants."""
    found = IAMPolicy({"policy_document": document(kept)}).is_action_permitted(action, resource)
    return bool(found is PermissionResult.PERMITTED)


class Account:
    """The account; see the module.

    Args:
        keys: gets the credentials of each role, by its name.
        variables: returns the variables by which a task finds them.

    Attributes:
        calls: the requests of roles since enforcement began.
        url: its address.
    """

    def __init__(
        self,
        keys: dict[str, dict[str, str]],
        variables: Callable[[str], dict[str, str]],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        self.calls: list[Call] = []
        self._keys, self._variables = keys, variables
        self._rival: tuple[str, Callable[[], object]] | None = None
        self._seen = threading.local()
        logging.getLogger("werkzeug").setLevel(logging.ERROR)
        check = S3IAMRequest.check_action_permitted
        monkeypatch.setattr(S3IAMRequest, "check_action_permitted", lambda request, of: self._check(check, request, of))
        self._server = make_server("127.0.0.1", 0, self._record(DomainDispatcherApplication(create_backend_app)), True)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self._server.port}"
        self._own = {"endpoint_url": self.url, "region_name": REGION, "aws_access_key_id": "test"}
        self._own |= {"aws_secret_access_key": "test"}

    def client(self, service: str) -> Any:
        """A client of the account's owner, whom nothing is enforced on."""
        return boto3.client(service, **self._own)

    def create_buckets(self, names: Sequence[str]) -> None:
        """Create buckets with versions, as the module `storage` does."""
        for name in names:
            self.client("s3").create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": REGION})
            self.client("s3").put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})

    def age(self, bucket: str, days: int) -> None:
        """Make all objects of a bucket older."""
        for key in s3_backends[DEFAULT_ACCOUNT_ID]["aws"].buckets[bucket].keys.values():
            key.last_modified -= dt.timedelta(days=days)

    def task(self, role: str, policy: str) -> dict[str, str]:
        """Create a role; return the variables by which a task gets its temporary credentials, as on Fargate."""
        iam, trust = self.client("iam"), json.dumps({"Version": "2012-10-17", "Statement": [TRUST]})
        arn = iam.create_role(RoleName=role, AssumeRolePolicyDocument=trust)["Role"]["Arn"]
        self.allow(role, policy)
        found = self.client("sts").assume_role(RoleArn=arn, RoleSessionName="task")["Credentials"]
        names = {"AccessKeyId": "AccessKeyId", "SecretAccessKey": "SecretAccessKey", "Token": "SessionToken"}
        self._keys[role] = {key: found[name] for key, name in names.items()}
        return {"AWS_ENDPOINT_URL": self.url, "AWS_REGION": REGION} | self._variables(role)

    def allow(self, role: str, policy: str) -> None:
        """Replace what a role may do."""
        self.client("iam").put_role_policy(RoleName=role, PolicyName="lake", PolicyDocument=policy)

    @contextmanager
    def enforced(self) -> Iterator[None]:
        """Enforce what roles may do, and record what they ask for, while the body runs."""
        moto_settings.INITIAL_NO_AUTH_ACTION_COUNT = 0
        try:
            yield
        finally:
            moto_settings.INITIAL_NO_AUTH_ACTION_COUNT = float("inf")

    def interpose(self, start: str, rival: Callable[[], object]) -> None:
        """Let the account's owner do something before the next object whose path begins so is written."""
        self._rival = (start, rival)

    def replay(self, call: Call) -> bool:
        """Send a request again; whether it is allowed now."""
        with self.enforced():
            connection = http.client.HTTPConnection("127.0.0.1", self._server.port)
            connection.putrequest(call.method, call.target, skip_host=True, skip_accept_encoding=True)
            for name, value in call.headers:
                connection.putheader(name, value)
            connection.endheaders(call.body or None)
            connection.getresponse().read()
            connection.close()
        return self.calls.pop().allowed

    def close(self) -> None:
        """End the server."""
        self._server.shutdown()

    def _check(self, check: Any, request: Any, resource: str) -> None:
        of = [resource]
        if request._method == "POST" and request._action == "s3:DeleteObject":
            objects = parse(request._body, force_list=("Object",))["Delete"]["Object"]
            of = [f"{resource}/{item['Key']}" for item in objects]
        self._seen.role = getattr(request._access_key, "_owner_role_name", "")
        for item in of:
            self._seen.needs.append((request._action, item))
            try:
                check(request, item)
            except S3ClientError:
                self._seen.allowed = False
                raise

    def _record(self, application: Any) -> Any:
        def recording(environ: dict[str, Any], start: Any) -> Any:
            rival = self._rival
            if rival and environ["REQUEST_METHOD"] == "PUT" and environ["PATH_INFO"].startswith(rival[0]):
                self._rival = None
                moto_settings.INITIAL_NO_AUTH_ACTION_COUNT = float("inf")
                rival[1]()
                moto_settings.INITIAL_NO_AUTH_ACTION_COUNT = 0
            seen = self._seen
            seen.role, seen.needs, seen.allowed = "", [], True
            size = int(environ.get("CONTENT_LENGTH") or 0)
            body = environ["wsgi.input"].read(size) if size else b""
            environ["wsgi.input"] = io.BytesIO(body)
            answer = list(application(environ, start))
            if seen.role:
                headers = tuple(_headers(environ))
                target = environ["RAW_URI"]
                call = Call(
                    seen.role, environ["REQUEST_METHOD"], target, headers, body, tuple(seen.needs), seen.allowed
                )
                self.calls.append(call)
            return answer

        return recording


def _headers(environ: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for name, value in environ.items():
        if name.startswith("HTTP_"):
            yield name.removeprefix("HTTP_").replace("_", "-").title(), value
        elif name in ("CONTENT_TYPE", "CONTENT_LENGTH") and value:
            yield name.replace("_", "-").title(), value
