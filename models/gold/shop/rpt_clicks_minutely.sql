MODEL (
  name gold.rpt_clicks_minutely,
  kind INCREMENTAL_BY_TIME_RANGE (
    time_column date
  ), /* A late click computes its own date again */
  cron '@daily',
  owner shop,
  description 'One row per minute with clicks of people in the shop, by UTC: what live numbers are compared with.',
  grain started_at,
  tags (gold, shop),
  partitioned_by date,
  audits (
    not_null(
      columns := (date, started_at, clicks, views, carts, visitors, new_visitors_of_hour)
    ),
    unique_values(columns := started_at),
    forall(
      criteria := (
        started_at::DATE = date,
        views + carts <= clicks,
        visitors BETWEEN 1 AND clicks,
        new_visitors_of_hour BETWEEN 0 AND visitors
      )
    )
  )
);

WITH human_clicks AS (
  SELECT
    clicks.event_date AS date,
    DATE_TRUNC('MINUTE', clicks.occurred_at)::TIMESTAMP AS started_at,
    DATE_TRUNC('HOUR', clicks.occurred_at)::TIMESTAMP AS hour_started_at,
    clicks.visitor_id AS visitor_id,
    clicks.event_type AS event_type,
    clicks.product_id AS product_id
  FROM silver.clickstream AS clicks
  WHERE
    NOT clicks.is_bot_agent AND clicks.event_date BETWEEN @start_date AND @end_date
), first_minutes AS (
  SELECT
    human_clicks.hour_started_at AS hour_started_at,
    human_clicks.visitor_id AS visitor_id,
    MIN(human_clicks.started_at) AS started_at
  FROM human_clicks AS human_clicks
  GROUP BY
    human_clicks.hour_started_at,
    human_clicks.visitor_id
), new_visitors AS (
  SELECT
    first_minutes.started_at AS started_at,
    COUNT(*) AS visitors
  FROM first_minutes AS first_minutes
  GROUP BY
    first_minutes.started_at
), minutes AS (
  SELECT
    human_clicks.date AS date,
    human_clicks.started_at AS started_at,
    COUNT(*) AS clicks,
    COUNT(CASE WHEN human_clicks.event_type = 'view' THEN human_clicks.product_id END) AS views,
    COUNT(
      CASE WHEN human_clicks.event_type = 'add_to_cart' THEN human_clicks.visitor_id END
    ) AS carts,
    COUNT(DISTINCT human_clicks.visitor_id) AS visitors
  FROM human_clicks AS human_clicks
  GROUP BY
    human_clicks.date,
    human_clicks.started_at
)
SELECT
  minutes.date::DATE AS date, /* UTC date of the minute */
  minutes.started_at::TIMESTAMP AS started_at, /* Start of the minute, UTC */
  minutes.clicks::BIGINT AS clicks, /* Clicks, bots by their agent left out, additive */
  minutes.views::BIGINT AS views, /* Of these, views of a product, additive */
  minutes.carts::BIGINT AS carts, /* Of these, additions to the cart, additive */
  minutes.visitors::BIGINT AS visitors, /* Distinct visitors of the minute; NOT additive */
  COALESCE(new_visitors.visitors, 0)::BIGINT AS new_visitors_of_hour /* Of these, visitors whose first click of the UTC hour it has: additive within an hour, whose visitors they are */
FROM minutes AS minutes
LEFT JOIN new_visitors AS new_visitors
  ON minutes.started_at = new_visitors.started_at
