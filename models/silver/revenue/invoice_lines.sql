MODEL (
  name silver.invoice_lines,
  kind CUSTOM (
    materialization 'by_key',
    materialization_properties (key = invoice_id)
  ), /* The lines change with their invoice */
  cron '@daily',
  owner revenue,
  description 'One row per line of an invoice, from its newest record, numbered in order.',
  grain (invoice_id, line_number),
  tags (silver, revenue),
  audits (
    not_null(columns := (invoice_id, line_number, amount, tax, is_proration)),
    grain_is_unique(key := invoice_id, columns := (invoice_id, line_number)),
    accepted_range("column" := line_number, min_v := 1)
  )
);

WITH listed_lines AS (
  SELECT
    invoices.invoice_id AS invoice_id,
    listed.line AS line,
    listed.place AS place
  FROM bronze.invoices AS invoices
  INNER JOIN silver.invoices AS newest_invoices
    ON invoices.invoice_id = newest_invoices.invoice_id
    AND invoices._source_file = newest_invoices._source_file
    AND invoices._source_line = newest_invoices._source_line
  CROSS JOIN UNNEST(invoices.lines) WITH ORDINALITY AS listed(line, place)
)
SELECT
  listed_lines.invoice_id::TEXT AS invoice_id, /* Invoice, key of silver.invoices */
  ROW_NUMBER() OVER (PARTITION BY listed_lines.invoice_id ORDER BY listed_lines.place)::BIGINT AS line_number, /* Number of the line on the invoice, counted from 1 */
  listed_lines.line.plan_id::TEXT AS plan_id, /* Plan, key of seeds.plans; NULL for one-off items */
  COALESCE(listed_lines.line.proration, FALSE)::BOOLEAN AS is_proration, /* Whether it prorates a change within a period; FALSE if not reported */
  COALESCE(listed_lines.line.amount, 0)::BIGINT AS amount, /* Amount after discount, without tax, minor units; negative for credits; 0 if not reported */
  COALESCE(listed_lines.line.tax, 0)::BIGINT AS tax, /* Tax on the line, minor units; 0 if not reported */
  listed_lines.line.period_start::TIMESTAMP AS period_start_at, /* Start of the service, UTC; NULL for one-off items */
  listed_lines.line.period_end::TIMESTAMP AS period_end_at /* End of the service, UTC, exclusive */
FROM listed_lines AS listed_lines
