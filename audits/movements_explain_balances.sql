AUDIT (
  name movements_explain_balances
);

/* Opening + movements = closing, per month and customer, also without movements */
WITH explained AS (
  SELECT
    movements.month_date AS month_date,
    movements.account_id AS account_id,
    SUM(movements.amount) AS amount
  FROM @this_model AS movements
  WHERE
    @IS_CHANGED(@this_model, movements.account_id)
  GROUP BY
    movements.month_date,
    movements.account_id
)
SELECT
  COALESCE(fct_mrr_monthly.month_date, explained.month_date) AS month_date,
  COALESCE(fct_mrr_monthly.account_id, explained.account_id) AS account_id,
  fct_mrr_monthly.opening_mrr AS opening_mrr,
  explained.amount AS movements,
  fct_mrr_monthly.closing_mrr AS closing_mrr
FROM (
  SELECT
    fct_mrr_monthly.month_date AS month_date,
    fct_mrr_monthly.account_id AS account_id,
    fct_mrr_monthly.opening_mrr AS opening_mrr,
    fct_mrr_monthly.closing_mrr AS closing_mrr
  FROM gold.fct_mrr_monthly AS fct_mrr_monthly
  WHERE
    @IS_CHANGED(@this_model, fct_mrr_monthly.account_id)
) AS fct_mrr_monthly
FULL JOIN explained AS explained
  ON fct_mrr_monthly.month_date = explained.month_date
  AND fct_mrr_monthly.account_id = explained.account_id
WHERE
  COALESCE(fct_mrr_monthly.opening_mrr, 0) + COALESCE(explained.amount, 0) <> COALESCE(fct_mrr_monthly.closing_mrr, 0)
