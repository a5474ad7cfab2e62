MODEL (
  name silver.subscription_changes,
  kind CUSTOM (
    materialization 'by_key',
    materialization_properties (key = subscription_id)
  ), /* Any change may arrive late or be corrected */
  cron '@daily',
  owner revenue,
  description 'One row per change of a subscription; among several records of a change the newest wins.',
  grain (subscription_id, version),
  tags (silver, revenue),
  audits (
    not_null(
      columns := (
        subscription_id,
        version,
        account_id,
        plan_id,
        status,
        billing_interval,
        currency,
        quantity,
        unit_amount,
        updated_at
      )
    ),
    grain_is_unique(key := subscription_id, columns := (subscription_id, version)),
    accepted_values(
      "column" := status,
      is_in := ('trialing', 'active', 'past_due', 'paused', 'canceled', 'unpaid')
    ),
    accepted_values("column" := billing_interval, is_in := ('month', 'year')),
    forall(
      criteria := (quantity >= 0, unit_amount >= 0, COALESCE(discount_percent, 0) BETWEEN 0 AND 100)
    )
  )
);

SELECT
  subscriptions.subscription_id::TEXT AS subscription_id, /* Identifier of the subscription */
  subscriptions.version::BIGINT AS version, /* Number of the change within the subscription, ascending */
  subscriptions.account_id::TEXT AS account_id, /* Customer, key of silver.accounts */
  subscriptions.plan_id::TEXT AS plan_id, /* Plan, key of seeds.plans */
  subscriptions.status::TEXT AS status, /* trialing, active, past_due, paused, canceled or unpaid, as reported */
  subscriptions.interval::TEXT AS billing_interval, /* Billing interval: month or year */
  subscriptions.currency::TEXT AS currency, /* Currency of the amounts, ISO 4217 */
  subscriptions.quantity::BIGINT AS quantity, /* Number of seats; zero is possible */
  subscriptions.unit_amount::BIGINT AS unit_amount, /* Price of one seat per interval before discount and tax, minor units of the currency */
  subscriptions.discount_percent::DECIMAL(5, 2) AS discount_percent, /* Discount on the recurring amount, percent; NULL for none */
  subscriptions.started_at::TIMESTAMP AS started_at, /* When the subscription began, trial included, UTC */
  subscriptions.trial_end_at::TIMESTAMP AS trial_end_at, /* End of the trial, UTC; NULL without one */
  subscriptions.current_period_start::TIMESTAMP AS current_period_start_at, /* Start of the paid period, UTC */
  subscriptions.current_period_end::TIMESTAMP AS current_period_end_at, /* End of the paid period, UTC, exclusive */
  subscriptions.cancel_at::TIMESTAMP AS cancel_at, /* Requested end of the service, UTC; NULL without a request */
  subscriptions.canceled_at::TIMESTAMP AS canceled_at, /* When the end was requested, UTC */
  subscriptions.ended_at::TIMESTAMP AS ended_at, /* When the service ended, UTC; NULL while it continues */
  subscriptions.updated_at::TIMESTAMP AS updated_at, /* When the state changed, UTC */
  subscriptions._source_file::TEXT AS _source_file, /* Object that contains the record: bucket/key */
  subscriptions._source_line::BIGINT AS _source_line, /* Line of the record in the object, counted from 1 */
  subscriptions._source_modified_at::TIMESTAMP AS _source_modified_at /* When that object was written, UTC */
FROM bronze.subscriptions AS subscriptions
QUALIFY
  ROW_NUMBER() OVER (
    PARTITION BY subscriptions.subscription_id, subscriptions.version
    ORDER BY subscriptions.updated_at DESC, subscriptions._source_modified_at DESC, subscriptions._source_file DESC, subscriptions._source_line DESC
  ) = 1
