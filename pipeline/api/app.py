"""The HTTP side of the server."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Annotated, Any, Literal

from fastapi import APIRouter, FastAPI, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import RedirectResponse
from pydantic import BaseModel, ConfigDict, Field
from starlette.exceptions import HTTPException

from ingest.errors import LakemeshError
from pipeline.api import live, pages
from pipeline.api.core import Answer, Core, metric_of, table_of
from pipeline.api.formats import Format, as_json, chosen
from pipeline.api.guard import Guard
from pipeline.api.keys import Caller
from pipeline.api.openapi import contents, described_api, problems
from pipeline.api.pool import Left
from pipeline.api.problems import MEDIA_TYPE, Kind, Problem, problem_of
from pipeline.api.snapshots import Snapshot
from pipeline.api.statement import LONGEST
from pipeline.api.tools import tools
from pipeline.monitoring.exposition import CONTENT_TYPE

FormatName = Literal["json", "csv", "arrow", "parquet"]
_FORMAT = Query(description="Instead of the header Accept.")


class Statement(BaseModel):
    """One SELECT over published tables."""

    model_config = ConfigDict(extra="forbid")

    sql: str = Field(min_length=1, max_length=LONGEST, description="One SELECT; tables with their schema.")


def create(core: Core) -> Guard:
    """The application."""
    server = tools(core, lambda context: context.request_context.request.state.caller)
    agents = server.streamable_http_app(stateless_http=True, json_response=True, transport_security=None, host="")

    @contextlib.asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        core.start()
        keeping = asyncio.create_task(core.reads.keep())
        try:
            async with server.session_manager.run():
                yield
        finally:
            keeping.cancel()
            await asyncio.gather(keeping, return_exceptions=True)
            await core.close()

    app = FastAPI(
        title="Lakemesh",
        version="1",
        description="The current release: tables, metrics, SQL. Every answer is read from one release and names it.",
        docs_url=None,  # both load scripts of others
        redoc_url=None,
        lifespan=lifespan,
        responses=problems(),
    )
    app.include_router(_router(core))
    app.router.routes.extend(agents.routes)
    _handle_errors(app)
    app.openapi = lambda: described_api(app)  # type: ignore[method-assign]  # FastAPI documents this way
    return Guard(app, core)


def _router(core: Core) -> APIRouter:
    router = APIRouter()

    def catalog(request: Request, snapshot: Snapshot, of: str, about: dict[str, Any]) -> Response:
        """An answer of the catalog; one that the client has already is no new read."""
        chosen(None, request.headers.get("accept"), (Format.JSON,))
        if same := _unchanged(request, snapshot, Format.JSON):
            return same
        core.note(_caller(request), "catalog", [of], snapshot)
        body, headers = as_json({**_release(snapshot), **about}), _headers(snapshot, snapshot.etag("json"))
        return Response(body, headers=headers, media_type="application/json")

    @router.get("/", include_in_schema=False)
    async def root() -> Response:
        return RedirectResponse("/portal/index.html")

    @router.get("/healthz", tags=["health"])
    async def healthz() -> dict[str, Any]:
        """Whether the process answers."""
        return {"status": "ok", "workers": core.pool.ready, "workers_ended": core.pool.ended}

    @router.get("/readyz", tags=["health"])
    async def readyz() -> dict[str, Any]:
        """Whether there is a release to read; 503 otherwise."""
        snapshot = await core.snapshots.current("")
        return {"status": "ok", "release": snapshot.release.number}

    @router.get("/metrics", tags=["health"], response_class=Response)
    async def measures(request: Request) -> Response:
        """Measures of the lake and of the server, for Prometheus; they name every feed, so no role gets them."""
        if _caller(request).role:
            raise Problem(Kind.FORBIDDEN, "measures are of the whole lake; use a key without a role")
        page = await asyncio.to_thread(core.measures.page)
        return Response(page, headers={"Cache-Control": "no-store"}, media_type=CONTENT_TYPE)

    @router.get("/v1/release", tags=["release"])
    async def release(request: Request) -> Response:
        """The current release: number, positions, audits, tables."""
        snapshot = await core.snapshot(_caller(request))
        found = snapshot.release
        return catalog(request, snapshot, "release", {"audits": found.audits, "tables": sorted(found.tables)})

    @router.get("/v1/tables", tags=["tables"])
    async def tables_of(request: Request) -> Response:
        """The published tables."""
        snapshot = await core.snapshot(_caller(request))
        found = [
            {"name": table.name, "description": table.description, "rows": table.rows, "columns": len(table.columns)}
            for _, table in sorted(snapshot.release.tables.items())
        ]
        return catalog(request, snapshot, "tables", {"tables": found})

    @router.get("/v1/tables/{name}", tags=["tables"])
    async def table(request: Request, name: str) -> Response:
        """Columns, grain and description of a table."""
        snapshot = await core.snapshot(_caller(request))
        found = table_of(snapshot, name)
        return catalog(request, snapshot, found.name, described(found))

    @router.get("/v1/tables/{name}/rows", tags=["tables"], responses=contents())
    async def rows(
        request: Request,
        name: str,
        columns: Annotated[str, Query(description="Names, joined by commas; all by default.", max_length=4000)] = "",
        where: Annotated[
            list[str],
            Query(description="`country_code=fr`, `date>=2026-01-01`, `plan in (a, b)`, `x is null`; repeat."),
        ] = [],  # noqa: B006  FastAPI copies defaults
        order: Annotated[
            str, Query(description="Columns, joined by commas; `-` for descending.", max_length=1000)
        ] = "",
        limit: Annotated[int, Query(ge=1, le=1_000_000, description="Most rows of a page.")] = 1000,
        cursor: Annotated[str, Query(description="`next` of the page before.", max_length=8000)] = "",
        format: Annotated[FormatName | None, _FORMAT] = None,
    ) -> Response:
        """Rows of a table, page by page; all pages that follow a cursor are of one release."""
        asked = {"columns": _names(columns), "where": where, "order": _names(order), "limit": limit, "cursor": cursor}
        shape, snapshot = chosen(format, request.headers.get("accept")), await core.snapshot(_caller(request))
        if not cursor and (same := _unchanged(request, snapshot, shape)):
            return same
        found = await core.rows(_caller(request), snapshot, name, asked, shape.value[0], _left(request))
        return _answer(request, found, shape)

    @router.get("/v1/metrics", tags=["metrics"])
    async def metrics(request: Request) -> Response:
        """The metrics that this release can compute."""
        snapshot = await core.snapshot(_caller(request))
        found = [metric.model_dump(mode="json") for metric in snapshot.definitions.values()]
        return catalog(request, snapshot, "metrics", {"metrics": found})

    @router.get("/v1/metrics/{name}", tags=["metrics"])
    async def metric(request: Request, name: str) -> Response:
        """The definition of a metric."""
        snapshot = await core.snapshot(_caller(request))
        found = metric_of(snapshot, name)
        return catalog(request, snapshot, found.name, {"metric": found.model_dump(mode="json")})

    @router.get("/v1/metrics/{names}/values", tags=["metrics"], responses=contents())
    async def values(
        request: Request,
        names: str,
        by: Annotated[str, Query(description="A grain and dimensions, joined by commas.", max_length=1000)] = "",
        where: Annotated[list[str], Query(description="As for rows; repeat.")] = [],  # noqa: B006
        since: Annotated[str, Query(description="First date, inclusive.", max_length=30)] = "",
        until: Annotated[str, Query(description="Last date, inclusive.", max_length=30)] = "",
        compare: Annotated[Literal["", "previous", "year"], Query(description="What values are compared with.")] = "",
        format: Annotated[FormatName | None, _FORMAT] = None,
    ) -> Response:
        """Values of metrics, names joined by commas: the same numbers as `lake metrics query`."""
        asked = {
            "names": _names(names),
            "by": _names(by),
            "where": where,
            "since": since,
            "until": until,
            "compare": compare,
        }
        shape, snapshot = chosen(format, request.headers.get("accept")), await core.snapshot(_caller(request))
        if same := _unchanged(request, snapshot, shape):
            return same
        return _answer(
            request, await core.metrics(_caller(request), snapshot, asked, shape.value[0], _left(request)), shape
        )

    @router.post("/v1/query", tags=["query"], responses=contents())
    async def query(
        request: Request, statement: Statement, format: Annotated[FormatName | None, _FORMAT] = None
    ) -> Response:
        """The rows of one SELECT over published tables."""
        if request.headers.get("content-type", "").split(";")[0].strip().lower() != "application/json":
            raise Problem(Kind.MEDIA, "send JSON with the header `Content-Type: application/json`")
        shape, snapshot = chosen(format, request.headers.get("accept")), await core.snapshot(_caller(request))
        found = await core.sql(_caller(request), snapshot, statement.sql, shape.value[0], _left(request))
        return _answer(request, found, shape, has_tag=False)

    @router.get("/portal", include_in_schema=False)
    @router.get("/portal/", include_in_schema=False)
    async def portal() -> Response:
        return RedirectResponse("/portal/index.html")

    @router.get("/portal/{path:path}", tags=["portal"], response_class=Response)
    async def page(request: Request, path: str) -> Response:
        """A file of the pages of the release."""
        caller, snapshot = _caller(request), await core.snapshot(_caller(request))
        found = await pages.page(snapshot, path, request.headers.get("if-none-match"))
        if found.status_code != 304:
            core.note(caller, "portal", ["pages"], snapshot)
        return found

    @router.get("/live/{path:path}", tags=["live"], response_class=Response)
    async def live_numbers(request: Request, path: str) -> Response:
        """Live numbers, passed through from LIVE_URL."""
        return await live.passed(core, _caller(request), path, request.url.query)

    return router


def described(table: Any) -> dict[str, Any]:
    """A table of a release for clients."""
    return {
        "name": table.name,
        "description": table.description,
        "rows": table.rows,
        "grain": table.grain,
        "time_column": table.time_column or None,
        "columns": [{"name": name, "type": kind, "description": text} for name, kind, text in table.columns],
    }


def _caller(request: Request) -> Caller:
    found: Caller = request.state.caller
    return found


def _left(request: Request) -> Left:
    async def left() -> None:
        while not await request.is_disconnected():
            await asyncio.sleep(0.1)

    return left


def _names(text: str) -> list[str]:
    return [name for item in text.split(",") if (name := item.strip())]


def _release(snapshot: Snapshot) -> dict[str, Any]:
    found = snapshot.release
    return {"release": found.number, "published_at": found.published_at, "positions": found.positions}


def _unchanged(request: Request, snapshot: Snapshot, shape: Format) -> Response | None:
    """The answer to a client that has this release's; the read was noted when it got that."""
    tag = snapshot.etag(shape.value[0])
    if tag in [item.strip().removeprefix("W/") for item in request.headers.get("if-none-match", "").split(",")]:
        return Response(status_code=304, headers=_headers(snapshot, tag))
    return None


def _headers(snapshot: Snapshot, tag: str | None) -> dict[str, str]:
    tags = {"ETag": tag, "Cache-Control": "private, no-cache"} if tag else {"Cache-Control": "no-store"}
    return {**snapshot.headers, **tags, "Vary": "Authorization, Accept"}


def _answer(request: Request, found: Answer, shape: Format, has_tag: bool = True) -> Response:
    outcome, snapshot = found.outcome, found.snapshot
    headers = _headers(snapshot, snapshot.etag(shape.value[0]) if has_tag else None)
    headers["Lake-Rows"] = str(outcome.rows)
    if outcome.complete_to:
        headers["Lake-Complete-To"] = outcome.complete_to.isoformat()
    if outcome.next:
        headers["Lake-Next"] = outcome.next
        headers["Link"] = f'<{request.url.include_query_params(cursor=outcome.next)}>; rel="next"'
    return Response(outcome.body, headers=headers, media_type=shape.media_type)


def _handle_errors(app: FastAPI) -> None:
    @app.exception_handler(LakemeshError)
    async def known_error(_: Request, error: LakemeshError) -> Response:
        return _problem(problem_of(error))

    @app.exception_handler(RequestValidationError)
    async def invalid(_: Request, error: RequestValidationError) -> Response:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        return _problem(Problem(Kind.BAD_REQUEST, f"{place}: {first['msg']}; see /openapi.json"))

    @app.exception_handler(HTTPException)
    async def http(_: Request, error: HTTPException) -> Response:
        kinds = {404: Kind.NOT_FOUND, 405: Kind.METHOD}
        kind = kinds.get(error.status_code, Kind.BAD_REQUEST)
        return _problem(Problem(kind, f"{error.detail}; see /openapi.json", error.headers))


def _problem(problem: Problem) -> Response:
    headers = {"Cache-Control": "no-store", **problem.headers}
    return Response(as_json(problem.document()), problem.kind.status, headers, MEDIA_TYPE)
