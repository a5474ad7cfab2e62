MODEL (
  name gold.rpt_sales_hourly,
  kind FULL, /* A late event may fall on any date, and a late version move an order's events to another group: one pass over gold.fct_sales, seconds for ten million events, whenever a sale changed */
  cron '@daily',
  owner shop,
  description 'One row per business date, hour, category, subcategory and country: the sales, refunds and cancellations of the hour.',
  grain (business_date, business_hour, category, subcategory, country_code),
  tags (gold, shop),
  audits (
    not_null(columns := (business_date, business_hour, net_amount)),
    unique_combination_of_columns(columns := (business_date, business_hour, category, subcategory, country_code)),
    report_is_all_sales
  )
);

WITH described_sales AS (
  SELECT
    fct_sales.business_date AS business_date,
    fct_sales.business_hour AS business_hour,
    dim_product.category AS category,
    dim_product.subcategory AS subcategory,
    dim_customer.country_code AS country_code,
    fct_sales.event_type AS event_type,
    fct_sales.quantity AS quantity,
    fct_sales.gross_amount_reporting AS gross_amount,
    fct_sales.discount_amount_reporting AS discount_amount,
    fct_sales.net_amount_reporting AS net_amount,
    fct_sales.cost_amount_reporting AS cost_amount,
    fct_sales.profit_amount_reporting AS profit_amount
  FROM gold.fct_sales AS fct_sales
  INNER JOIN gold.dim_product AS dim_product
    ON fct_sales.product_key = dim_product.product_key
  INNER JOIN gold.dim_customer AS dim_customer
    ON fct_sales.customer_key = dim_customer.customer_key
)
SELECT
  described_sales.business_date::DATE AS business_date, /* Business date of the event, by the clock of reporting_timezone */
  described_sales.business_hour::INT AS business_hour, /* Hour by the clock of reporting_timezone, 0 to 23: one is missing in spring, one counts twice in autumn */
  described_sales.category::TEXT AS category, /* Category of the product as of the order; NULL if unknown */
  described_sales.subcategory::TEXT AS subcategory, /* Subcategory of the product as of the order; NULL if unknown */
  described_sales.country_code::TEXT AS country_code, /* Country of the customer as of the order, ISO 3166 alpha-2, upper case; NULL if unknown, as of guests */
  COUNT(*)::BIGINT AS event_count, /* Sales, refunds and cancellations of items, additive */
  COALESCE(
    SUM(CASE WHEN described_sales.event_type = 'sale' THEN described_sales.quantity END),
    0
  )::BIGINT AS sold_quantity, /* Pieces sold, additive */
  COALESCE(
    SUM(
      CASE WHEN described_sales.event_type <> 'sale' THEN -described_sales.quantity END
    ),
    0
  )::BIGINT AS returned_quantity, /* Pieces that came back or were cancelled, additive */
  COALESCE(
    SUM(
      CASE WHEN described_sales.event_type = 'sale' THEN described_sales.gross_amount END
    ),
    0
  )::DECIMAL(18, 6) AS gross_amount, /* Gross of the sales, reporting currency, additive */
  COALESCE(
    SUM(
      CASE
        WHEN described_sales.event_type = 'sale'
        THEN described_sales.discount_amount
      END
    ),
    0
  )::DECIMAL(18, 6) AS discount_amount, /* Discounts of the sales, reporting currency, additive */
  COALESCE(
    SUM(
      CASE
        WHEN described_sales.event_type = 'cancellation'
        THEN described_sales.net_amount
      END
    ),
    0
  )::DECIMAL(18, 6) AS cancelled_amount, /* Net revenue of the cancellations, negative, reporting currency, additive */
  COALESCE(
    SUM(
      CASE WHEN described_sales.event_type = 'refund' THEN described_sales.net_amount END
    ),
    0
  )::DECIMAL(18, 6) AS refunded_amount, /* Net revenue of the refunds, negative, reporting currency, additive */
  SUM(described_sales.net_amount)::DECIMAL(18, 6) AS net_amount, /* Net revenue: gross less discounts, cancellations and refunds, reporting currency, additive */
  COALESCE(
    SUM(
      CASE
        WHEN NOT described_sales.cost_amount IS NULL
        THEN described_sales.net_amount
      END
    ),
    0
  )::DECIMAL(18, 6) AS costed_net_amount, /* Net revenue of products whose cost is known, reporting currency, additive */
  COALESCE(SUM(described_sales.cost_amount), 0)::DECIMAL(18, 6) AS cost_amount, /* Cost of products whose cost is known, reporting currency, additive */
  COALESCE(SUM(described_sales.profit_amount), 0)::DECIMAL(18, 6) AS profit_amount /* Profit on products whose cost is known, reporting currency, additive */
FROM described_sales AS described_sales
GROUP BY
  described_sales.business_date,
  described_sales.business_hour,
  described_sales.category,
  described_sales.subcategory,
  described_sales.country_code
