"""What roles see of the release, at the end of a cycle: their files, their schemas in Postgres, their pages."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from ingest.contracts.contract import Contract
from ingest.settings import Settings
from pipeline.access.privacy import minimum_group_size
from pipeline.access.roles import Role, load_roles
from pipeline.access.view import View
from pipeline.cycle.pages import DASHBOARDS, METRICS, rules_of_pages
from pipeline.cycle.summary import RunSummary
from pipeline.lake import Lake
from pipeline.metrics.definition import REPORTING_CURRENCY
from pipeline.portal import assets
from pipeline.portal.guard import Guard
from pipeline.portal.publication import Sources, refresh
from pipeline.releases import roles as releases
from pipeline.releases.release import Releases
from pipeline.releases.role_views import views_of
from pipeline.warehouse.classes import Classes, project_classes
from pipeline.warehouse.project import Project


def write_roles(lake: Lake, project: Project, contracts: Mapping[str, Contract], summary: RunSummary) -> None:
    """Bring the releases of all roles to the state of that which readers get.

    A failure of one role is an error of the summary; the release itself and other roles do not depend on it.

    Args:
        summary: receives what was done, and errors.
    """
    with summary.contained("the roles"):
        everything, folder = lake.releases, Path(project.context.path)
        release, defined = everything.current(), load_roles(folder)
        known = releases.registered(everything)
        names = {role.name for role in defined}
        if release is None or not (names or known):
            return
        with summary.stage("roles"):
            releases.register(everything, known | names)
            classes = project_classes(project.context, contracts) if names else None
            for role in defined:
                assert classes is not None
                with summary.contained(f"role {role.name}"):
                    key = lake.options.role_keys.get(role.name)
                    views = views_of(role, release, classes.columns, classes.privacy.groups, key)
                    own = Releases(releases.settings_of(lake.options, role.name))
                    made = releases.make(everything, own, role, views, key)
                    summary.roles += [made] if made else []
                    if made and (reasons := made.reasons):
                        with summary.contained("the audit log"):
                            about = {"role": role.name, "release": made.number, "reasons": reasons}
                            lake.audit_log.append("role_changed", about)
                    serve_role(own, summary)
                    _write_pages(own, project, contracts, classes, role, views)
            for name in sorted(known - names):
                with summary.contained(f"the removed role {name}"):
                    _remove(lake.options, name, summary)
                    lake.audit_log.append("role_removed", {"role": name})
                    known -= {name}
            releases.register(everything, known | names)


def serve_role(own: Releases, summary: RunSummary) -> None:
    """Copy a role's current release to its schema in Postgres, if SERVING_DSN is set."""
    options = own.options
    if not options.serving_dsn:
        return
    from pipeline.serving.serve import serve  # needs the extra `postgres`

    served = serve(options, own, options.state_lock_seconds)
    summary.warnings += served.warnings


def _remove(options: Settings, name: str, summary: RunSummary) -> None:
    """Delete all that a removed role could see."""
    own = Releases(releases.settings_of(options, name))
    if releases.empty(own, name):
        serve_role(own, summary)
    releases.delete(own, name)
    summary.removed_roles.append(name)


def _write_pages(
    own: Releases,
    project: Project,
    contracts: Mapping[str, Contract],
    classes: Classes,
    role: Role,
    views: Mapping[str, View],
) -> None:
    """Write a role's pages: those dashboards of which it sees all tables and columns as they are; without the catalog,
    which describes what it does not see."""
    folder = Path(project.context.path)
    if not (any((folder / DASHBOARDS).glob("*.yaml")) and assets.is_installed()):
        return
    variables = project.context.config.variables
    least = max(minimum_group_size(variables), role.minimum_group_size)
    currency = str(variables.get(REPORTING_CURRENCY) or "")
    rules = "-".join([rules_of_pages(folder, least, contracts), *(view.digest for view in views.values())])
    guard = Guard.of(classes, least)
    masked = {name: guard.restricted.get(name, frozenset()) | view.masked for name, view in views.items()}
    guard = replace(guard, restricted={**guard.restricted, **masked})
    refresh(own, Sources(folder / METRICS, folder / DASHBOARDS, currency, None, lambda: guard, rules))
