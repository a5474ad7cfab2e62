MODEL (
  name silver.sessions,
  kind INCREMENTAL_BY_TIME_RANGE (
    time_column date
  ), /* A late click computes three dates again: it may continue a session of the date before, or join one to the next */
  cron '@daily',
  owner shop,
  description 'One row per session: a run of clicks of a visitor without a pause of session_timeout_minutes, bots left out, dated by its first click. In silver because it identifies visitors.',
  grain session_key,
  tags (silver, shop, affects_1_days, affects_1_days_before),
  partitioned_by date,
  signals (
    feed_is_complete(feed := 'clickstream')
  ),
  audits (
    not_null(
      columns := (
        session_key,
        visitor_id,
        date,
        started_at,
        ended_at,
        clicks,
        next_date_clicks,
        device,
        purchases,
        has_view,
        has_cart,
        has_checkout,
        has_funnel_purchase
      )
    ),
    unique_values(columns := session_key),
    forall(
      criteria := (
        started_at::DATE = date,
        ended_at >= started_at,
        next_date_clicks BETWEEN 0 AND clicks - 1,
        purchases BETWEEN 0 AND clicks
      )
    )
  )
);

/* Bronze and not silver.clickstream, because a session of a date needs the clicks of the next one, which come before that
   date is computed: so what is computed depends on what arrived, not on what was computed when. The rest of a session
   lies on its date and the next one, and whether a click begins one depends on the minutes before it. */
WITH superseded_versions AS (
  @SUPERSEDED(
    bronze.clickstream,
    event_id,
    (
      @start_date - INTERVAL '1' DAY
    )::DATE,
    (
      @end_date + INTERVAL '1' DAY
    )::DATE
  )
), user_agents AS (
  SELECT DISTINCT
    clicks.user_agent AS user_agent
  FROM bronze.clickstream AS clicks
  WHERE
    clicks.event_date BETWEEN (
      @start_date - INTERVAL '1' DAY
    )::DATE AND (
      @end_date + INTERVAL '1' DAY
    )::DATE
), bot_agents AS (
  SELECT
    user_agents.user_agent AS user_agent
  FROM user_agents AS user_agents
  INNER JOIN seeds.bot_agents AS patterns
    ON CONTAINS(LOWER(user_agents.user_agent), patterns.pattern)
), late_visitors AS (
  /* Only their sessions can go on after the last computed date: half the cost of ordering all clicks of the next one */
  SELECT
    clicks.visitor_id AS visitor_id
  FROM bronze.clickstream AS clicks
  WHERE
    clicks.event_date = @end_date
    AND clicks.occurred_at > (
      @end_date + INTERVAL '1' DAY
    )::TIMESTAMP - INTERVAL @session_timeout_minutes MINUTE
), human_clicks AS (
  /* By agent; automata are cut off below */
  SELECT
    clicks.event_id AS event_id,
    clicks.visitor_id AS visitor_id,
    clicks.customer_id AS customer_id,
    clicks.event_type AS event_type,
    clicks.product_id AS product_id,
    clicks.referrer AS referrer,
    clicks.utm_source AS utm_source,
    clicks.utm_medium AS utm_medium,
    clicks.utm_campaign AS utm_campaign,
    clicks.device AS device,
    clicks.country_code AS country_code,
    clicks.occurred_at AS occurred_at,
    clicks.event_date AS event_date,
    CASE clicks.event_type
      WHEN 'view'
      THEN 1
      WHEN 'add_to_cart'
      THEN 2
      WHEN 'begin_checkout'
      THEN 3
      WHEN 'purchase'
      THEN 4
      ELSE 0
    END AS step
  FROM bronze.clickstream AS clicks
  LEFT JOIN superseded_versions AS superseded_versions
    ON clicks._source_file = superseded_versions._source_file
    AND clicks._source_line = superseded_versions._source_line
  WHERE
    superseded_versions._source_line IS NULL
    AND NOT clicks.user_agent IN (
      SELECT
        bot_agents.user_agent
      FROM bot_agents AS bot_agents
    )
    AND TRIM(clicks.user_agent) <> ''
    AND clicks.event_date BETWEEN (
      @start_date - INTERVAL '1' DAY
    )::DATE AND (
      @end_date + INTERVAL '1' DAY
    )::DATE
    AND clicks.occurred_at > @start_date::TIMESTAMP - INTERVAL @session_timeout_minutes MINUTE
    AND (
      clicks.event_date <= @end_date
      OR clicks.visitor_id IN (
        SELECT
          late_visitors.visitor_id
        FROM late_visitors AS late_visitors
      )
    )
), ordered_clicks AS (
  SELECT
    human_clicks.event_id AS event_id,
    human_clicks.visitor_id AS visitor_id,
    human_clicks.customer_id AS customer_id,
    human_clicks.event_type AS event_type,
    human_clicks.product_id AS product_id,
    human_clicks.referrer AS referrer,
    human_clicks.utm_source AS utm_source,
    human_clicks.utm_medium AS utm_medium,
    human_clicks.utm_campaign AS utm_campaign,
    human_clicks.device AS device,
    human_clicks.country_code AS country_code,
    human_clicks.occurred_at AS occurred_at,
    human_clicks.event_date AS event_date,
    human_clicks.step AS step,
    LAG(human_clicks.occurred_at) OVER (
      PARTITION BY human_clicks.visitor_id
      ORDER BY human_clicks.occurred_at, human_clicks.step, human_clicks.event_id
    ) AS previous_at,
    MAX(
      CASE
        WHEN human_clicks.event_type = 'begin_checkout'
        THEN human_clicks.occurred_at
      END
    ) OVER (
      PARTITION BY human_clicks.visitor_id
      ORDER BY human_clicks.occurred_at, human_clicks.step, human_clicks.event_id
      ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
    ) AS last_checkout_at,
    MAX(CASE WHEN NOT human_clicks.customer_id IS NULL THEN human_clicks.occurred_at END) OVER (
      PARTITION BY human_clicks.visitor_id
      ORDER BY human_clicks.occurred_at, human_clicks.step, human_clicks.event_id
      ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
    ) AS last_customer_at
  FROM human_clicks AS human_clicks
), marked_clicks AS (
  SELECT
    ordered_clicks.event_id AS event_id,
    ordered_clicks.visitor_id AS visitor_id,
    ordered_clicks.customer_id AS customer_id,
    ordered_clicks.event_type AS event_type,
    ordered_clicks.product_id AS product_id,
    ordered_clicks.referrer AS referrer,
    ordered_clicks.utm_source AS utm_source,
    ordered_clicks.utm_medium AS utm_medium,
    ordered_clicks.utm_campaign AS utm_campaign,
    ordered_clicks.device AS device,
    ordered_clicks.country_code AS country_code,
    ordered_clicks.occurred_at AS occurred_at,
    ordered_clicks.event_date AS event_date,
    ordered_clicks.step AS step,
    ordered_clicks.last_checkout_at AS last_checkout_at,
    ordered_clicks.last_customer_at AS last_customer_at,
    (
      ordered_clicks.previous_at IS NULL
      OR ordered_clicks.previous_at <= ordered_clicks.occurred_at - INTERVAL @session_timeout_minutes MINUTE
    ) AS is_first
  FROM ordered_clicks AS ordered_clicks
), clicks_of_runs AS (
  SELECT
    marked_clicks.visitor_id AS visitor_id,
    marked_clicks.customer_id AS customer_id,
    marked_clicks.event_type AS event_type,
    marked_clicks.product_id AS product_id,
    marked_clicks.referrer AS referrer,
    marked_clicks.utm_source AS utm_source,
    marked_clicks.utm_medium AS utm_medium,
    marked_clicks.utm_campaign AS utm_campaign,
    marked_clicks.device AS device,
    marked_clicks.country_code AS country_code,
    marked_clicks.occurred_at AS occurred_at,
    marked_clicks.event_date AS event_date,
    marked_clicks.last_checkout_at AS last_checkout_at,
    marked_clicks.last_customer_at AS last_customer_at,
    marked_clicks.is_first AS is_first,
    MAX(CASE WHEN marked_clicks.is_first THEN marked_clicks.occurred_at END) OVER (
      PARTITION BY marked_clicks.visitor_id
      ORDER BY marked_clicks.occurred_at, marked_clicks.step, marked_clicks.event_id
      ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
    ) AS started_at
  FROM marked_clicks AS marked_clicks
), runs AS (
  SELECT
    clicks_of_runs.visitor_id AS visitor_id,
    clicks_of_runs.started_at AS started_at,
    MAX(
      CASE
        WHEN clicks_of_runs.last_customer_at IS NULL
        OR clicks_of_runs.last_customer_at < clicks_of_runs.started_at
        THEN clicks_of_runs.customer_id
      END
    ) AS customer_id, /* Of the first click that names one: before it, no click of the session does */
    MAX(CASE WHEN clicks_of_runs.is_first THEN clicks_of_runs.referrer END) AS referrer,
    MAX(CASE WHEN clicks_of_runs.is_first THEN clicks_of_runs.utm_source END) AS utm_source,
    MAX(CASE WHEN clicks_of_runs.is_first THEN clicks_of_runs.utm_medium END) AS utm_medium,
    MAX(CASE WHEN clicks_of_runs.is_first THEN clicks_of_runs.utm_campaign END) AS utm_campaign,
    MAX(CASE WHEN clicks_of_runs.is_first THEN clicks_of_runs.device END) AS device,
    MAX(CASE WHEN clicks_of_runs.is_first THEN clicks_of_runs.country_code END) AS country_code,
    MAX(clicks_of_runs.occurred_at) AS ended_at,
    COUNT(clicks_of_runs.occurred_at) AS clicks,
    COUNT(
      CASE
        WHEN clicks_of_runs.event_date > clicks_of_runs.started_at::DATE
        THEN clicks_of_runs.occurred_at
      END
    ) AS next_date_clicks,
    COUNT(
      CASE
        WHEN clicks_of_runs.event_type = 'purchase'
        THEN clicks_of_runs.occurred_at
      END
    ) AS purchases,
    MIN(
      CASE
        WHEN clicks_of_runs.event_type = 'view' AND NOT clicks_of_runs.product_id IS NULL
        THEN clicks_of_runs.occurred_at
      END
    ) AS viewed_at,
    MAX(
      CASE
        WHEN clicks_of_runs.event_type IN ('add_to_cart', 'begin_checkout')
        THEN clicks_of_runs.occurred_at
      END
    ) AS cart_until, /* An express checkout implies the cart */
    MAX(
      CASE
        WHEN clicks_of_runs.event_type = 'begin_checkout'
        THEN clicks_of_runs.occurred_at
      END
    ) AS checkout_until,
    MAX(
      CASE
        WHEN clicks_of_runs.event_type = 'purchase'
        THEN clicks_of_runs.last_checkout_at
      END
    ) AS bought_checkout_until /* The last checkout that a purchase followed */
  FROM clicks_of_runs AS clicks_of_runs
  WHERE
    clicks_of_runs.started_at::DATE BETWEEN @start_date AND @end_date
    AND clicks_of_runs.event_date <= (
      clicks_of_runs.started_at::DATE + INTERVAL '1' DAY
    )::DATE
  GROUP BY
    clicks_of_runs.visitor_id,
    clicks_of_runs.started_at
)
SELECT
  MD5(CONCAT_WS('|', runs.visitor_id, runs.started_at::TEXT))::TEXT AS session_key, /* Surrogate key, the same in every rebuild */
  runs.visitor_id::TEXT AS visitor_id, /* The visitor: a random identifier in a cookie */
  runs.customer_id::BIGINT AS customer_id, /* The customer of the first click that names one, key of silver.customers; NULL if none does */
  runs.started_at::DATE AS date, /* UTC date of the first click */
  NULLIF(LOWER(TRIM(runs.utm_source)), '')::TEXT AS utm_source, /* Source of the campaign of the first click, lower case */
  NULLIF(LOWER(TRIM(runs.utm_medium)), '')::TEXT AS utm_medium, /* Medium of the campaign of the first click, lower case */
  NULLIF(TRIM(runs.utm_campaign), '')::TEXT AS utm_campaign, /* Name of the campaign of the first click */
  NULLIF(
    REGEXP_EXTRACT(LOWER(runs.referrer), '^[a-z][a-z0-9+.-]*://([^/?#@]*@)?(www[.])?([^/?#@:]+)', 3),
    ''
  )::TEXT AS referrer_host, /* Host of the address before the first click, lower case without www.; NULL if there was none */
  COALESCE(NULLIF(TRIM(runs.device), ''), 'unknown')::TEXT AS device, /* desktop, mobile or tablet, of the first click; unknown if it is missing */
  runs.country_code::TEXT AS country_code, /* Country of the visitor's network at the first click, ISO 3166 alpha-2 */
  (
    NOT runs.viewed_at IS NULL
  )::BOOLEAN AS has_view, /* Whether the session reached the view of a product */
  COALESCE(runs.cart_until >= runs.viewed_at, FALSE)::BOOLEAN AS has_cart, /* Whether it reached the cart after that */
  COALESCE(runs.checkout_until >= runs.viewed_at, FALSE)::BOOLEAN AS has_checkout, /* Whether it reached the checkout after that */
  COALESCE(runs.bought_checkout_until >= runs.viewed_at, FALSE)::BOOLEAN AS has_funnel_purchase, /* Whether it reached a purchase after that */
  runs.clicks::BIGINT AS clicks, /* Clicks of the session, additive */
  runs.next_date_clicks::BIGINT AS next_date_clicks, /* Of these, clicks of the UTC date after date, additive */
  runs.purchases::BIGINT AS purchases, /* Clicks of type purchase, whatever the way there, additive */
  runs.started_at::TIMESTAMP AS started_at, /* First click, UTC */
  runs.ended_at::TIMESTAMP AS ended_at /* Last click, UTC */
FROM runs AS runs
