MODEL (
  name gold.fct_acquisitions,
  kind FULL, /* A late order, payment or session may move the first paid order or the channel of any customer: reads every order once, and of the sessions only those of customers that are not direct */
  cron '@daily',
  owner shop,
  description 'One row per acquired customer of the shop: the first paid order, and the channel that brought the customer.',
  grain customer_id,
  tags (gold, shop),
  audits (
    not_null(
      columns := (customer_id, order_id, channel, business_date, cohort_month_date, ordered_at)
    ),
    unique_values(columns := (customer_id, order_id))
  )
);

WITH first_paid_orders AS (
  SELECT
    current_orders.customer_id AS customer_id,
    current_orders.order_id AS order_id,
    current_orders.order_date AS business_date,
    current_orders.ordered_at AS ordered_at
  FROM silver.current_orders AS current_orders
  INNER JOIN gold.fct_orders AS fct_orders
    ON current_orders.order_id = fct_orders.order_id
  WHERE
    NOT current_orders.customer_id IS NULL AND NOT fct_orders.paid_at IS NULL
  QUALIFY
    ROW_NUMBER() OVER (
      PARTITION BY current_orders.customer_id
      ORDER BY current_orders.ordered_at, current_orders.order_id
    ) = 1
), last_sessions AS (
  SELECT
    first_paid_orders.customer_id AS customer_id,
    fct_sessions.session_key AS session_key,
    fct_sessions.channel AS channel
  FROM first_paid_orders AS first_paid_orders
  INNER JOIN gold.fct_sessions AS fct_sessions
    ON first_paid_orders.customer_id = fct_sessions.customer_id
    AND first_paid_orders.ordered_at >= fct_sessions.started_at
    AND first_paid_orders.ordered_at <= fct_sessions.started_at + INTERVAL @attribution_days DAY
  WHERE
    fct_sessions.channel <> 'direct'
  QUALIFY
    ROW_NUMBER() OVER (
      PARTITION BY first_paid_orders.customer_id
      ORDER BY fct_sessions.started_at DESC, fct_sessions.session_key
    ) = 1
)
SELECT
  first_paid_orders.customer_id::BIGINT AS customer_id, /* The customer */
  first_paid_orders.order_id::BIGINT AS order_id, /* First order for which money was taken, key of gold.fct_orders */
  last_sessions.session_key::TEXT AS session_key, /* Last session before it that was not direct, key of gold.fct_sessions; NULL if there is none */
  COALESCE(last_sessions.channel, 'direct')::TEXT AS channel, /* Channel of that session, key of gold.dim_channel; otherwise direct */
  first_paid_orders.business_date::DATE AS business_date, /* Business date on which the order was placed */
  DATE_TRUNC('MONTH', first_paid_orders.business_date)::DATE AS cohort_month_date, /* First day of its month, the cohort of the customer */
  first_paid_orders.ordered_at::TIMESTAMP AS ordered_at /* When the order was placed, UTC */
FROM first_paid_orders AS first_paid_orders
LEFT JOIN last_sessions AS last_sessions
  ON first_paid_orders.customer_id = last_sessions.customer_id
