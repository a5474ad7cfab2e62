AUDIT (
  name customers_are_all_who_exist
);

/* A row for exactly the customers of the shop who exist now */
WITH existing_customers AS (
  SELECT
    customers.customer_id AS customer_id
  FROM silver.customers AS customers
  WHERE
    customers.is_current AND NOT customers.is_deleted
)
SELECT
  COALESCE(known.customer_id, existing_customers.customer_id) AS customer_id
FROM @this_model AS known
FULL JOIN existing_customers AS existing_customers
  ON known.customer_id = existing_customers.customer_id
WHERE
  known.customer_id IS NULL OR existing_customers.customer_id IS NULL
