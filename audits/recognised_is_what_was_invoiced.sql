AUDIT (
  name recognised_is_what_was_invoiced
);

/* Over all time, revenue equals the amount invoiced without tax, drafts and voids, less refunds */
WITH recognised AS (
  SELECT
    months.currency AS currency,
    SUM(months.recognised_amount) AS amount,
    SUM(months.invoiced_amount) AS invoiced_amount
  FROM @this_model AS months
  GROUP BY
    months.currency
), invoiced AS (
  SELECT
    fct_invoices.currency AS currency,
    SUM(fct_invoices.net_amount) AS amount,
    SUM(fct_invoices.refunded_net_amount) AS refunded_amount
  FROM gold.fct_invoices AS fct_invoices
  WHERE
    fct_invoices.is_billed
  GROUP BY
    fct_invoices.currency
)
SELECT
  COALESCE(recognised.currency, invoiced.currency) AS currency,
  recognised.amount AS recognised_amount,
  invoiced.amount AS invoiced_amount,
  invoiced.refunded_amount AS refunded_amount
FROM recognised AS recognised
FULL JOIN invoiced AS invoiced
  ON recognised.currency = invoiced.currency
WHERE
  COALESCE(recognised.amount, 0) <> COALESCE(invoiced.amount - invoiced.refunded_amount, 0)
  OR COALESCE(recognised.invoiced_amount, 0) <> COALESCE(invoiced.amount, 0)
