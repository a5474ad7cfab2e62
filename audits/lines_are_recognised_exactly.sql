AUDIT (
  name lines_are_recognised_exactly
);

/* The months of each line of a billed invoice add up to the line, to the minor unit, and nothing else is recognised */
WITH recognised_lines AS (
  SELECT
    entries.invoice_id AS invoice_id,
    entries.line_number AS line_number,
    SUM(entries.amount) AS amount
  FROM @this_model AS entries
  WHERE
    entries.line_number > 0 AND @IS_CHANGED(@this_model, entries.invoice_id)
  GROUP BY
    entries.invoice_id,
    entries.line_number
), billed_lines AS (
  SELECT
    invoice_lines.invoice_id AS invoice_id,
    invoice_lines.line_number AS line_number,
    @MAJOR_UNITS(invoice_lines.amount, currencies.digits) AS amount
  FROM silver.invoice_lines AS invoice_lines
  INNER JOIN silver.invoices AS invoices
    ON invoice_lines.invoice_id = invoices.invoice_id
  LEFT JOIN seeds.currencies AS currencies
    ON invoices.currency = currencies.currency
  WHERE
    invoices.is_billed AND @IS_CHANGED(@this_model, invoice_lines.invoice_id)
)
SELECT
  COALESCE(billed_lines.invoice_id, recognised_lines.invoice_id) AS invoice_id,
  COALESCE(billed_lines.line_number, recognised_lines.line_number) AS line_number,
  billed_lines.amount AS billed_amount,
  recognised_lines.amount AS recognised_amount
FROM billed_lines AS billed_lines
FULL JOIN recognised_lines AS recognised_lines
  ON billed_lines.invoice_id = recognised_lines.invoice_id
  AND billed_lines.line_number = recognised_lines.line_number
WHERE
  billed_lines.amount IS NULL
  OR recognised_lines.amount IS NULL
  OR billed_lines.amount <> recognised_lines.amount
