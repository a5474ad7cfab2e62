MODEL (
  name gold.rpt_churn_risk,
  kind FULL, /* A late order changes outcomes of its months, and the scores of all later ones that follow from them */
  cron '@daily',
  owner shop,
  description 'One row per complete month and pair of recency and frequency scores that customers of the shop have at its end: the probability that one places no order in the churn_days that follow, and what came of it.',
  grain (month_date, recency_score, frequency_score),
  tags (gold, shop),
  audits (
    not_null(
      columns := (
        month_date,
        recency_score,
        frequency_score,
        segment,
        customers,
        history_customers,
        history_churned_customers,
        scored_customers,
        outcome_customers,
        tested_customers
      )
    ),
    unique_combination_of_columns(columns := (month_date, recency_score, frequency_score)),
    forall(
      criteria := (
        customers > 0,
        history_churned_customers BETWEEN 0 AND history_customers,
        scored_customers IN (0, customers),
        outcome_customers IN (0, customers),
        tested_customers = LEAST(scored_customers, outcome_customers),
        COALESCE(churned_customers BETWEEN 0 AND outcome_customers, outcome_customers = 0)
      )
    ),
    scores_are_probabilities,
    risk_is_of_all_buyers
  )
);

WITH outcome_months AS (
  /* Known once the last of the dates that follow is computed */
  SELECT
    dim_business_month.month_date AS month_date,
    dim_business_month.last_date AS last_date,
    (
      dim_business_month.last_date + INTERVAL @churn_days DAY
    )::DATE AS outcome_date,
    (
      NOT business_dates.business_date IS NULL
    ) AS is_known
  FROM gold.dim_business_month AS dim_business_month
  LEFT JOIN silver.business_dates AS business_dates
    ON (
      dim_business_month.last_date + INTERVAL @churn_days DAY
    )::DATE = business_dates.business_date
), returning_customers AS (
  SELECT DISTINCT
    outcome_months.month_date AS month_date,
    current_orders.customer_id AS customer_id
  FROM silver.current_orders AS current_orders
  INNER JOIN outcome_months AS outcome_months
    ON current_orders.order_date > outcome_months.last_date
    AND current_orders.order_date <= outcome_months.outcome_date
  WHERE
    current_orders.cancelled_at IS NULL
    OR @BUSINESS_TIME(current_orders.cancelled_at)::DATE > outcome_months.outcome_date
), pairs AS (
  SELECT
    fct_customer_monthly.month_date AS month_date,
    fct_customer_monthly.recency_score AS recency_score,
    fct_customer_monthly.frequency_score AS frequency_score,
    fct_customer_monthly.segment AS segment,
    COUNT(*) AS customers,
    COUNT(*) - COUNT(returning_customers.customer_id) AS churned_customers
  FROM gold.fct_customer_monthly AS fct_customer_monthly
  LEFT JOIN returning_customers AS returning_customers
    ON fct_customer_monthly.month_date = returning_customers.month_date
    AND fct_customer_monthly.customer_id = returning_customers.customer_id
  WHERE
    fct_customer_monthly.segment <> 'prospect'
  GROUP BY
    fct_customer_monthly.month_date,
    fct_customer_monthly.recency_score,
    fct_customer_monthly.frequency_score,
    fct_customer_monthly.segment
), history AS (
  /* Of each month, the pairs of earlier ones whose outcome was known when it ended */
  SELECT
    outcome_months.month_date AS month_date,
    pairs.recency_score AS recency_score,
    pairs.frequency_score AS frequency_score,
    SUM(pairs.customers) AS customers,
    SUM(pairs.churned_customers) AS churned_customers
  FROM outcome_months AS outcome_months
  INNER JOIN outcome_months AS earlier_months
    ON outcome_months.last_date >= earlier_months.outcome_date
    AND outcome_months.month_date <= (
      earlier_months.month_date + INTERVAL @churn_months MONTH
    )::DATE
  INNER JOIN pairs AS pairs
    ON earlier_months.month_date = pairs.month_date
  GROUP BY
    outcome_months.month_date,
    pairs.recency_score,
    pairs.frequency_score
), base_rates AS (
  SELECT
    history.month_date AS month_date,
    SUM(history.churned_customers)::DOUBLE / NULLIF(SUM(history.customers), 0)::DOUBLE AS base_rate
  FROM history AS history
  GROUP BY
    history.month_date
), scores AS (
  SELECT
    pairs.month_date AS month_date,
    pairs.recency_score AS recency_score,
    pairs.frequency_score AS frequency_score,
    pairs.segment AS segment,
    pairs.customers AS customers,
    COALESCE(history.customers, 0) AS history_customers,
    COALESCE(history.churned_customers, 0) AS history_churned_customers,
    base_rates.base_rate AS base_rate,
    (
      COALESCE(history.churned_customers, 0)::DOUBLE + @churn_prior_customers::DOUBLE * base_rates.base_rate
    ) / NULLIF(COALESCE(history.customers, 0)::DOUBLE + @churn_prior_customers::DOUBLE, 0) AS churn_score,
    outcome_months.is_known AS is_known,
    CASE WHEN outcome_months.is_known THEN pairs.churned_customers END AS churned_customers
  FROM pairs AS pairs
  INNER JOIN outcome_months AS outcome_months
    ON pairs.month_date = outcome_months.month_date
  LEFT JOIN history AS history
    ON pairs.month_date = history.month_date
    AND pairs.recency_score = history.recency_score
    AND pairs.frequency_score = history.frequency_score
  LEFT JOIN base_rates AS base_rates
    ON pairs.month_date = base_rates.month_date
)
SELECT
  scores.month_date::DATE AS month_date, /* First day of the month at whose end customers have the scores */
  scores.recency_score::INT AS recency_score, /* Score of the days since the last order, 1 to 5, the best */
  scores.frequency_score::INT AS frequency_score, /* Score of the orders of rfm_months months, 1 to 5, the best */
  scores.segment::TEXT AS segment, /* Segment of the two */
  scores.customers::BIGINT AS customers, /* Customers who have them, additive over pairs, not over months */
  scores.history_customers::BIGINT AS history_customers, /* Customers who had them at the ends of earlier months whose outcome was known by the end of this one; NOT additive over months */
  scores.history_churned_customers::BIGINT AS history_churned_customers, /* Of these, those who churned; NOT additive over months */
  scores.base_rate::DOUBLE AS base_rate, /* Share that churned among the customers of all pairs at those ends; NULL without any; NOT additive */
  scores.churn_score::DOUBLE AS churn_score, /* Probability to churn: the share of the pair, drawn towards base_rate; NULL without a base rate; NOT additive */
  CASE WHEN scores.base_rate IS NULL THEN 0 ELSE scores.customers END::BIGINT AS scored_customers, /* Customers with a churn score, additive over pairs, not over months */
  (
    scores.customers * scores.churn_score
  )::DOUBLE AS expected_churned_customers, /* Customers expected to churn: customers × churn_score, additive over pairs, not over months; NULL without a score */
  CASE WHEN scores.is_known THEN scores.customers ELSE 0 END::BIGINT AS outcome_customers, /* Customers of whom it is known whether they churned, additive; over months a customer counts in each */
  scores.churned_customers::BIGINT AS churned_customers, /* Of these, those without an order in the churn_days after the month, additive; NULL until that is known */
  CASE
    WHEN scores.is_known AND NOT scores.base_rate IS NULL
    THEN scores.customers
    ELSE 0
  END::BIGINT AS tested_customers, /* Customers with a score and a known outcome, additive */
  (
    scores.churned_customers * (
      1.0::DOUBLE - scores.churn_score
    ) * (
      1.0::DOUBLE - scores.churn_score
    ) + (
      scores.customers - scores.churned_customers
    ) * scores.churn_score * scores.churn_score
  )::DOUBLE AS squared_error, /* Sum of (churn_score − outcome)² over tested_customers, the numerator of the Brier score, additive */
  (
    scores.churned_customers * (
      1.0::DOUBLE - scores.base_rate
    ) * (
      1.0::DOUBLE - scores.base_rate
    ) + (
      scores.customers - scores.churned_customers
    ) * scores.base_rate * scores.base_rate
  )::DOUBLE AS base_squared_error /* The same of base_rate, which churn_score must beat, additive */
FROM scores AS scores
