MODEL (
  name gold.rpt_sales_daily,
  kind FULL, /* A late event may fall on any date, and a late version move an order's events to another group: the sum of gold.rpt_sales_hourly, whenever a sale changed */
  cron '@daily',
  owner shop,
  description 'One row per business date, category, subcategory and country: the sales, refunds and cancellations of the date.',
  grain (business_date, category, subcategory, country_code),
  tags (gold, shop),
  depends_on (
    gold.fct_sales
  ), /* For the audit that compares them */
  audits (
    not_null(columns := (business_date, net_amount)),
    unique_combination_of_columns(columns := (business_date, category, subcategory, country_code)),
    report_is_all_sales
  )
);

SELECT
  rpt_sales_hourly.business_date::DATE AS business_date, /* Business date of the event, by the clock of reporting_timezone */
  rpt_sales_hourly.category::TEXT AS category, /* Category of the product as of the order; NULL if unknown */
  rpt_sales_hourly.subcategory::TEXT AS subcategory, /* Subcategory of the product as of the order; NULL if unknown */
  rpt_sales_hourly.country_code::TEXT AS country_code, /* Country of the customer as of the order, ISO 3166 alpha-2, upper case; NULL if unknown, as of guests */
  SUM(rpt_sales_hourly.event_count)::BIGINT AS event_count, /* Sales, refunds and cancellations of items, additive */
  SUM(rpt_sales_hourly.sold_quantity)::BIGINT AS sold_quantity, /* Pieces sold, additive */
  SUM(rpt_sales_hourly.returned_quantity)::BIGINT AS returned_quantity, /* Pieces that came back or were cancelled, additive */
  SUM(rpt_sales_hourly.gross_amount)::DECIMAL(18, 6) AS gross_amount, /* Gross of the sales, reporting currency, additive */
  SUM(rpt_sales_hourly.discount_amount)::DECIMAL(18, 6) AS discount_amount, /* Discounts of the sales, reporting currency, additive */
  SUM(rpt_sales_hourly.cancelled_amount)::DECIMAL(18, 6) AS cancelled_amount, /* Net revenue of the cancellations, negative, reporting currency, additive */
  SUM(rpt_sales_hourly.refunded_amount)::DECIMAL(18, 6) AS refunded_amount, /* Net revenue of the refunds, negative, reporting currency, additive */
  SUM(rpt_sales_hourly.net_amount)::DECIMAL(18, 6) AS net_amount, /* Net revenue: gross less discounts, cancellations and refunds, reporting currency, additive */
  SUM(rpt_sales_hourly.costed_net_amount)::DECIMAL(18, 6) AS costed_net_amount, /* Net revenue of products whose cost is known, reporting currency, additive */
  SUM(rpt_sales_hourly.cost_amount)::DECIMAL(18, 6) AS cost_amount, /* Cost of products whose cost is known, reporting currency, additive */
  SUM(rpt_sales_hourly.profit_amount)::DECIMAL(18, 6) AS profit_amount /* Profit on products whose cost is known, reporting currency, additive */
FROM gold.rpt_sales_hourly AS rpt_sales_hourly
GROUP BY
  rpt_sales_hourly.business_date,
  rpt_sales_hourly.category,
  rpt_sales_hourly.subcategory,
  rpt_sales_hourly.country_code
