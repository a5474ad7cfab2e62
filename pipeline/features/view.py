"""The published tables of features: a row per entity and moment, which holds until the next one of the entity."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ingest.errors import ConfigError
from pipeline.releases.release import Release, ReleaseTable


@dataclass(frozen=True, slots=True)
class FeatureView:
    """Features of one kind of entity, in a table of releases.

    Attributes:
        table: name with schema.
        key: its column of the entity.
        at: its column of the moment from which a row holds, TIMESTAMP in UTC.
        meaning: what a row is as of its moment, for people.
    """

    table: str
    key: str
    at: str
    meaning: str

    def described(self, release: Release) -> ReleaseTable:
        """The table in a release.

        Raises:
            ConfigError: the release has none.
        """
        found = release.tables.get(self.table)
        if found is None:
            raise ConfigError(
                f"release {release.number} has no {self.table}; it was published before that table was there: choose "
                "a newer --release"
            )
        return found

    def features(self, release: Release) -> list[tuple[str, str, str]]:
        """Name, SQL type and comment of each feature in a release.

        Raises:
            ConfigError: the release lacks the table.
        """
        return [column for column in self.described(release).columns if column[0] not in (self.key, self.at)]

    def chosen(self, release: Release, names: Sequence[str]) -> list[str]:
        """Names of features, by default of all.

        Raises:
            ConfigError: there is no such feature, or it is named twice.
        """
        known = [name for name, _, _ in self.features(release)]
        unknown = [name for name in names if name not in known]
        if unknown:
            raise ConfigError(f"no feature {', '.join(unknown)} in {self.table}; expected some of {', '.join(known)}")
        if len(set(names)) < len(names):
            raise ConfigError(f"features are named twice in {', '.join(names)}; name each once")
        return list(names) or known


HAPPENED = FeatureView(
    "gold.fct_customer_features", "customer_id", "feature_at", "as it happened: what the shop had committed by then"
)
KNOWN = FeatureView(
    "gold.fct_customer_features_known", "customer_id", "known_at", "as it was known: what had landed by then"
)
VIEWS = (HAPPENED, KNOWN)
