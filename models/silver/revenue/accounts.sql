MODEL (
  name silver.accounts,
  kind CUSTOM (
    materialization 'by_key',
    materialization_properties (key = account_id)
  ), /* SQLMesh's SCD2 kinds lose versions that arrive late; computing a customer from all of its versions loses none */
  cron '@daily',
  owner revenue,
  description 'One row per version of a customer, with its validity period; late versions are inserted in order.',
  grain (account_id, valid_from),
  tags (silver, revenue),
  audits (
    not_null(columns := (account_id, created_at, updated_at, valid_from, is_current)),
    grain_is_unique(key := account_id, columns := (account_id, valid_from)),
    unique_combination_of_columns(columns := account_id, condition := is_current),
    periods_join(key := account_id)
  )
);

WITH distinct_versions AS (
  /* Duplicates of a version count once */
  SELECT
    accounts.account_id AS account_id,
    accounts.user_id AS user_id,
    accounts.name AS name,
    accounts.email AS email,
    accounts.country_code AS country_code,
    accounts.acquisition_channel AS acquisition_channel,
    accounts.created_at AS created_at,
    accounts.updated_at AS updated_at,
    accounts._source_file AS _source_file,
    accounts._source_line AS _source_line,
    accounts._source_modified_at AS _source_modified_at
  FROM bronze.accounts AS accounts
  QUALIFY
    ROW_NUMBER() OVER (
      PARTITION BY accounts.account_id, accounts.updated_at
      ORDER BY accounts._source_modified_at DESC, accounts._source_file DESC, accounts._source_line DESC
    ) = 1
), ordered_versions AS (
  SELECT
    distinct_versions.account_id AS account_id,
    distinct_versions.user_id AS user_id,
    distinct_versions.name AS name,
    distinct_versions.email AS email,
    distinct_versions.country_code AS country_code,
    distinct_versions.acquisition_channel AS acquisition_channel,
    distinct_versions.created_at AS created_at,
    distinct_versions.updated_at AS updated_at,
    LAG(distinct_versions.updated_at) OVER (PARTITION BY distinct_versions.account_id ORDER BY distinct_versions.updated_at) AS earlier_updated_at,
    LEAD(distinct_versions.updated_at) OVER (PARTITION BY distinct_versions.account_id ORDER BY distinct_versions.updated_at) AS later_updated_at,
    distinct_versions._source_file AS _source_file,
    distinct_versions._source_line AS _source_line,
    distinct_versions._source_modified_at AS _source_modified_at
  FROM distinct_versions AS distinct_versions
)
SELECT
  ordered_versions.account_id::TEXT AS account_id, /* Identifier of the customer */
  ordered_versions.user_id::TEXT AS user_id, /* App account, key of silver.users; NULL for customers who bought without one */
  ordered_versions.name::TEXT AS account_name, /* Name of the customer */
  ordered_versions.email::TEXT AS email, /* Email address for invoices */
  ordered_versions.country_code::TEXT AS country_code, /* Country of the customer, ISO 3166 alpha-2, lower case */
  ordered_versions.acquisition_channel::TEXT AS acquisition_channel, /* Channel that acquired the customer; NULL if unknown */
  ordered_versions.created_at::TIMESTAMP AS created_at, /* When the customer was created, UTC */
  ordered_versions.updated_at::TIMESTAMP AS updated_at, /* When this version was created, UTC */
  CASE
    WHEN ordered_versions.earlier_updated_at IS NULL
    AND ordered_versions.created_at < ordered_versions.updated_at
    THEN ordered_versions.created_at
    ELSE ordered_versions.updated_at
  END::TIMESTAMP AS valid_from, /* Start of validity, UTC: updated_at, or created_at for the first version if that is earlier */
  ordered_versions.later_updated_at::TIMESTAMP AS valid_to, /* End of validity, UTC, exclusive; NULL for the current version */
  (
    ordered_versions.later_updated_at IS NULL
  )::BOOLEAN AS is_current, /* Whether this is the newest version */
  ordered_versions._source_file::TEXT AS _source_file, /* Object that contains the record: bucket/key */
  ordered_versions._source_line::BIGINT AS _source_line, /* Line of the record in the object, counted from 1 */
  ordered_versions._source_modified_at::TIMESTAMP AS _source_modified_at /* When that object was written, UTC */
FROM ordered_versions AS ordered_versions
