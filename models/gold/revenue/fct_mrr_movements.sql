MODEL (
  name gold.fct_mrr_movements,
  kind CUSTOM (
    materialization 'by_key',
    materialization_properties (key = account_id)
  ), /* Like gold.fct_mrr_monthly, whose differences it explains */
  cron '@daily',
  owner revenue,
  description 'One row per complete month, customer and movement of its recurring revenue; fx may accompany one other, and a movement of 0 has no row.',
  grain (month_date, account_id, movement_type),
  tags (gold, revenue),
  audits (
    not_null(
      columns := (month_date, account_id, movement_type, amount, opening_mrr, closing_mrr)
    ),
    grain_is_unique(key := account_id, columns := (month_date, account_id, movement_type)),
    accepted_values(
      "column" := movement_type,
      is_in := ('fx', 'new', 'expansion', 'contraction', 'churn', 'reactivation')
    ),
    forall(
      criteria := (
        amount <> 0,
        movement_type = 'fx'
        OR (
          amount > 0
        ) = (
          movement_type IN ('new', 'expansion', 'reactivation')
        )
      )
    ),
    movements_explain_balances
  )
);

WITH movements AS (
  SELECT
    fct_mrr_monthly.month_date AS month_date,
    fct_mrr_monthly.account_id AS account_id,
    'fx' AS movement_type,
    fct_mrr_monthly.opening_mrr_at_rate - fct_mrr_monthly.opening_mrr AS amount,
    fct_mrr_monthly.opening_mrr AS opening_mrr,
    fct_mrr_monthly.closing_mrr AS closing_mrr
  FROM gold.fct_mrr_monthly AS fct_mrr_monthly
  UNION ALL
  SELECT
    fct_mrr_monthly.month_date AS month_date,
    fct_mrr_monthly.account_id AS account_id,
    CASE
      WHEN fct_mrr_monthly.opening_mrr = 0
      AND fct_mrr_monthly.month_date = fct_mrr_monthly.cohort_month_date
      THEN 'new'
      WHEN fct_mrr_monthly.opening_mrr = 0
      THEN 'reactivation'
      WHEN fct_mrr_monthly.closing_mrr = 0
      THEN 'churn'
      WHEN fct_mrr_monthly.closing_mrr > fct_mrr_monthly.opening_mrr_at_rate
      THEN 'expansion'
      ELSE 'contraction'
    END AS movement_type,
    fct_mrr_monthly.closing_mrr - fct_mrr_monthly.opening_mrr_at_rate AS amount,
    fct_mrr_monthly.opening_mrr AS opening_mrr,
    fct_mrr_monthly.closing_mrr AS closing_mrr
  FROM gold.fct_mrr_monthly AS fct_mrr_monthly
)
SELECT
  movements.month_date::DATE AS month_date, /* First day of the month */
  movements.account_id::TEXT AS account_id, /* Customer, key of gold.dim_account */
  movements.movement_type::TEXT AS movement_type, /* fx, new, expansion, contraction, churn or reactivation */
  movements.amount::DECIMAL(18, 6) AS amount, /* Change of MRR, reporting currency, additive; negative for a decrease */
  movements.opening_mrr::DECIMAL(18, 6) AS opening_mrr, /* MRR of the customer at the end of the month before, at the rate of that month */
  movements.closing_mrr::DECIMAL(18, 6) AS closing_mrr /* MRR of the customer at the end of the month */
FROM movements AS movements
WHERE
  movements.amount <> 0
