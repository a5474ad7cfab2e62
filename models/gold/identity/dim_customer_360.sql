MODEL (
  name gold.dim_customer_360,
  kind FULL, /* What any domain knows of a customer now */
  cron '@daily',
  owner shop,
  description 'One row per customer of the shop who exists, with the account and app user of the same person, and what each domain knows now.',
  grain customer_id,
  tags (gold, identity),
  audits (
    not_null(columns := (customer_id, order_count, net_amount)),
    unique_values(columns := customer_id),
    unique_combination_of_columns(columns := account_id, condition := NOT account_id IS NULL),
    forall(
      criteria := (
        COALESCE(churn_score BETWEEN 0 AND 1, TRUE),
        COALESCE(play_days BETWEEN 0 AND 28, TRUE),
        NOT account_id IS NULL OR (
          mrr IS NULL AND user_key IS NULL
        )
      )
    ),
    customers_are_all_who_exist
  )
);

WITH customers AS (
  SELECT
    customers.customer_id AS customer_id,
    customers.country_code AS country_code,
    customers.created_at AS created_at,
    LOWER(TRIM(customers.email)) AS email
  FROM silver.customers AS customers
  WHERE
    customers.is_current AND NOT customers.is_deleted
), accounts AS (
  SELECT
    accounts.account_id AS account_id,
    accounts.user_id AS user_id,
    LOWER(TRIM(accounts.email)) AS email
  FROM silver.accounts AS accounts
  WHERE
    accounts.is_current
), customer_addresses AS (
  SELECT
    customers.email AS email
  FROM customers AS customers
  WHERE
    customers.email <> ''
  GROUP BY
    customers.email
  HAVING
    COUNT(*) = 1
), account_addresses AS (
  SELECT
    accounts.email AS email,
    MIN(accounts.account_id) AS account_id,
    MIN(accounts.user_id) AS user_id
  FROM accounts AS accounts
  GROUP BY
    accounts.email
  HAVING
    COUNT(*) = 1
), related_accounts AS (
  SELECT
    customer_addresses.email AS email,
    account_addresses.account_id AS account_id,
    account_addresses.user_id AS user_id
  FROM customer_addresses AS customer_addresses
  INNER JOIN account_addresses AS account_addresses
    ON customer_addresses.email = account_addresses.email
), customer_orders AS (
  SELECT
    current_orders.customer_id AS customer_id,
    COUNT(CASE WHEN current_orders.cancelled_at IS NULL THEN 1 END) AS order_count,
    SUM(fct_orders.remaining_net_amount_reporting)::DECIMAL(18, 6) AS net_amount,
    MAX(CASE WHEN current_orders.cancelled_at IS NULL THEN current_orders.order_date END) AS last_order_date
  FROM silver.current_orders AS current_orders
  INNER JOIN gold.fct_orders AS fct_orders
    ON current_orders.order_id = fct_orders.order_id
  GROUP BY
    current_orders.customer_id
), last_month AS (
  SELECT
    MAX(dim_business_month.month_date) AS month_date
  FROM gold.dim_business_month AS dim_business_month
), customer_values AS (
  SELECT
    fct_customer_monthly.customer_id AS customer_id,
    fct_customer_monthly.segment AS segment,
    fct_customer_monthly.lifetime_value AS lifetime_value,
    rpt_churn_risk.churn_score AS churn_score
  FROM gold.fct_customer_monthly AS fct_customer_monthly
  INNER JOIN last_month AS last_month
    ON fct_customer_monthly.month_date = last_month.month_date
  LEFT JOIN gold.rpt_churn_risk AS rpt_churn_risk
    ON fct_customer_monthly.month_date = rpt_churn_risk.month_date
    AND fct_customer_monthly.recency_score = rpt_churn_risk.recency_score
    AND fct_customer_monthly.frequency_score = rpt_churn_risk.frequency_score
), last_mrr_month AS (
  SELECT
    MAX(dim_month.month_date) AS month_date
  FROM gold.dim_month AS dim_month
), account_mrr AS (
  SELECT
    fct_mrr_monthly.account_id AS account_id,
    fct_mrr_monthly.closing_mrr AS mrr
  FROM gold.fct_mrr_monthly AS fct_mrr_monthly
  INNER JOIN last_mrr_month AS last_mrr_month
    ON fct_mrr_monthly.month_date = last_mrr_month.month_date
), last_play_date AS (
  SELECT
    MAX(rpt_active_users.date) AS date
  FROM gold.rpt_active_users AS rpt_active_users
), user_plays AS (
  SELECT
    user_activity_daily.user_id AS user_id,
    COUNT(*) AS play_days
  FROM silver.user_activity_daily AS user_activity_daily
  INNER JOIN last_play_date AS last_play_date
    ON user_activity_daily.date > (
      last_play_date.date - INTERVAL '28' DAY
    )::DATE
    AND user_activity_daily.date <= last_play_date.date
  GROUP BY
    user_activity_daily.user_id
)
SELECT
  customers.customer_id::BIGINT AS customer_id, /* Identifier of the customer of the shop */
  related_accounts.account_id::TEXT AS account_id, /* Account with the same e-mail address, key of gold.dim_account; NULL if none or several have it, or several customers do */
  MD5(related_accounts.user_id)::TEXT AS user_key, /* Surrogate key of the app account of that account, as of its newest version and as in gold.fct_active_users_daily; NULL if it has none */
  customers.country_code::TEXT AS country_code, /* Country of the customer, ISO 3166 alpha-2, upper case; NULL if unknown */
  fct_acquisitions.channel::TEXT AS acquisition_channel, /* Channel that acquired the customer, key of gold.dim_channel; NULL without a paid order */
  customer_values.segment::TEXT AS segment, /* Segment at the end of the last complete month; NULL for customers who did not exist then */
  COALESCE(customer_orders.order_count, 0)::BIGINT AS order_count, /* Orders of the shop that are not cancelled, additive */
  COALESCE(customer_orders.net_amount, 0)::DECIMAL(18, 6) AS net_amount, /* Net revenue left of all orders after all events, reporting currency, additive */
  customer_values.lifetime_value::DECIMAL(18, 6) AS lifetime_value, /* Contribution margin up to the end of the last complete month, reporting currency, additive; NULL for customers who did not exist then */
  customer_values.churn_score::DOUBLE AS churn_score, /* Probability to place no order in the churn_days after the last complete month; NULL for prospects and without history; NOT additive */
  CASE
    WHEN NOT related_accounts.account_id IS NULL
    THEN COALESCE(account_mrr.mrr, 0)
  END::DECIMAL(18, 6) AS mrr, /* MRR of the account at the end of the last complete month, reporting currency, additive; NULL without an account */
  CASE
    WHEN NOT related_accounts.user_id IS NULL
    THEN COALESCE(user_plays.play_days, 0)
  END::INT AS play_days, /* Days with a play among the last 28 computed, 0 to 28; NULL without an app account; NOT additive */
  customer_orders.last_order_date::DATE AS last_order_date, /* Business date of the last order that is not cancelled; NULL without one */
  customers.created_at::TIMESTAMP AS created_at /* When the customer registered, UTC */
FROM customers AS customers
LEFT JOIN related_accounts AS related_accounts
  ON customers.email = related_accounts.email
LEFT JOIN gold.fct_acquisitions AS fct_acquisitions
  ON customers.customer_id = fct_acquisitions.customer_id
LEFT JOIN customer_orders AS customer_orders
  ON customers.customer_id = customer_orders.customer_id
LEFT JOIN customer_values AS customer_values
  ON customers.customer_id = customer_values.customer_id
LEFT JOIN account_mrr AS account_mrr
  ON related_accounts.account_id = account_mrr.account_id
LEFT JOIN user_plays AS user_plays
  ON related_accounts.user_id = user_plays.user_id
