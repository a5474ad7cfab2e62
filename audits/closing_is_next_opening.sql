AUDIT (
  name closing_is_next_opening
);

/* The closing balance of a customer opens the next month, up to the last reported month */
WITH next_openings AS (
  SELECT
    balances.account_id AS account_id,
    (
      balances.month_date - INTERVAL '1' MONTH
    )::DATE AS month_date,
    balances.opening_mrr AS opening_mrr
  FROM @this_model AS balances
  WHERE
    @IS_CHANGED(@this_model, balances.account_id)
), last_month AS (
  SELECT
    MAX(balances.month_date) AS month_date
  FROM @this_model AS balances
), closings AS (
  SELECT
    balances.account_id AS account_id,
    balances.month_date AS month_date,
    balances.closing_mrr AS closing_mrr
  FROM @this_model AS balances
  INNER JOIN last_month AS last_month
    ON balances.month_date < last_month.month_date
  WHERE
    @IS_CHANGED(@this_model, balances.account_id)
)
SELECT
  COALESCE(closings.month_date, next_openings.month_date) AS month_date,
  COALESCE(closings.account_id, next_openings.account_id) AS account_id,
  closings.closing_mrr AS closing_mrr,
  next_openings.opening_mrr AS next_opening_mrr
FROM closings AS closings
FULL JOIN next_openings AS next_openings
  ON closings.account_id = next_openings.account_id
  AND closings.month_date = next_openings.month_date
WHERE
  COALESCE(closings.closing_mrr, 0) <> COALESCE(next_openings.opening_mrr, 0)
