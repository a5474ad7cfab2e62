AUDIT (
  name assert_revenue_references_are_known,
  standalone TRUE,
  cron '@daily',
  owner revenue,
  defaults (scope = 'warning'),
  description 'No rows: customers and plans referenced by subscriptions and invoices are known. Rows count without them; a customer is filled in when its record arrives, a plan is to be added to the seed.'
);

/* Not an audit of a model, so that a new address of a customer invalidates no dates of MRR */
WITH named_references AS (
  SELECT
    subscription_changes.account_id AS reference,
    'account_id of subscriptions' AS field
  FROM silver.subscription_changes AS subscription_changes
  UNION ALL
  SELECT
    invoices.account_id AS reference,
    'account_id of invoices' AS field
  FROM silver.invoices AS invoices
  UNION ALL
  SELECT
    subscription_changes.plan_id AS reference,
    'plan_id of subscriptions' AS field
  FROM silver.subscription_changes AS subscription_changes
  UNION ALL
  SELECT
    invoice_lines.plan_id AS reference,
    'plan_id of invoice lines' AS field
  FROM silver.invoice_lines AS invoice_lines
  WHERE
    NOT invoice_lines.plan_id IS NULL
), known_keys AS (
  SELECT
    accounts.account_id AS reference,
    'account_id' AS kind
  FROM silver.accounts AS accounts
  WHERE
    accounts.is_current
  UNION ALL
  SELECT
    plans.plan_id AS reference,
    'plan_id' AS kind
  FROM seeds.plans AS plans
)
SELECT
  named_references.field AS field,
  named_references.reference AS reference,
  COUNT(*) AS record_count
FROM named_references AS named_references
LEFT JOIN known_keys AS known_keys
  ON named_references.reference = known_keys.reference
  AND SPLIT_PART(named_references.field, ' ', 1) = known_keys.kind
WHERE
  known_keys.reference IS NULL
GROUP BY
  named_references.field,
  named_references.reference
