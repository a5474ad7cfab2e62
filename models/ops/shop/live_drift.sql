MODEL (
  name ops.live_drift,
  kind VIEW,
  cron '@daily',
  owner shop,
  description 'One row per size of live windows, UTC hour (of a business date its start) and measure of the last 60 audited days: what the windows of that time showed when they closed, and why gold differs.',
  grain (window_size, started_at, measure),
  tags (ops, shop, released),
  audits (
    not_null(
      columns := (
        window_size,
        started_at,
        date,
        measure,
        shown,
        audited,
        drift,
        late,
        corrected,
        definition
      )
    ),
    unique_combination_of_columns(columns := (window_size, started_at, measure)),
    accepted_values("column" := window_size, is_in := ('minute', 'hour', 'day')),
    forall(criteria := (drift = late + corrected + definition, drift = audited - shown))
  )
);

WITH audited_dates AS (
  SELECT
    MAX(rpt_clicks_minutely.date) AS last_date
  FROM gold.rpt_clicks_minutely AS rpt_clicks_minutely
), windows AS (
  SELECT
    live_windows.kind AS kind,
    live_windows.size_seconds AS size_seconds,
    live_windows.started_at AS started_at,
    live_windows.business_date AS business_date,
    live_windows.clicks AS clicks,
    live_windows.views AS views,
    live_windows.carts AS carts,
    live_windows.visitors AS visitors,
    live_windows.orders AS orders,
    live_windows.net_amount AS net_amount,
    live_windows.sessions AS sessions,
    live_windows.purchase_sessions AS purchase_sessions,
    live_windows.definition AS definition
  FROM operations.live_windows AS live_windows
  INNER JOIN audited_dates AS audited_dates
    ON live_windows.started_at::DATE <= audited_dates.last_date
    AND live_windows.started_at::DATE > audited_dates.last_date - INTERVAL '60' DAY
), newest_definitions AS (
  /* Those of the newest window are taken for those of gold */
  SELECT
    live_windows.definition AS definition
  FROM operations.live_windows AS live_windows
  WHERE
    live_windows.kind = 'window'
  QUALIFY
    ROW_NUMBER() OVER (
      ORDER BY live_windows.started_at DESC, live_windows.size_seconds, live_windows.definition
    ) = 1
), shown_minutes AS (
  SELECT
    windows.started_at AS started_at,
    windows.definition AS definition,
    windows.clicks AS clicks,
    windows.views AS views,
    windows.carts AS carts,
    windows.visitors AS visitors,
    windows.orders AS orders,
    windows.net_amount AS net_amount
  FROM windows AS windows
  WHERE
    windows.kind = 'window' AND windows.size_seconds = 60
), hour_clicks AS (
  SELECT
    DATE_TRUNC('HOUR', rpt_clicks_minutely.started_at)::TIMESTAMP AS started_at,
    SUM(rpt_clicks_minutely.clicks) AS clicks,
    SUM(rpt_clicks_minutely.views) AS views,
    SUM(rpt_clicks_minutely.carts) AS carts,
    SUM(rpt_clicks_minutely.new_visitors_of_hour) AS visitors
  FROM gold.rpt_clicks_minutely AS rpt_clicks_minutely
  GROUP BY
    DATE_TRUNC('HOUR', rpt_clicks_minutely.started_at)::TIMESTAMP
), hour_orders AS (
  SELECT
    DATE_TRUNC('HOUR', rpt_orders_minutely.started_at)::TIMESTAMP AS started_at,
    SUM(rpt_orders_minutely.orders) AS orders,
    SUM(rpt_orders_minutely.net_amount) AS net_amount,
    SUM(rpt_orders_minutely.stated_net_amount) AS stated_net_amount
  FROM gold.rpt_orders_minutely AS rpt_orders_minutely
  GROUP BY
    DATE_TRUNC('HOUR', rpt_orders_minutely.started_at)::TIMESTAMP
), compared AS (
  SELECT
    'minute' AS window_size,
    DATE_TRUNC('HOUR', shown_minutes.started_at)::TIMESTAMP AS started_at,
    shown_minutes.definition AS definition,
    shown_minutes.clicks AS shown_clicks,
    shown_minutes.views AS shown_views,
    shown_minutes.carts AS shown_carts,
    shown_minutes.visitors AS shown_visitors,
    shown_minutes.orders AS shown_orders,
    shown_minutes.net_amount AS shown_net_amount,
    minute_clicks.clicks AS clicks,
    minute_clicks.views AS views,
    minute_clicks.carts AS carts,
    minute_clicks.visitors AS visitors,
    minute_orders.orders AS orders,
    minute_orders.net_amount AS net_amount,
    minute_orders.stated_net_amount AS stated_net_amount
  FROM shown_minutes AS shown_minutes
  LEFT JOIN gold.rpt_clicks_minutely AS minute_clicks
    ON shown_minutes.started_at = minute_clicks.started_at
  LEFT JOIN gold.rpt_orders_minutely AS minute_orders
    ON shown_minutes.started_at = minute_orders.started_at
  UNION ALL
  SELECT
    'hour' AS window_size,
    windows.started_at AS started_at,
    windows.definition AS definition,
    windows.clicks AS shown_clicks,
    windows.views AS shown_views,
    windows.carts AS shown_carts,
    windows.visitors AS shown_visitors,
    windows.orders AS shown_orders,
    windows.net_amount AS shown_net_amount,
    hour_clicks.clicks AS clicks,
    hour_clicks.views AS views,
    hour_clicks.carts AS carts,
    hour_clicks.visitors AS visitors,
    hour_orders.orders AS orders,
    hour_orders.net_amount AS net_amount,
    hour_orders.stated_net_amount AS stated_net_amount
  FROM windows AS windows
  LEFT JOIN hour_clicks AS hour_clicks
    ON windows.started_at = hour_clicks.started_at
  LEFT JOIN hour_orders AS hour_orders
    ON windows.started_at = hour_orders.started_at
  WHERE
    windows.kind = 'window' AND windows.size_seconds = 3600
), late_windows AS (
  SELECT
    CASE WHEN windows.size_seconds = 60 THEN 'minute' ELSE 'hour' END AS window_size,
    DATE_TRUNC('HOUR', windows.started_at)::TIMESTAMP AS started_at,
    SUM(windows.clicks) > 0 AS has_late_clicks,
    SUM(windows.clicks) AS clicks,
    SUM(windows.views) AS views,
    SUM(windows.carts) AS carts,
    SUM(windows.orders) AS orders,
    SUM(windows.net_amount) AS net_amount
  FROM windows AS windows
  WHERE
    windows.kind = 'late'
  GROUP BY
    CASE WHEN windows.size_seconds = 60 THEN 'minute' ELSE 'hour' END,
    DATE_TRUNC('HOUR', windows.started_at)::TIMESTAMP
), compared_hours AS (
  SELECT
    compared.window_size AS window_size,
    compared.started_at AS started_at,
    COUNT(
      CASE
        WHEN compared.definition <> newest_definitions.definition
        THEN compared.started_at
      END
    ) > 0 AS is_outdated,
    SUM(compared.shown_clicks) AS shown_clicks,
    SUM(compared.shown_views) AS shown_views,
    SUM(compared.shown_carts) AS shown_carts,
    SUM(compared.shown_visitors) AS shown_visitors,
    SUM(compared.shown_orders) AS shown_orders,
    SUM(compared.shown_net_amount) AS shown_net_amount,
    COALESCE(SUM(compared.clicks), 0) AS clicks,
    COALESCE(SUM(compared.views), 0) AS views,
    COALESCE(SUM(compared.carts), 0) AS carts,
    COALESCE(SUM(compared.visitors), 0) AS visitors,
    COALESCE(SUM(compared.orders), 0) AS orders,
    COALESCE(SUM(compared.net_amount), 0) AS net_amount,
    COALESCE(SUM(compared.stated_net_amount), 0) AS stated_net_amount
  FROM compared AS compared
  CROSS JOIN newest_definitions AS newest_definitions
  GROUP BY
    compared.window_size,
    compared.started_at
), hours AS (
  SELECT
    compared_hours.window_size AS window_size,
    compared_hours.started_at AS started_at,
    compared_hours.is_outdated AS is_outdated,
    late_windows.has_late_clicks AS has_late_clicks,
    compared_hours.shown_clicks AS shown_clicks,
    compared_hours.shown_views AS shown_views,
    compared_hours.shown_carts AS shown_carts,
    compared_hours.shown_visitors AS shown_visitors,
    compared_hours.shown_orders AS shown_orders,
    compared_hours.shown_net_amount AS shown_net_amount,
    compared_hours.clicks AS clicks,
    compared_hours.views AS views,
    compared_hours.carts AS carts,
    compared_hours.visitors AS visitors,
    compared_hours.orders AS orders,
    compared_hours.net_amount AS net_amount,
    compared_hours.stated_net_amount AS stated_net_amount,
    late_windows.clicks AS late_clicks,
    late_windows.views AS late_views,
    late_windows.carts AS late_carts,
    late_windows.orders AS late_orders,
    late_windows.net_amount AS late_net_amount
  FROM compared_hours AS compared_hours
  LEFT JOIN late_windows AS late_windows
    ON compared_hours.window_size = late_windows.window_size
    AND compared_hours.started_at = late_windows.started_at
), late_dates AS (
  SELECT
    windows.started_at::DATE AS date
  FROM windows AS windows
  WHERE
    windows.kind = 'late' AND windows.clicks > 0
  GROUP BY
    windows.started_at::DATE
), days AS (
  SELECT
    windows.started_at AS started_at,
    windows.definition <> newest_definitions.definition AS is_outdated,
    NOT late_dates.date IS NULL AS has_late_clicks,
    windows.clicks AS shown_clicks,
    windows.visitors AS shown_visitors,
    windows.sessions AS shown_sessions,
    windows.purchase_sessions AS shown_purchase_sessions,
    rpt_conversion_daily.clicks AS clicks,
    rpt_conversion_daily.visitors AS visitors,
    rpt_conversion_daily.sessions AS sessions,
    rpt_conversion_daily.purchase_sessions AS purchase_sessions
  FROM windows AS windows
  CROSS JOIN newest_definitions AS newest_definitions
  INNER JOIN gold.rpt_conversion_daily AS rpt_conversion_daily
    ON windows.business_date = rpt_conversion_daily.business_date
  LEFT JOIN late_dates AS late_dates
    ON windows.business_date = late_dates.date
), measured AS (
  SELECT
    hours.window_size AS window_size,
    hours.started_at AS started_at,
    hours.is_outdated AS is_outdated,
    hours.has_late_clicks AS has_late_clicks,
    'clicks' AS measure,
    hours.shown_clicks AS shown,
    hours.clicks AS audited,
    hours.clicks AS audited_as_shown,
    hours.late_clicks AS late
  FROM hours AS hours
  UNION ALL
  SELECT
    hours.window_size AS window_size,
    hours.started_at AS started_at,
    hours.is_outdated AS is_outdated,
    hours.has_late_clicks AS has_late_clicks,
    'views' AS measure,
    hours.shown_views AS shown,
    hours.views AS audited,
    hours.views AS audited_as_shown,
    hours.late_views AS late
  FROM hours AS hours
  UNION ALL
  SELECT
    hours.window_size AS window_size,
    hours.started_at AS started_at,
    hours.is_outdated AS is_outdated,
    hours.has_late_clicks AS has_late_clicks,
    'carts' AS measure,
    hours.shown_carts AS shown,
    hours.carts AS audited,
    hours.carts AS audited_as_shown,
    hours.late_carts AS late
  FROM hours AS hours
  UNION ALL
  SELECT
    hours.window_size AS window_size,
    hours.started_at AS started_at,
    hours.is_outdated AS is_outdated,
    hours.has_late_clicks AS has_late_clicks,
    'visitors' AS measure,
    hours.shown_visitors AS shown,
    hours.visitors AS audited,
    hours.visitors AS audited_as_shown,
    NULL::BIGINT AS late /* Whether a late click is of another visitor is not kept */
  FROM hours AS hours
  UNION ALL
  SELECT
    hours.window_size AS window_size,
    hours.started_at AS started_at,
    hours.is_outdated AS is_outdated,
    hours.has_late_clicks AS has_late_clicks,
    'orders' AS measure,
    hours.shown_orders AS shown,
    hours.orders AS audited,
    hours.orders AS audited_as_shown,
    hours.late_orders AS late
  FROM hours AS hours
  UNION ALL
  SELECT
    hours.window_size AS window_size,
    hours.started_at AS started_at,
    hours.is_outdated AS is_outdated,
    hours.has_late_clicks AS has_late_clicks,
    'net_amount' AS measure,
    hours.shown_net_amount AS shown,
    hours.net_amount AS audited,
    hours.stated_net_amount AS audited_as_shown,
    hours.late_net_amount AS late
  FROM hours AS hours
  UNION ALL
  SELECT
    'day' AS window_size,
    days.started_at AS started_at,
    days.is_outdated AS is_outdated,
    days.has_late_clicks AS has_late_clicks,
    'clicks' AS measure,
    days.shown_clicks AS shown,
    days.clicks AS audited,
    days.clicks AS audited_as_shown,
    NULL::BIGINT AS late
  FROM days AS days
  UNION ALL
  SELECT
    'day' AS window_size,
    days.started_at AS started_at,
    days.is_outdated AS is_outdated,
    days.has_late_clicks AS has_late_clicks,
    'visitors' AS measure,
    days.shown_visitors AS shown,
    days.visitors AS audited,
    days.visitors AS audited_as_shown,
    NULL::BIGINT AS late
  FROM days AS days
  UNION ALL
  SELECT
    'day' AS window_size,
    days.started_at AS started_at,
    days.is_outdated AS is_outdated,
    days.has_late_clicks AS has_late_clicks,
    'sessions' AS measure,
    days.shown_sessions AS shown,
    days.sessions AS audited,
    days.sessions AS audited_as_shown,
    NULL::BIGINT AS late
  FROM days AS days
  UNION ALL
  SELECT
    'day' AS window_size,
    days.started_at AS started_at,
    days.is_outdated AS is_outdated,
    days.has_late_clicks AS has_late_clicks,
    'purchase_sessions' AS measure,
    days.shown_purchase_sessions AS shown,
    days.purchase_sessions AS audited,
    days.purchase_sessions AS audited_as_shown,
    NULL::BIGINT AS late
  FROM days AS days
), judged AS (
  SELECT
    measured.window_size AS window_size,
    measured.started_at AS started_at,
    measured.measure AS measure,
    measured.is_outdated AS is_outdated,
    measured.shown::DECIMAL(18, 6) AS shown,
    measured.audited::DECIMAL(18, 6) AS audited,
    measured.audited_as_shown::DECIMAL(18, 6) AS audited_as_shown,
    (
      CASE
        WHEN measured.late IS NULL AND measured.has_late_clicks
        THEN measured.audited_as_shown - measured.shown
        ELSE COALESCE(measured.late, 0)
      END
    )::DECIMAL(18, 6) AS late
  FROM measured AS measured
)
SELECT
  judged.window_size::TEXT AS window_size, /* minute, hour or day: of minutes the sum over the hour */
  judged.started_at::TIMESTAMP AS started_at, /* Start of the UTC hour, or of the business date, UTC */
  judged.started_at::DATE AS date, /* UTC date of that */
  judged.measure::TEXT AS measure, /* clicks, views, carts, visitors, orders, net_amount (reporting currency); of days clicks, visitors, sessions, purchase_sessions */
  judged.shown::DECIMAL(18, 6) AS shown, /* What the windows showed when they closed */
  judged.audited::DECIMAL(18, 6) AS audited, /* What gold has */
  (
    judged.audited - judged.shown
  )::DECIMAL(18, 6) AS drift, /* audited less shown: late + corrected + definition */
  judged.late::DECIMAL(18, 6) AS late, /* Came after the window had closed */
  (
    CASE
      WHEN judged.is_outdated
      THEN 0
      ELSE judged.audited_as_shown - judged.shown - judged.late
    END
  )::DECIMAL(18, 6) AS corrected, /* Changed later, rejected, or came by another way than the topic */
  (
    CASE
      WHEN judged.is_outdated
      THEN judged.audited - judged.shown - judged.late
      ELSE judged.audited - judged.audited_as_shown
    END
  )::DECIMAL(18, 6) AS definition /* Defined another way: orders that wait for their items, items that are valued one by one, and rules that changed since */
FROM judged AS judged
