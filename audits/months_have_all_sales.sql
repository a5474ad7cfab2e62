AUDIT (
  name months_have_all_sales
);

/* Amounts of every month of a customer are those of all events of its orders: of the month, of twelve, and up to its end */
WITH month_sales AS (
  SELECT
    current_orders.customer_id AS customer_id,
    DATE_TRUNC('MONTH', fct_sales.business_date)::DATE AS month_date,
    SUM(fct_sales.net_amount_reporting) AS net_amount,
    SUM(fct_sales.profit_amount_reporting) AS margin_amount
  FROM gold.fct_sales AS fct_sales
  INNER JOIN silver.current_orders AS current_orders
    ON fct_sales.order_id = current_orders.order_id
  WHERE
    @IS_CHANGED(@this_model, current_orders.customer_id)
  GROUP BY
    current_orders.customer_id,
    DATE_TRUNC('MONTH', fct_sales.business_date)::DATE
), compared AS (
  SELECT
    months.customer_id AS customer_id,
    months.month_date AS month_date,
    months.net_amount AS net_amount,
    months.margin_amount AS margin_amount,
    months.monetary_amount AS monetary_amount,
    months.lifetime_value AS lifetime_value,
    SUM(
      CASE
        WHEN month_sales.month_date = months.month_date
        THEN month_sales.net_amount
        ELSE 0
      END
    ) AS sold_net_amount,
    COALESCE(
      SUM(
        CASE
          WHEN month_sales.month_date = months.month_date
          THEN month_sales.margin_amount
        END
      ),
      0
    ) AS sold_margin_amount,
    SUM(
      CASE
        WHEN month_sales.month_date > (
          months.month_date - INTERVAL @rfm_months MONTH
        )::DATE
        THEN month_sales.net_amount
        ELSE 0
      END
    ) AS sold_monetary_amount,
    COALESCE(SUM(month_sales.margin_amount), 0) AS sold_lifetime_value
  FROM @this_model AS months
  LEFT JOIN month_sales AS month_sales
    ON months.customer_id = month_sales.customer_id
    AND months.month_date >= month_sales.month_date
  WHERE
    @IS_CHANGED(@this_model, months.customer_id)
  GROUP BY
    months.customer_id,
    months.month_date,
    months.net_amount,
    months.margin_amount,
    months.monetary_amount,
    months.lifetime_value
)
SELECT
  compared.customer_id AS customer_id,
  compared.month_date AS month_date,
  compared.net_amount AS net_amount,
  compared.sold_net_amount AS sold_net_amount
FROM compared AS compared
WHERE
  compared.net_amount <> compared.sold_net_amount
  OR compared.margin_amount <> compared.sold_margin_amount
  OR compared.monetary_amount <> compared.sold_monetary_amount
  OR compared.lifetime_value <> compared.sold_lifetime_value
