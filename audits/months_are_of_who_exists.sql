AUDIT (
  name months_are_of_who_exists
);

/* A row for exactly the complete months at whose end a version of the customer is in force and not deleted */
WITH rows_found AS (
  SELECT
    months.customer_id AS customer_id,
    months.month_date AS month_date
  FROM @this_model AS months
  WHERE
    @IS_CHANGED(@this_model, months.customer_id)
), rows_expected AS (
  SELECT
    customers.customer_id AS customer_id,
    dim_business_month.month_date AS month_date
  FROM silver.customers AS customers
  INNER JOIN gold.dim_business_month AS dim_business_month
    ON @BUSINESS_TIME(customers.valid_from)::DATE <= dim_business_month.last_date
  WHERE
    NOT customers.is_deleted
    AND (
      customers.valid_to IS NULL
      OR @BUSINESS_TIME(customers.valid_to)::DATE > dim_business_month.last_date
    )
    AND @IS_CHANGED(@this_model, customers.customer_id)
)
SELECT
  COALESCE(rows_found.customer_id, rows_expected.customer_id) AS customer_id,
  COALESCE(rows_found.month_date, rows_expected.month_date) AS month_date
FROM rows_found AS rows_found
FULL JOIN rows_expected AS rows_expected
  ON rows_found.customer_id = rows_expected.customer_id
  AND rows_found.month_date = rows_expected.month_date
WHERE
  rows_found.customer_id IS NULL OR rows_expected.customer_id IS NULL
