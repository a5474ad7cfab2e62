MODEL (
  name gold.fct_customer_monthly,
  kind CUSTOM (
    materialization 'by_key',
    materialization_properties (key = customer_id, through = (
        order_id
    ))
  ), /* A late order changes the months of its customer alone; a new month concerns all */
  cron '@daily',
  owner shop,
  description 'One row per complete month of the shop and customer who exists at its end, with recency, frequency and monetary value as of then.',
  grain (month_date, customer_id),
  tags (gold, shop),
  audits (
    not_null(
      columns := (
        month_date,
        customer_id,
        segment, /* NULL where a seed lacks a score */
        order_count,
        frequency,
        net_amount,
        margin_amount,
        monetary_amount,
        lifetime_value
      )
    ),
    grain_is_unique(key := customer_id, columns := (month_date, customer_id)),
    forall(
      criteria := (recency_days >= 0, frequency >= 0, order_count BETWEEN 0 AND frequency)
    ),
    months_are_of_who_exists,
    months_have_all_sales,
    scores_are_of_buyers
  )
);

WITH existing_customers AS (
  SELECT
    customers.customer_id AS customer_id,
    @BUSINESS_TIME(customers.valid_from)::DATE AS from_date,
    COALESCE(@BUSINESS_TIME(customers.valid_to)::DATE, '9999-12-31'::DATE) AS to_date
  FROM silver.customers AS customers
  WHERE
    NOT customers.is_deleted
), customer_months AS (
  /* The version in force when the last date ends */
  SELECT
    dim_business_month.month_date AS month_date,
    existing_customers.customer_id AS customer_id,
    dim_business_month.last_date AS last_date
  FROM existing_customers AS existing_customers
  INNER JOIN gold.dim_business_month AS dim_business_month
    ON dim_business_month.last_date >= existing_customers.from_date
    AND dim_business_month.last_date < existing_customers.to_date
), dated_orders AS (
  SELECT
    current_orders.customer_id AS customer_id,
    current_orders.order_date AS order_date,
    DATE_TRUNC('MONTH', current_orders.order_date)::DATE AS month_date,
    DATE_TRUNC('MONTH', @BUSINESS_TIME(current_orders.cancelled_at))::DATE AS cancelled_month_date
  FROM silver.current_orders AS current_orders
), counted_orders AS (
  /* At the end of a month at least */
  SELECT
    dated_orders.customer_id AS customer_id,
    dated_orders.order_date AS order_date,
    dated_orders.month_date AS month_date,
    dated_orders.cancelled_month_date AS cancelled_month_date
  FROM dated_orders AS dated_orders
  WHERE
    dated_orders.cancelled_month_date IS NULL
    OR dated_orders.cancelled_month_date > dated_orders.month_date
), month_sales AS (
  SELECT
    current_orders.customer_id AS customer_id,
    DATE_TRUNC('MONTH', fct_sales.business_date)::DATE AS month_date,
    SUM(fct_sales.net_amount_reporting)::DECIMAL(18, 6) AS net_amount,
    SUM(fct_sales.profit_amount_reporting)::DECIMAL(18, 6) AS margin_amount
  FROM gold.fct_sales AS fct_sales
  INNER JOIN silver.current_orders AS current_orders
    ON fct_sales.order_id = current_orders.order_id
  GROUP BY
    current_orders.customer_id,
    DATE_TRUNC('MONTH', fct_sales.business_date)::DATE
), changes AS (
  /* What enters the sums of twelve months, and leaves them: running sums instead of a join of every month with its orders */
  SELECT
    customer_months.customer_id AS customer_id,
    customer_months.month_date AS month_date,
    customer_months.last_date AS last_date,
    0 AS entering_orders,
    0 AS leaving_orders,
    NULL::DATE AS kept_order_date,
    NULL::DATE AS cancelled_order_date,
    0::DECIMAL(18, 6) AS net_amount,
    0::DECIMAL(18, 6) AS leaving_net_amount,
    0::DECIMAL(18, 6) AS margin_amount
  FROM customer_months AS customer_months
  UNION ALL
  SELECT
    counted_orders.customer_id AS customer_id,
    counted_orders.month_date AS month_date,
    NULL::DATE AS last_date,
    1 AS entering_orders,
    0 AS leaving_orders,
    CASE
      WHEN counted_orders.cancelled_month_date IS NULL
      THEN counted_orders.order_date
    END AS kept_order_date,
    NULL::DATE AS cancelled_order_date,
    0::DECIMAL(18, 6) AS net_amount,
    0::DECIMAL(18, 6) AS leaving_net_amount,
    0::DECIMAL(18, 6) AS margin_amount
  FROM counted_orders AS counted_orders
  UNION ALL
  SELECT
    counted_orders.customer_id AS customer_id,
    LEAST(
      (
        counted_orders.month_date + INTERVAL @rfm_months MONTH
      )::DATE,
      counted_orders.cancelled_month_date
    ) AS month_date,
    NULL::DATE AS last_date,
    0 AS entering_orders,
    1 AS leaving_orders,
    NULL::DATE AS kept_order_date,
    NULL::DATE AS cancelled_order_date,
    0::DECIMAL(18, 6) AS net_amount,
    0::DECIMAL(18, 6) AS leaving_net_amount,
    0::DECIMAL(18, 6) AS margin_amount
  FROM counted_orders AS counted_orders
  UNION ALL
  /* Until they were cancelled, they may have been the last */
  SELECT
    counted_orders.customer_id AS customer_id,
    dim_business_month.month_date AS month_date,
    NULL::DATE AS last_date,
    0 AS entering_orders,
    0 AS leaving_orders,
    NULL::DATE AS kept_order_date,
    counted_orders.order_date AS cancelled_order_date,
    0::DECIMAL(18, 6) AS net_amount,
    0::DECIMAL(18, 6) AS leaving_net_amount,
    0::DECIMAL(18, 6) AS margin_amount
  FROM counted_orders AS counted_orders
  INNER JOIN gold.dim_business_month AS dim_business_month
    ON dim_business_month.month_date >= counted_orders.month_date
    AND dim_business_month.month_date < counted_orders.cancelled_month_date
  UNION ALL
  SELECT
    month_sales.customer_id AS customer_id,
    month_sales.month_date AS month_date,
    NULL::DATE AS last_date,
    0 AS entering_orders,
    0 AS leaving_orders,
    NULL::DATE AS kept_order_date,
    NULL::DATE AS cancelled_order_date,
    month_sales.net_amount AS net_amount,
    0::DECIMAL(18, 6) AS leaving_net_amount,
    month_sales.margin_amount AS margin_amount
  FROM month_sales AS month_sales
  UNION ALL
  SELECT
    month_sales.customer_id AS customer_id,
    (
      month_sales.month_date + INTERVAL @rfm_months MONTH
    )::DATE AS month_date,
    NULL::DATE AS last_date,
    0 AS entering_orders,
    0 AS leaving_orders,
    NULL::DATE AS kept_order_date,
    NULL::DATE AS cancelled_order_date,
    0::DECIMAL(18, 6) AS net_amount,
    month_sales.net_amount AS leaving_net_amount,
    0::DECIMAL(18, 6) AS margin_amount
  FROM month_sales AS month_sales
), month_changes AS (
  SELECT
    changes.customer_id AS customer_id,
    changes.month_date AS month_date,
    MAX(changes.last_date) AS last_date,
    SUM(changes.entering_orders) AS entering_orders,
    SUM(changes.leaving_orders) AS leaving_orders,
    MAX(changes.kept_order_date) AS kept_order_date,
    MAX(changes.cancelled_order_date) AS cancelled_order_date,
    SUM(changes.net_amount) AS net_amount,
    SUM(changes.leaving_net_amount) AS leaving_net_amount,
    SUM(changes.margin_amount) AS margin_amount
  FROM changes AS changes
  GROUP BY
    changes.customer_id,
    changes.month_date
), running_months AS (
  /* Months in which the customer does not exist pass on what they have */
  SELECT
    month_changes.customer_id AS customer_id,
    month_changes.month_date AS month_date,
    month_changes.last_date AS last_date,
    month_changes.entering_orders AS order_count,
    month_changes.net_amount AS net_amount,
    month_changes.margin_amount AS margin_amount,
    SUM(month_changes.entering_orders - month_changes.leaving_orders) OVER (
      PARTITION BY month_changes.customer_id
      ORDER BY month_changes.month_date
      ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
    )::BIGINT AS frequency,
    GREATEST(
      MAX(month_changes.kept_order_date) OVER (
        PARTITION BY month_changes.customer_id
        ORDER BY month_changes.month_date
        ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
      ),
      month_changes.cancelled_order_date
    ) AS last_order_date,
    SUM(month_changes.net_amount - month_changes.leaving_net_amount) OVER (
      PARTITION BY month_changes.customer_id
      ORDER BY month_changes.month_date
      ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
    )::DECIMAL(18, 6) AS monetary_amount,
    SUM(month_changes.margin_amount) OVER (
      PARTITION BY month_changes.customer_id
      ORDER BY month_changes.month_date
      ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
    )::DECIMAL(18, 6) AS lifetime_value
  FROM month_changes AS month_changes
), measured_months AS (
  SELECT
    running_months.month_date AS month_date,
    running_months.customer_id AS customer_id,
    running_months.last_order_date AS last_order_date,
    DATE_DIFF('DAY', running_months.last_order_date, running_months.last_date) AS recency_days,
    running_months.order_count AS order_count,
    running_months.frequency AS frequency,
    running_months.net_amount AS net_amount,
    running_months.margin_amount AS margin_amount,
    running_months.monetary_amount AS monetary_amount,
    running_months.lifetime_value AS lifetime_value
  FROM running_months AS running_months
  WHERE
    NOT running_months.last_date IS NULL
), cuts AS (
  SELECT
    rfm_cuts.measure AS measure,
    rfm_cuts.score AS score,
    COALESCE(rfm_cuts.from_value::DECIMAL(18, 6), -999999999999.0::DECIMAL(18, 6)) AS from_value,
    COALESCE(rfm_cuts.to_value::DECIMAL(18, 6), 999999999999.0::DECIMAL(18, 6)) AS to_value
  FROM seeds.rfm_cuts AS rfm_cuts
)
SELECT
  measured_months.month_date::DATE AS month_date, /* First day of the month */
  measured_months.customer_id::BIGINT AS customer_id, /* Identifier of the customer, who exists at the end of the month */
  CASE
    WHEN measured_months.last_order_date IS NULL
    THEN 'prospect'
    ELSE rfm_segments.segment
  END::TEXT AS segment, /* Segment of the scores of recency and frequency; prospect without an order that counts */
  recency_cuts.score::INT AS recency_score, /* Score of recency_days, 1 to 5, the best; NULL for prospects */
  CASE WHEN NOT measured_months.last_order_date IS NULL THEN frequency_cuts.score END::INT AS frequency_score, /* Score of frequency, 1 to 5, the best; NULL for prospects */
  CASE WHEN NOT measured_months.last_order_date IS NULL THEN monetary_cuts.score END::INT AS monetary_score, /* Score of monetary_amount, 1 to 5, the best; NULL for prospects */
  measured_months.last_order_date::DATE AS last_order_date, /* Business date of the last order that counts; NULL for prospects */
  measured_months.recency_days::INT AS recency_days, /* Days from that to the last day of the month; NULL for prospects */
  measured_months.order_count::BIGINT AS order_count, /* Orders placed in the month that count at its end, additive */
  measured_months.frequency::BIGINT AS frequency, /* Orders placed in rfm_months months up to the end that count then; NOT additive over months */
  measured_months.net_amount::DECIMAL(18, 6) AS net_amount, /* Net revenue of the events of the month, reporting currency, additive */
  measured_months.margin_amount::DECIMAL(18, 6) AS margin_amount, /* Contribution margin of the events of the month, reporting currency, additive */
  measured_months.monetary_amount::DECIMAL(18, 6) AS monetary_amount, /* Net revenue of the events of rfm_months months up to the end, reporting currency; NOT additive over months */
  measured_months.lifetime_value::DECIMAL(18, 6) AS lifetime_value /* Contribution margin of all events up to the end, reporting currency; NOT additive over months */
FROM measured_months AS measured_months
LEFT JOIN cuts AS recency_cuts
  ON measured_months.recency_days >= recency_cuts.from_value
  AND measured_months.recency_days < recency_cuts.to_value
  AND recency_cuts.measure = 'recency'
LEFT JOIN cuts AS frequency_cuts
  ON measured_months.frequency >= frequency_cuts.from_value
  AND measured_months.frequency < frequency_cuts.to_value
  AND frequency_cuts.measure = 'frequency'
LEFT JOIN cuts AS monetary_cuts
  ON measured_months.monetary_amount >= monetary_cuts.from_value
  AND measured_months.monetary_amount < monetary_cuts.to_value
  AND monetary_cuts.measure = 'monetary'
LEFT JOIN seeds.rfm_segments AS rfm_segments
  ON recency_cuts.score = rfm_segments.recency_score
  AND frequency_cuts.score = rfm_segments.frequency_score
