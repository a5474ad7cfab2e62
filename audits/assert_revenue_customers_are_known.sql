AUDIT (
  name assert_revenue_customers_are_known,
  standalone TRUE,
  cron '@daily',
  owner revenue,
  defaults (scope = 'warning'),
  description 'No rows: whoever has a subscription or an invoice is a customer in silver.accounts. Both count without; the record fills in when it arrives.'
);

WITH referred_customers AS (
  SELECT
    subscription_changes.account_id AS account_id,
    'subscriptions' AS feed
  FROM silver.subscription_changes AS subscription_changes
  UNION ALL
  SELECT
    invoices.account_id AS account_id,
    'invoices' AS feed
  FROM silver.invoices AS invoices
)
SELECT
  referred_customers.account_id AS account_id,
  MIN(referred_customers.feed) AS feed,
  COUNT(*) AS record_count
FROM referred_customers AS referred_customers
LEFT JOIN silver.accounts AS accounts
  ON referred_customers.account_id = accounts.account_id
WHERE
  accounts.account_id IS NULL
GROUP BY
  referred_customers.account_id
