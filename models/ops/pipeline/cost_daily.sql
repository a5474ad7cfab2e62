MODEL (
  name ops.cost_daily,
  kind VIEW,
  cron '@daily',
  owner platform,
  description 'One row per UTC date, item and price: what was used of the last 400 days, and its cost by seeds.prices.',
  grain (date, kind, item, price),
  tags (ops, pipeline, released),
  audits (
    not_null(columns := (date, kind, item, price, quantity)),
    unique_combination_of_columns(columns := (date, kind, item, price)),
    accepted_range("column" := quantity, min_v := 0),
    accepted_range("column" := cost_usd, min_v := 0)
  )
);

WITH flows AS (
  SELECT
    usage.ended_at::DATE AS date,
    usage.kind AS kind,
    usage.item AS item,
    usage.price AS price,
    SUM(usage.quantity) AS quantity
  FROM operations.usage AS usage
  WHERE
    usage.kind <> 'stored'
  GROUP BY
    usage.ended_at::DATE,
    usage.kind,
    usage.item,
    usage.price
), spans AS (
  /* A sample stands until the date of the next one, so a date without a cycle pays for what lies there */
  SELECT
    usage.ended_at::DATE AS date,
    usage.kind AS kind,
    usage.item AS item,
    usage.price AS price,
    usage.quantity AS size,
    LEAD(usage.ended_at::DATE) OVER (PARTITION BY usage.item ORDER BY usage.ended_at, usage.run_id) AS next_date
  FROM operations.usage AS usage
  WHERE
    usage.kind = 'stored'
), last_days AS (
  SELECT
    MAX(usage.ended_at)::DATE AS date
  FROM operations.usage AS usage
), listed_days AS (
  SELECT
    UNNEST(
      GENERATE_SERIES(
        (
          (
            CURRENT_TIMESTAMP AT TIME ZONE 'UTC'
          )::DATE - INTERVAL '399' DAY
        )::DATE,
        (
          CURRENT_TIMESTAMP AT TIME ZONE 'UTC'
        )::DATE,
        INTERVAL '1' DAY
      )
    ) AS date
), days AS (
  SELECT
    listed_days.date::DATE AS date
  FROM listed_days AS listed_days
), stored AS (
  SELECT
    days.date AS date,
    spans.kind AS kind,
    spans.item AS item,
    spans.price AS price,
    spans.size / NULLIF(
      DATE_DIFF(
        'DAY',
        DATE_TRUNC('MONTH', days.date)::DATE,
        (
          DATE_TRUNC('MONTH', days.date)::DATE + INTERVAL '1' MONTH
        )::DATE
      ),
      0
    ) AS quantity
  FROM days AS days
  INNER JOIN spans AS spans
    ON spans.date <= days.date
  INNER JOIN last_days AS last_days
    ON days.date <= last_days.date
  WHERE
    days.date < spans.next_date OR spans.next_date IS NULL
), quantities AS (
  SELECT
    flows.date AS date,
    flows.kind AS kind,
    flows.item AS item,
    flows.price AS price,
    flows.quantity AS quantity
  FROM flows AS flows
  INNER JOIN days AS days
    ON flows.date = days.date
  UNION ALL
  SELECT
    stored.date AS date,
    stored.kind AS kind,
    stored.item AS item,
    stored.price AS price,
    stored.quantity AS quantity
  FROM stored AS stored
), price_spans AS (
  SELECT
    prices.name AS name,
    prices.unit AS unit,
    prices.price_usd / NULLIF(prices.units, 0) AS unit_price_usd,
    prices.valid_from AS valid_from,
    LEAD(prices.valid_from) OVER (PARTITION BY prices.name ORDER BY prices.valid_from) AS valid_to
  FROM seeds.prices AS prices
)
SELECT
  quantities.date::DATE AS date, /* UTC date on which the cycle or command ended */
  quantities.kind::TEXT AS kind, /* cpu, memory, model, request, moved or stored */
  quantities.item::TEXT AS item, /* Stage of a cycle or command; model; place and operation; what is stored */
  quantities.price::TEXT AS price, /* Name of the price in seeds.prices */
  price_spans.unit::TEXT AS unit, /* Unit of the quantity; NULL without a price */
  quantities.quantity::DOUBLE AS quantity, /* What was used: counted, of stored the last sample of the date or before, and of requests those of Lakemesh without retries and those that DuckDB logs, so requests are estimated; additive per unit */
  price_spans.unit_price_usd::DOUBLE AS unit_price_usd, /* US dollars per unit on that date; NULL without a price */
  (
    quantities.quantity * price_spans.unit_price_usd
  )::DOUBLE AS cost_usd /* US dollars, additive; NULL without a price */
FROM quantities AS quantities
LEFT JOIN price_spans AS price_spans
  ON quantities.price = price_spans.name
  AND price_spans.valid_from <= quantities.date
  AND quantities.date < COALESCE(price_spans.valid_to, '9999-12-31'::DATE)
