MODEL (
  name gold.fct_sales,
  kind CUSTOM (
    materialization 'by_key',
    materialization_properties (key = order_id, through = (customer_id, product_id))
  ), /* Any order may still change, and so may the versions of its customer and products as of the order */
  cron '@daily',
  owner shop,
  description 'One row per item of a reconciled order and event: its sale, each of its refunds, and its cancellation.',
  grain (order_id, line_number, event_type, refund_id),
  tags (gold, shop),
  audits (
    not_null(
      columns := (
        order_id,
        line_number,
        event_type,
        customer_key,
        product_key,
        date_key,
        currency,
        business_date,
        business_hour,
        event_at,
        quantity,
        gross_amount,
        discount_amount, /* NULL where seeds.currencies lacks the currency */
        net_amount,
        tax_amount,
        shipping_amount,
        gross_amount_reporting, /* NULL where a currency has no rate */
        discount_amount_reporting,
        net_amount_reporting
      )
    ),
    not_null(
      columns := (cost_amount_reporting, profit_amount_reporting),
      condition := NOT cost_amount IS NULL
    ),
    accepted_values("column" := event_type, is_in := ('sale', 'refund', 'cancellation')),
    grain_is_unique(key := order_id, columns := (order_id, line_number, event_type, refund_id)),
    sales_add_up_to_orders,
    items_are_sold,
    refunds_are_of_what_was_sold,
    cancellations_leave_nothing
  )
);

WITH priced_items AS (
  SELECT
    order_items.order_id AS order_id,
    order_items.line_number AS line_number,
    order_items.product_id AS product_id,
    current_orders.customer_id AS customer_id,
    current_orders.currency AS currency,
    currencies.digits AS digits,
    order_items.quantity AS quantity,
    order_items.unit_price AS unit_price,
    (
      order_items.quantity * order_items.unit_price
    )::DECIMAL(18, 4) AS gross_amount,
    current_orders.discount_amount AS discount_amount,
    current_orders.tax_amount AS tax_amount,
    current_orders.shipping_amount AS shipping_amount,
    current_orders.order_date AS order_date,
    current_orders.ordered_at AS ordered_at,
    current_orders.cancelled_at AS cancelled_at
  FROM silver.order_items AS order_items
  INNER JOIN silver.current_orders AS current_orders
    ON order_items.order_id = current_orders.order_id
  LEFT JOIN seeds.currencies AS currencies
    ON current_orders.currency = currencies.currency
  WHERE
    order_items.is_current
    AND NOT order_items.is_deleted
    AND current_orders.is_reconciled
), discounts AS (
  @ALLOCATED(priced_items, discount_amount, gross_amount)
), shippings AS (
  @ALLOCATED(priced_items, shipping_amount, gross_amount)
), discounted_items AS (
  SELECT
    priced_items.order_id AS order_id,
    priced_items.line_number AS line_number,
    priced_items.digits AS digits,
    priced_items.tax_amount AS tax_amount,
    (
      priced_items.gross_amount - discounts.amount
    )::DECIMAL(18, 4) AS net_amount
  FROM priced_items AS priced_items
  INNER JOIN discounts AS discounts
    ON priced_items.order_id = discounts.order_id
    AND priced_items.line_number = discounts.line_number
), taxes AS (
  @ALLOCATED(discounted_items, tax_amount, net_amount)
), described_items AS (
  /* As of the order, for all of its events */
  SELECT
    priced_items.order_id AS order_id,
    priced_items.line_number AS line_number,
    @VERSION_KEY(customers.customer_id, customers.valid_from) AS customer_key,
    COALESCE(dim_product.product_key, '-1') AS product_key,
    priced_items.currency AS currency,
    priced_items.unit_price AS unit_price,
    dim_product.cost AS unit_cost,
    dim_product.currency AS cost_currency,
    rates.rate AS rate,
    cost_rates.rate AS cost_rate,
    priced_items.ordered_at AS ordered_at,
    priced_items.cancelled_at AS cancelled_at
  FROM priced_items AS priced_items
  LEFT JOIN silver.customers AS customers
    ON priced_items.customer_id = customers.customer_id
    AND priced_items.ordered_at >= customers.valid_from
    AND priced_items.ordered_at < COALESCE(customers.valid_to, '9999-12-31'::TIMESTAMP)
  LEFT JOIN gold.dim_product AS dim_product
    ON priced_items.product_id = dim_product.product_id
    AND priced_items.ordered_at >= dim_product.valid_from
    AND priced_items.ordered_at < COALESCE(dim_product.valid_to, '9999-12-31'::TIMESTAMP)
  LEFT JOIN silver.exchange_rates AS rates
    ON priced_items.currency = rates.currency
    AND priced_items.order_date >= rates.valid_from
    AND priced_items.order_date < COALESCE(rates.valid_to, '9999-12-31'::DATE)
  LEFT JOIN silver.exchange_rates AS cost_rates
    ON dim_product.currency = cost_rates.currency
    AND priced_items.order_date >= cost_rates.valid_from
    AND priced_items.order_date < COALESCE(cost_rates.valid_to, '9999-12-31'::DATE)
), events AS (
  SELECT
    priced_items.order_id AS order_id,
    priced_items.line_number AS line_number,
    'sale' AS event_type,
    NULL::BIGINT AS refund_id,
    priced_items.ordered_at AS event_at,
    priced_items.quantity AS quantity,
    priced_items.gross_amount AS gross_amount,
    discounted_items.net_amount AS net_amount,
    taxes.amount::DECIMAL(18, 4) AS tax_amount,
    shippings.amount::DECIMAL(18, 4) AS shipping_amount
  FROM priced_items AS priced_items
  INNER JOIN discounted_items AS discounted_items
    ON priced_items.order_id = discounted_items.order_id
    AND priced_items.line_number = discounted_items.line_number
  INNER JOIN taxes AS taxes
    ON priced_items.order_id = taxes.order_id
    AND priced_items.line_number = taxes.line_number
  INNER JOIN shippings AS shippings
    ON priced_items.order_id = shippings.order_id
    AND priced_items.line_number = shippings.line_number
  UNION ALL
  SELECT
    refunds.order_id AS order_id,
    refunds.line_number AS line_number,
    'refund' AS event_type,
    refunds.refund_id AS refund_id,
    refunds.refunded_at AS event_at,
    -refunds.quantity AS quantity,
    (
      -refunds.quantity * priced_items.unit_price
    )::DECIMAL(18, 4) AS gross_amount,
    -refunds.amount::DECIMAL(18, 4) AS net_amount,
    -refunds.tax_amount::DECIMAL(18, 4) AS tax_amount,
    0::DECIMAL(18, 4) AS shipping_amount
  FROM silver.refunds AS refunds
  INNER JOIN priced_items AS priced_items
    ON refunds.order_id = priced_items.order_id
    AND refunds.line_number = priced_items.line_number
  WHERE
    refunds.is_current
    AND NOT refunds.is_deleted
    AND (
      priced_items.cancelled_at IS NULL
      OR refunds.refunded_at < priced_items.cancelled_at
    )
), valued_events AS (
  SELECT
    events.order_id AS order_id,
    events.line_number AS line_number,
    events.event_type AS event_type,
    events.refund_id AS refund_id,
    events.event_at AS event_at,
    events.quantity AS quantity,
    events.gross_amount AS gross_amount,
    events.net_amount AS net_amount,
    events.tax_amount AS tax_amount,
    events.shipping_amount AS shipping_amount,
    (
      events.quantity * described_items.unit_cost
    )::DECIMAL(18, 4) AS cost_amount,
    ROUND(events.gross_amount::DECIMAL(19, 6) * described_items.rate, 6)::DECIMAL(18, 6) AS gross_amount_reporting,
    ROUND(events.net_amount::DECIMAL(19, 6) * described_items.rate, 6)::DECIMAL(18, 6) AS net_amount_reporting,
    ROUND(
      (
        events.quantity * described_items.unit_cost
      )::DECIMAL(19, 6) * described_items.cost_rate,
      6
    )::DECIMAL(18, 6) AS cost_amount_reporting
  FROM events AS events
  INNER JOIN described_items AS described_items
    ON events.order_id = described_items.order_id
    AND events.line_number = described_items.line_number
), left_amounts AS (
  /* Gross is left only where pieces are, or in the reporting currency by rounding */
  SELECT
    valued_events.order_id AS order_id,
    valued_events.line_number AS line_number,
    SUM(valued_events.quantity)::BIGINT AS quantity,
    SUM(valued_events.gross_amount)::DECIMAL(18, 4) AS gross_amount,
    SUM(valued_events.net_amount)::DECIMAL(18, 4) AS net_amount,
    SUM(valued_events.tax_amount)::DECIMAL(18, 4) AS tax_amount,
    SUM(valued_events.shipping_amount)::DECIMAL(18, 4) AS shipping_amount,
    SUM(valued_events.cost_amount)::DECIMAL(18, 4) AS cost_amount,
    SUM(valued_events.gross_amount_reporting)::DECIMAL(18, 6) AS gross_amount_reporting,
    SUM(valued_events.net_amount_reporting)::DECIMAL(18, 6) AS net_amount_reporting,
    SUM(valued_events.cost_amount_reporting)::DECIMAL(18, 6) AS cost_amount_reporting
  FROM valued_events AS valued_events
  GROUP BY
    valued_events.order_id,
    valued_events.line_number
), all_events AS (
  SELECT
    valued_events.order_id AS order_id,
    valued_events.line_number AS line_number,
    valued_events.event_type AS event_type,
    valued_events.refund_id AS refund_id,
    valued_events.event_at AS event_at,
    valued_events.quantity AS quantity,
    valued_events.gross_amount AS gross_amount,
    valued_events.net_amount AS net_amount,
    valued_events.tax_amount AS tax_amount,
    valued_events.shipping_amount AS shipping_amount,
    valued_events.cost_amount AS cost_amount,
    valued_events.gross_amount_reporting AS gross_amount_reporting,
    valued_events.net_amount_reporting AS net_amount_reporting,
    valued_events.cost_amount_reporting AS cost_amount_reporting
  FROM valued_events AS valued_events
  UNION ALL
  SELECT
    left_amounts.order_id AS order_id,
    left_amounts.line_number AS line_number,
    'cancellation' AS event_type,
    NULL::BIGINT AS refund_id,
    described_items.cancelled_at AS event_at,
    -left_amounts.quantity AS quantity,
    -left_amounts.gross_amount AS gross_amount,
    -left_amounts.net_amount AS net_amount,
    -left_amounts.tax_amount AS tax_amount,
    -left_amounts.shipping_amount AS shipping_amount,
    -left_amounts.cost_amount AS cost_amount,
    -left_amounts.gross_amount_reporting AS gross_amount_reporting,
    -left_amounts.net_amount_reporting AS net_amount_reporting,
    -left_amounts.cost_amount_reporting AS cost_amount_reporting
  FROM left_amounts AS left_amounts
  INNER JOIN described_items AS described_items
    ON left_amounts.order_id = described_items.order_id
    AND left_amounts.line_number = described_items.line_number
  WHERE
    NOT described_items.cancelled_at IS NULL
    AND (
      left_amounts.quantity <> 0
      OR left_amounts.net_amount <> 0
      OR left_amounts.tax_amount <> 0
      OR left_amounts.shipping_amount <> 0
      OR left_amounts.gross_amount_reporting <> 0
      OR left_amounts.net_amount_reporting <> 0
      OR left_amounts.cost_amount_reporting <> 0
    )
)
SELECT
  all_events.order_id::BIGINT AS order_id, /* The order, key of gold.fct_orders */
  all_events.line_number::BIGINT AS line_number, /* Number of the item within the order */
  all_events.event_type::TEXT AS event_type, /* sale, refund or cancellation */
  all_events.refund_id::BIGINT AS refund_id, /* Identifier of the refund; NULL for other events */
  described_items.customer_key::TEXT AS customer_key, /* Customer as of the order, key of gold.dim_customer; -1 for guests and unknown customers */
  described_items.product_key::TEXT AS product_key, /* Product as of the order, key of gold.dim_product; -1 for unknown products */
  (
    EXTRACT(YEAR FROM @BUSINESS_TIME(all_events.event_at)) * 10000 + EXTRACT(MONTH FROM @BUSINESS_TIME(all_events.event_at)) * 100 + EXTRACT(DAY FROM @BUSINESS_TIME(all_events.event_at))
  )::INT AS date_key, /* Business date of the event as yyyymmdd, key of gold.dim_date */
  all_events.event_at::DATE AS event_date, /* UTC date of the event */
  @BUSINESS_TIME(all_events.event_at)::DATE AS business_date, /* Business date of the event, by the clock of reporting_timezone */
  EXTRACT(HOUR FROM @BUSINESS_TIME(all_events.event_at))::INT AS business_hour, /* Hour of the event by the clock of reporting_timezone, 0 to 23 */
  described_items.currency::TEXT AS currency, /* Currency of the order, ISO 4217, upper case */
  described_items.cost_currency::TEXT AS cost_currency, /* Currency of the product's cost, ISO 4217, upper case; NULL if the product is unknown */
  all_events.quantity::BIGINT AS quantity, /* Pieces, negative where they came back or were cancelled, additive */
  all_events.gross_amount::DECIMAL(18, 4) AS gross_amount, /* Quantity times unit price without tax, major units, additive per currency */
  (
    all_events.gross_amount - all_events.net_amount
  )::DECIMAL(18, 4) AS discount_amount, /* Gross less net revenue, major units, additive per currency */
  all_events.net_amount::DECIMAL(18, 4) AS net_amount, /* Net revenue: without discount, tax and shipping, major units, additive per currency */
  all_events.tax_amount::DECIMAL(18, 4) AS tax_amount, /* Tax on goods and shipping, major units, additive per currency */
  all_events.shipping_amount::DECIMAL(18, 4) AS shipping_amount, /* Shipping without tax, major units, additive per currency */
  all_events.cost_amount::DECIMAL(18, 4) AS cost_amount, /* Quantity times cost of the product as of the order, major units of its currency, additive per currency; NULL if the cost is unknown */
  all_events.gross_amount_reporting::DECIMAL(18, 6) AS gross_amount_reporting, /* Gross in the reporting currency at the rate of the month of the order, additive */
  (
    all_events.gross_amount_reporting - all_events.net_amount_reporting
  )::DECIMAL(18, 6) AS discount_amount_reporting, /* Discount in the reporting currency: gross less net revenue, additive */
  all_events.net_amount_reporting::DECIMAL(18, 6) AS net_amount_reporting, /* Net revenue in the reporting currency at the rate of the month of the order, additive */
  all_events.cost_amount_reporting::DECIMAL(18, 6) AS cost_amount_reporting, /* Cost in the reporting currency at the rate of the month of the order, additive; NULL if the cost is unknown */
  (
    all_events.net_amount_reporting - all_events.cost_amount_reporting
  )::DECIMAL(18, 6) AS profit_amount_reporting, /* Net revenue less cost in the reporting currency, additive; NULL if the cost is unknown */
  all_events.event_at::TIMESTAMP AS event_at /* When the order was placed or cancelled, or the refund paid, UTC */
FROM all_events AS all_events
INNER JOIN described_items AS described_items
  ON all_events.order_id = described_items.order_id
  AND all_events.line_number = described_items.line_number
