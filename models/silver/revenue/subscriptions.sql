MODEL (
  name silver.subscriptions,
  kind CUSTOM (
    materialization 'by_key',
    materialization_properties (key = subscription_id, logged = (
        account_id
    ))
  ), /* A late change moves the boundaries of its neighbours, so the periods of a subscription are computed from all of its changes */
  cron '@daily',
  owner revenue,
  description 'One row per validity period of a subscription state, without gaps or overlaps; a period is split where the service ends.',
  grain (subscription_id, valid_from),
  tags (silver, revenue),
  audits (
    not_null(
      columns := (
        subscription_id,
        version,
        account_id,
        state,
        is_paying,
        currency,
        mrr, /* NULL where seeds.currencies lacks the currency */
        valid_from,
        is_current
      )
    ),
    grain_is_unique(key := subscription_id, columns := (subscription_id, valid_from)),
    forall(criteria := (mrr >= 0, is_paying OR mrr = 0)),
    periods_join(key := subscription_id)
  )
);

WITH dated_changes AS (
  /* When a change takes effect: churn is dated to the end of the service, not to the day it was reported */
  SELECT
    subscription_changes.subscription_id AS subscription_id,
    subscription_changes.version AS version,
    subscription_changes.updated_at AS updated_at,
    COALESCE(subscription_changes.ended_at, subscription_changes.cancel_at) AS service_ends_at,
    CASE
      WHEN subscription_changes.status = 'canceled'
      AND subscription_changes.ended_at < subscription_changes.updated_at
      THEN subscription_changes.ended_at
      ELSE subscription_changes.updated_at
    END AS counts_from
  FROM silver.subscription_changes AS subscription_changes
), change_periods AS (
  SELECT
    dated_changes.subscription_id AS subscription_id,
    dated_changes.version AS version,
    dated_changes.service_ends_at AS service_ends_at,
    dated_changes.counts_from AS counts_from,
    MIN(dated_changes.counts_from) OVER (
      PARTITION BY dated_changes.subscription_id
      ORDER BY dated_changes.updated_at, dated_changes.version
      ROWS BETWEEN 1 FOLLOWING AND UNBOUNDED FOLLOWING
    ) AS counts_to
  FROM dated_changes AS dated_changes
), kept_periods AS (
  SELECT
    change_periods.subscription_id AS subscription_id,
    change_periods.version AS version,
    change_periods.service_ends_at AS service_ends_at,
    change_periods.counts_from AS counts_from,
    change_periods.counts_to AS counts_to
  FROM change_periods AS change_periods
  WHERE
    change_periods.counts_to IS NULL
    OR change_periods.counts_to > change_periods.counts_from
), split_periods AS (
  /* While the service runs */
  SELECT
    kept_periods.subscription_id AS subscription_id,
    kept_periods.version AS version,
    FALSE AS is_ended,
    kept_periods.service_ends_at AS service_ends_at,
    kept_periods.counts_from AS valid_from,
    CASE
      WHEN kept_periods.service_ends_at < kept_periods.counts_to
      OR kept_periods.counts_to IS NULL
      THEN kept_periods.service_ends_at
      ELSE kept_periods.counts_to
    END AS valid_to
  FROM kept_periods AS kept_periods
  WHERE
    kept_periods.service_ends_at IS NULL
    OR kept_periods.service_ends_at > kept_periods.counts_from
  UNION ALL
  /* After its end */
  SELECT
    kept_periods.subscription_id AS subscription_id,
    kept_periods.version AS version,
    TRUE AS is_ended,
    kept_periods.service_ends_at AS service_ends_at,
    CASE
      WHEN kept_periods.service_ends_at > kept_periods.counts_from
      THEN kept_periods.service_ends_at
      ELSE kept_periods.counts_from
    END AS valid_from,
    kept_periods.counts_to AS valid_to
  FROM kept_periods AS kept_periods
  WHERE
    kept_periods.service_ends_at < kept_periods.counts_to
    OR (
      NOT kept_periods.service_ends_at IS NULL AND kept_periods.counts_to IS NULL
    )
), priced_periods AS (
  SELECT
    split_periods.subscription_id AS subscription_id,
    split_periods.version AS version,
    subscription_changes.account_id AS account_id,
    subscription_changes.plan_id AS plan_id,
    subscription_changes.status AS status,
    CASE
      WHEN split_periods.is_ended
      THEN 'canceled'
      WHEN subscription_changes.status = 'canceled'
      AND subscription_changes.trial_end_at >= split_periods.service_ends_at
      THEN 'trialing'
      WHEN subscription_changes.status = 'canceled'
      AND NOT split_periods.service_ends_at IS NULL
      THEN 'active'
      ELSE subscription_changes.status
    END AS state,
    subscription_changes.billing_interval AS billing_interval,
    subscription_changes.currency AS currency,
    subscription_changes.quantity AS quantity,
    @HALF_UP(
      subscription_changes.unit_amount * subscription_changes.quantity * (
        10000 - ROUND(COALESCE(subscription_changes.discount_percent, 0) * 100)::BIGINT
      ) * @TEN_THOUSANDTHS(currencies.digits),
      CASE subscription_changes.billing_interval WHEN 'year' THEN 1200 ELSE 100 END
    ) AS millionths,
    split_periods.service_ends_at AS service_ends_at,
    subscription_changes.current_period_end_at AS current_period_end_at,
    split_periods.valid_from AS valid_from,
    split_periods.valid_to AS valid_to
  FROM split_periods AS split_periods
  INNER JOIN silver.subscription_changes AS subscription_changes
    ON split_periods.subscription_id = subscription_changes.subscription_id
    AND split_periods.version = subscription_changes.version
  LEFT JOIN seeds.currencies AS currencies
    ON subscription_changes.currency = currencies.currency
)
SELECT
  priced_periods.subscription_id::TEXT AS subscription_id, /* Identifier of the subscription */
  priced_periods.version::BIGINT AS version, /* Change in effect during the period; with subscription_id the key of silver.subscription_changes */
  priced_periods.account_id::TEXT AS account_id, /* Customer, key of silver.accounts */
  priced_periods.plan_id::TEXT AS plan_id, /* Plan, key of seeds.plans */
  priced_periods.state::TEXT AS state, /* Effective status: that of the change; canceled once the service has ended; until then a canceled one is active, or trialing if it ends with its trial */
  priced_periods.status::TEXT AS status, /* Status reported by the change */
  (
    priced_periods.state IN ('active', 'past_due')
  )::BOOLEAN AS is_paying, /* Whether the period counts towards MRR, which may still be 0 */
  priced_periods.billing_interval::TEXT AS billing_interval, /* Billing interval: month or year */
  priced_periods.currency::TEXT AS currency, /* Currency of mrr, ISO 4217 */
  priced_periods.quantity::BIGINT AS quantity, /* Number of seats */
  CASE
    WHEN priced_periods.millionths IS NULL
    THEN NULL
    WHEN priced_periods.state IN ('active', 'past_due')
    THEN priced_periods.millionths * 0.000001::DECIMAL(7, 6)
    ELSE 0
  END::DECIMAL(18, 6) AS mrr, /* Monthly recurring revenue, major units of the currency, six decimals, rounded half up */
  priced_periods.service_ends_at::TIMESTAMP AS service_ends_at, /* End of the service as reported by the change, UTC; NULL while no end is known */
  priced_periods.current_period_end_at::TIMESTAMP AS current_period_end_at, /* End of the paid period, UTC, exclusive */
  priced_periods.valid_from::TIMESTAMP AS valid_from, /* Start of the period, UTC */
  priced_periods.valid_to::TIMESTAMP AS valid_to, /* End of the period, UTC, exclusive; NULL for the last one */
  (
    priced_periods.valid_to IS NULL
  )::BOOLEAN AS is_current /* Whether this is the last known period; it may begin in the future, when the service is to end */
FROM priced_periods AS priced_periods
