MODEL (
  name gold.fct_orders,
  kind CUSTOM (
    materialization 'by_key',
    materialization_properties (key = order_id, through = (
        customer_id
    ))
  ), /* Like gold.fct_sales: any order may still change */
  cron '@daily',
  owner shop,
  description 'One row per order that exists, with its moments and its amounts as sold and as left after all events.',
  grain order_id,
  tags (gold, shop),
  audits (
    not_null(
      columns := (
        order_id,
        customer_key,
        is_guest,
        is_reconciled,
        business_date,
        ordered_at,
        net_amount_reporting,
        remaining_net_amount_reporting
      )
    ),
    grain_is_unique(key := order_id, columns := (
      order_id
    ))
  )
);

WITH sums AS (
  SELECT
    fct_sales.order_id AS order_id,
    COUNT(CASE WHEN fct_sales.event_type = 'sale' THEN fct_sales.line_number END) AS item_count,
    SUM(CASE WHEN fct_sales.event_type = 'sale' THEN fct_sales.quantity END)::BIGINT AS quantity,
    SUM(CASE WHEN fct_sales.event_type = 'sale' THEN fct_sales.gross_amount END)::DECIMAL(18, 4) AS gross_amount,
    SUM(CASE WHEN fct_sales.event_type = 'sale' THEN fct_sales.discount_amount END)::DECIMAL(18, 4) AS discount_amount,
    SUM(CASE WHEN fct_sales.event_type = 'sale' THEN fct_sales.net_amount END)::DECIMAL(18, 4) AS net_amount,
    SUM(CASE WHEN fct_sales.event_type = 'sale' THEN fct_sales.tax_amount END)::DECIMAL(18, 4) AS tax_amount,
    SUM(CASE WHEN fct_sales.event_type = 'sale' THEN fct_sales.shipping_amount END)::DECIMAL(18, 4) AS shipping_amount,
    SUM(CASE WHEN fct_sales.event_type = 'sale' THEN fct_sales.net_amount_reporting END)::DECIMAL(18, 6) AS net_amount_reporting,
    SUM(fct_sales.quantity)::BIGINT AS remaining_quantity,
    SUM(fct_sales.net_amount)::DECIMAL(18, 4) AS remaining_net_amount,
    SUM(fct_sales.tax_amount)::DECIMAL(18, 4) AS remaining_tax_amount,
    SUM(fct_sales.shipping_amount)::DECIMAL(18, 4) AS remaining_shipping_amount,
    SUM(fct_sales.net_amount_reporting)::DECIMAL(18, 6) AS remaining_net_amount_reporting
  FROM gold.fct_sales AS fct_sales
  GROUP BY
    fct_sales.order_id
), first_payments AS (
  SELECT
    payments.order_id AS order_id,
    MIN(payments.captured_at) AS paid_at
  FROM silver.payments AS payments
  WHERE
    payments.is_current
    AND NOT payments.is_deleted
    AND payments.payment_status = 'captured'
  GROUP BY
    payments.order_id
), deliveries AS (
  /* Delivered once all parcels are */
  SELECT
    shipments.order_id AS order_id,
    MIN(shipments.shipped_at) AS shipped_at,
    CASE
      WHEN COUNT(shipments.delivered_at) = COUNT(*)
      THEN MAX(shipments.delivered_at)
    END AS delivered_at
  FROM silver.shipments AS shipments
  WHERE
    shipments.is_current AND NOT shipments.is_deleted
  GROUP BY
    shipments.order_id
)
SELECT
  current_orders.order_id::BIGINT AS order_id, /* Identifier of the order */
  @VERSION_KEY(customers.customer_id, customers.valid_from)::TEXT AS customer_key, /* Customer as of the order, key of gold.dim_customer; -1 for guests and unknown customers */
  (
    EXTRACT(YEAR FROM current_orders.order_date) * 10000 + EXTRACT(MONTH FROM current_orders.order_date) * 100 + EXTRACT(DAY FROM current_orders.order_date)
  )::INT AS date_key, /* Business date on which the order was placed as yyyymmdd, key of gold.dim_date */
  current_orders.order_status::TEXT AS order_status, /* pending, paid, shipped, delivered or cancelled */
  current_orders.currency::TEXT AS currency, /* Currency of the amounts, ISO 4217, upper case */
  (
    current_orders.customer_id IS NULL
  )::BOOLEAN AS is_guest, /* Whether it was placed without an account */
  CASE
    WHEN NOT current_orders.customer_id IS NULL
    THEN NOT first_orders.order_id IS NULL
  END::BOOLEAN AS is_first_order, /* Whether it is the first of its customer; NULL for guests */
  current_orders.is_reconciled::BOOLEAN AS is_reconciled, /* Whether its items add up to its total; until then it has no sales, and amounts of 0 */
  COALESCE(sums.item_count, 0)::BIGINT AS item_count, /* Number of items sold, additive */
  COALESCE(sums.quantity, 0)::BIGINT AS quantity, /* Pieces as sold, additive */
  COALESCE(sums.gross_amount, 0)::DECIMAL(18, 4) AS gross_amount, /* Gross as sold, major units, additive per currency */
  COALESCE(sums.discount_amount, 0)::DECIMAL(18, 4) AS discount_amount, /* Discount as sold, major units, additive per currency */
  COALESCE(sums.net_amount, 0)::DECIMAL(18, 4) AS net_amount, /* Net revenue as sold, major units, additive per currency */
  COALESCE(sums.tax_amount, 0)::DECIMAL(18, 4) AS tax_amount, /* Tax as sold, major units, additive per currency */
  COALESCE(sums.shipping_amount, 0)::DECIMAL(18, 4) AS shipping_amount, /* Shipping as sold, major units, additive per currency */
  current_orders.total_amount::DECIMAL(18, 4) AS total_amount, /* What the order says that the customer pays, major units, additive per currency */
  CASE WHEN sums.order_id IS NULL THEN 0 ELSE sums.net_amount_reporting END::DECIMAL(18, 6) AS net_amount_reporting, /* Net revenue as sold in the reporting currency, additive */
  COALESCE(sums.remaining_quantity, 0)::BIGINT AS remaining_quantity, /* Pieces left after refunds and cancellation, additive */
  COALESCE(sums.remaining_net_amount, 0)::DECIMAL(18, 4) AS remaining_net_amount, /* Net revenue left after refunds and cancellation, major units, additive per currency */
  COALESCE(sums.remaining_tax_amount, 0)::DECIMAL(18, 4) AS remaining_tax_amount, /* Tax left after refunds and cancellation, major units, additive per currency */
  COALESCE(sums.remaining_shipping_amount, 0)::DECIMAL(18, 4) AS remaining_shipping_amount, /* Shipping left after the cancellation, major units, additive per currency */
  CASE WHEN sums.order_id IS NULL THEN 0 ELSE sums.remaining_net_amount_reporting END::DECIMAL(18, 6) AS remaining_net_amount_reporting, /* Net revenue left in the reporting currency, additive */
  current_orders.order_date::DATE AS business_date, /* Business date on which the order was placed, by the clock of reporting_timezone */
  current_orders.ordered_at::TIMESTAMP AS ordered_at, /* When the order was placed, UTC */
  first_payments.paid_at::TIMESTAMP AS paid_at, /* When money was first taken, UTC; NULL until then */
  deliveries.shipped_at::TIMESTAMP AS shipped_at, /* When the first parcel was shipped, UTC; NULL until then */
  deliveries.delivered_at::TIMESTAMP AS delivered_at, /* When the last parcel was delivered, UTC; NULL until all are */
  current_orders.cancelled_at::TIMESTAMP AS cancelled_at /* When the order was cancelled, UTC; NULL if it is not */
FROM silver.current_orders AS current_orders
LEFT JOIN sums AS sums
  ON current_orders.order_id = sums.order_id
LEFT JOIN first_payments AS first_payments
  ON current_orders.order_id = first_payments.order_id
LEFT JOIN deliveries AS deliveries
  ON current_orders.order_id = deliveries.order_id
LEFT JOIN silver.first_orders AS first_orders
  ON current_orders.order_id = first_orders.order_id
LEFT JOIN silver.customers AS customers
  ON current_orders.customer_id = customers.customer_id
  AND current_orders.ordered_at >= customers.valid_from
  AND current_orders.ordered_at < COALESCE(customers.valid_to, '9999-12-31'::TIMESTAMP)
