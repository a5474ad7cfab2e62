MODEL (
  name gold.fct_customer_features,
  kind CUSTOM (
    materialization 'by_key',
    materialization_properties (key = customer_id)
  ), /* A late change moves the later rows of its customer alone */
  cron '@daily',
  owner shop,
  description 'One row per customer of the shop and moment at which a feature changed, as the shop committed it: what was true of the customer from then on.',
  grain (customer_id, feature_at),
  tags (gold, shop),
  audits (
    not_null(
      columns := (
        customer_id,
        feature_at,
        is_registered,
        order_count,
        cancelled_order_count,
        refund_count,
        gross_amount,
        net_amount,
        refunded_amount
      )
    ),
    grain_is_unique(key := customer_id, columns := (customer_id, feature_at)),
    forall(
      criteria := (
        cancelled_order_count BETWEEN 0 AND order_count,
        refund_count >= 0,
        first_order_at <= last_order_at
      )
    )
  )
);

WITH customer_versions AS (
  SELECT
    customers.customer_id AS customer_id,
    customers.changed_at AS from_at,
    LEAD(customers.changed_at) OVER (PARTITION BY customers.customer_id ORDER BY customers.valid_from) AS to_at,
    CASE WHEN NOT customers.is_deleted THEN customers.country_code END AS country_code,
    CASE WHEN NOT customers.is_deleted THEN customers.created_at END AS created_at,
    customers.is_deleted AS is_deleted
  FROM silver.customers AS customers
), known_versions AS (
  SELECT
    customer_versions.customer_id AS customer_id,
    customer_versions.from_at AS from_at,
    customer_versions.to_at AS to_at,
    customer_versions.country_code AS country_code,
    customer_versions.created_at AS created_at,
    customer_versions.is_deleted AS is_deleted
  FROM customer_versions AS customer_versions
  WHERE
    customer_versions.to_at IS NULL
    OR customer_versions.from_at < customer_versions.to_at
), compared_versions AS (
  SELECT
    known_versions.customer_id AS customer_id,
    known_versions.from_at AS from_at,
    known_versions.country_code AS country_code,
    known_versions.created_at AS created_at,
    known_versions.is_deleted AS is_deleted,
    LAG(known_versions.country_code) OVER (PARTITION BY known_versions.customer_id ORDER BY known_versions.from_at) AS previous_country_code,
    LAG(known_versions.created_at) OVER (PARTITION BY known_versions.customer_id ORDER BY known_versions.from_at) AS previous_created_at,
    LAG(known_versions.is_deleted) OVER (PARTITION BY known_versions.customer_id ORDER BY known_versions.from_at) AS previous_is_deleted
  FROM known_versions AS known_versions
), changes AS (
  SELECT
    order_changes.customer_id AS customer_id,
    order_changes.changed_at AS feature_at,
    order_changes.order_count AS order_count,
    order_changes.cancelled_order_count AS cancelled_order_count,
    order_changes.refund_count AS refund_count,
    order_changes.gross_amount AS gross_amount,
    order_changes.net_amount AS net_amount,
    order_changes.refunded_amount AS refunded_amount,
    order_changes.ordered_at AS ordered_at
  FROM silver.customer_order_changes AS order_changes
  WHERE
    order_changes.basis = 'changed'
  UNION ALL
  SELECT
    compared_versions.customer_id AS customer_id,
    compared_versions.from_at AS feature_at,
    0 AS order_count,
    0 AS cancelled_order_count,
    0 AS refund_count,
    0::DECIMAL(18, 6) AS gross_amount,
    0::DECIMAL(18, 6) AS net_amount,
    0::DECIMAL(18, 6) AS refunded_amount,
    NULL::TIMESTAMP AS ordered_at
  FROM compared_versions AS compared_versions
  WHERE
    compared_versions.is_deleted IS DISTINCT FROM compared_versions.previous_is_deleted
    OR compared_versions.country_code IS DISTINCT FROM compared_versions.previous_country_code
    OR compared_versions.created_at IS DISTINCT FROM compared_versions.previous_created_at
), moments AS (
  SELECT
    changes.customer_id AS customer_id,
    changes.feature_at AS feature_at,
    SUM(changes.order_count) AS order_count,
    SUM(changes.cancelled_order_count) AS cancelled_order_count,
    SUM(changes.refund_count) AS refund_count,
    SUM(changes.gross_amount) AS gross_amount,
    SUM(changes.net_amount) AS net_amount,
    SUM(changes.refunded_amount) AS refunded_amount,
    MIN(changes.ordered_at) AS first_order_at,
    MAX(changes.ordered_at) AS last_order_at
  FROM changes AS changes
  GROUP BY
    changes.customer_id,
    changes.feature_at
), running AS (
  SELECT
    moments.customer_id AS customer_id,
    moments.feature_at AS feature_at,
    SUM(moments.order_count) OVER (
      PARTITION BY moments.customer_id
      ORDER BY moments.feature_at
      ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
    ) AS order_count,
    SUM(moments.cancelled_order_count) OVER (
      PARTITION BY moments.customer_id
      ORDER BY moments.feature_at
      ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
    ) AS cancelled_order_count,
    SUM(moments.refund_count) OVER (
      PARTITION BY moments.customer_id
      ORDER BY moments.feature_at
      ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
    ) AS refund_count,
    SUM(moments.gross_amount) OVER (
      PARTITION BY moments.customer_id
      ORDER BY moments.feature_at
      ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
    ) AS gross_amount,
    SUM(moments.net_amount) OVER (
      PARTITION BY moments.customer_id
      ORDER BY moments.feature_at
      ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
    ) AS net_amount,
    SUM(moments.refunded_amount) OVER (
      PARTITION BY moments.customer_id
      ORDER BY moments.feature_at
      ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
    ) AS refunded_amount,
    MIN(moments.first_order_at) OVER (
      PARTITION BY moments.customer_id
      ORDER BY moments.feature_at
      ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
    ) AS first_order_at,
    MAX(moments.last_order_at) OVER (
      PARTITION BY moments.customer_id
      ORDER BY moments.feature_at
      ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
    ) AS last_order_at
  FROM moments AS moments
)
SELECT
  running.customer_id::BIGINT AS customer_id, /* Identifier of the customer, registered or not */
  running.feature_at::TIMESTAMP AS feature_at, /* When the shop committed the change, UTC: the row holds until the next one of the customer */
  known_versions.country_code::TEXT AS country_code, /* Country of the customer then, ISO 3166 alpha-2, upper case; NULL if unknown or deleted */
  COALESCE(NOT known_versions.is_deleted, FALSE)::BOOLEAN AS is_registered, /* Whether the customer existed then */
  running.order_count::BIGINT AS order_count, /* Orders of the customer that existed then, cancelled ones included; NOT additive */
  running.cancelled_order_count::BIGINT AS cancelled_order_count, /* Of these, those that were cancelled then; NOT additive */
  running.refund_count::BIGINT AS refund_count, /* Refunds of these orders; NOT additive */
  running.gross_amount::DECIMAL(18, 6) AS gross_amount, /* Gross of these orders as sold, reporting currency; NOT additive */
  running.net_amount::DECIMAL(18, 6) AS net_amount, /* Net revenue of those that were not cancelled then, less what was paid back, reporting currency; NOT additive */
  running.refunded_amount::DECIMAL(18, 6) AS refunded_amount, /* What was paid back of these orders without tax, reporting currency; NOT additive */
  known_versions.created_at::TIMESTAMP AS registered_at, /* When the customer registered, UTC; NULL if unknown or deleted */
  running.first_order_at::TIMESTAMP AS first_order_at, /* Earliest time at which an order of the customer was placed, whatever became of it, UTC; NULL without one */
  running.last_order_at::TIMESTAMP AS last_order_at /* Latest of these times, UTC; NULL without one */
FROM running AS running
LEFT JOIN known_versions AS known_versions
  ON running.customer_id = known_versions.customer_id
  AND running.feature_at >= known_versions.from_at
  AND running.feature_at < COALESCE(known_versions.to_at, '9999-12-31'::TIMESTAMP)
