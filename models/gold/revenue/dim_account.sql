MODEL (
  name gold.dim_account,
  kind CUSTOM (
    materialization 'by_key',
    materialization_properties (key = account_id)
  ), /* Like silver.accounts: a late version changes the periods of its neighbours */
  cron '@daily',
  owner revenue,
  description 'One row per version of a customer, with its validity period and without personal data.',
  grain account_key,
  tags (gold, revenue),
  audits (
    not_null(columns := (account_key, account_id, valid_from, is_current)),
    grain_is_unique(key := account_id, columns := (account_id, account_key)),
    unique_combination_of_columns(columns := account_id, condition := is_current),
    periods_join(key := account_id)
  )
);

SELECT
  MD5(CONCAT_WS('|', accounts.account_id, accounts.valid_from::TEXT))::TEXT AS account_key, /* Surrogate key of the version */
  accounts.account_id::TEXT AS account_id, /* Identifier of the customer */
  accounts.country_code::TEXT AS country_code, /* Country of the customer, ISO 3166 alpha-2, lower case */
  accounts.acquisition_channel::TEXT AS acquisition_channel, /* Channel that acquired the customer; NULL if unknown */
  (
    NOT accounts.user_id IS NULL
  )::BOOLEAN AS has_app_user, /* Whether the customer has an app account */
  accounts.created_at::TIMESTAMP AS created_at, /* When the customer was created, UTC */
  accounts.valid_from::TIMESTAMP AS valid_from, /* Start of validity, UTC */
  accounts.valid_to::TIMESTAMP AS valid_to, /* End of validity, UTC, exclusive; NULL for the current version */
  accounts.is_current::BOOLEAN AS is_current /* Whether this is the newest version */
FROM silver.accounts AS accounts
