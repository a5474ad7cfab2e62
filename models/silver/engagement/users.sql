MODEL (
  name silver.users,
  kind CUSTOM (
    materialization 'by_key',
    materialization_properties (key = user_id)
  ), /* The newest of all versions of an account */
  cron '@daily',
  owner engagement,
  description 'One row per account, as its newest record describes it.',
  grain user_id,
  tags (silver, engagement),
  audits (
    not_null(columns := user_id),
    grain_is_unique(key := user_id, columns := (
      user_id
    ))
  )
);

SELECT
  users.user_id::TEXT AS user_id, /* Identifier of the account */
  users.country_code::TEXT AS country_code, /* Country of the account, ISO 3166 alpha-2, lower case */
  users.registration_at::TIMESTAMP AS registration_at, /* When the account was created, UTC */
  users.trial_start_at::TIMESTAMP AS trial_start_at, /* Start of the trial, UTC; NULL until it begins */
  users.trial_end_at::TIMESTAMP AS trial_end_at, /* End of the trial, UTC, inclusive */
  users.subscription_start_at::TIMESTAMP AS subscription_start_at, /* Start of the subscription, UTC; NULL until it begins */
  users.subscription_expire_at::TIMESTAMP AS subscription_expire_at, /* End of the subscription, UTC, inclusive */
  users._source_file::TEXT AS _source_file, /* Object that contains the record: bucket/key */
  users._source_line::BIGINT AS _source_line, /* Line of the record in the object, counted from 1 */
  users._source_modified_at::TIMESTAMP AS _source_modified_at /* When that object was written, UTC */
FROM bronze.users AS users
QUALIFY
  ROW_NUMBER() OVER (
    PARTITION BY users.user_id
    ORDER BY users._source_modified_at DESC, users._source_file DESC, users._source_line DESC
  ) = 1
