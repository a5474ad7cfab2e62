AUDIT (
  name assert_created_rows_are_told,
  standalone TRUE,
  cron '@daily',
  owner shop,
  defaults (scope = 'warning'),
  description 'No rows: rows of the shop that got another key have all their values. PostgreSQL leaves out long values that did not change, and under the new key none came before: they are NULL until the row is told again. Set REPLICA IDENTITY FULL on the table.'
);

/* Tables with texts; a later change or snapshot that tells all values ends the fault */
WITH created_rows AS (
  SELECT
    'customers' AS feed,
    created._source_file AS source_file,
    created._source_line AS source_line,
    COUNT(later._position) AS later_rows
  FROM bronze.customers AS created
  LEFT JOIN bronze.customers AS later
    ON created.customer_id = later.customer_id
    AND created._position < later._position
    AND later._operation <> 'delete'
    AND later._unavailable IS NULL
  WHERE
    created._operation = 'create' AND NOT created._unavailable IS NULL
  GROUP BY
    created._source_file,
    created._source_line
  UNION ALL
  SELECT
    'products' AS feed,
    created._source_file AS source_file,
    created._source_line AS source_line,
    COUNT(later._position) AS later_rows
  FROM bronze.products AS created
  LEFT JOIN bronze.products AS later
    ON created.product_id = later.product_id
    AND created._position < later._position
    AND later._operation <> 'delete'
    AND later._unavailable IS NULL
  WHERE
    created._operation = 'create' AND NOT created._unavailable IS NULL
  GROUP BY
    created._source_file,
    created._source_line
  UNION ALL
  SELECT
    'orders' AS feed,
    created._source_file AS source_file,
    created._source_line AS source_line,
    COUNT(later._position) AS later_rows
  FROM bronze.orders AS created
  LEFT JOIN bronze.orders AS later
    ON created.order_id = later.order_id
    AND created._position < later._position
    AND later._operation <> 'delete'
    AND later._unavailable IS NULL
  WHERE
    created._operation = 'create' AND NOT created._unavailable IS NULL
  GROUP BY
    created._source_file,
    created._source_line
)
SELECT
  created_rows.feed AS feed,
  created_rows.source_file AS source_file,
  created_rows.source_line AS source_line
FROM created_rows AS created_rows
WHERE
  created_rows.later_rows = 0
