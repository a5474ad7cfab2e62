MODEL (
  name gold.fct_sessions,
  kind INCREMENTAL_BY_TIME_RANGE (
    time_column date
  ), /* A late click computes the date before, its own and the next one again, as in silver.sessions */
  cron '@daily',
  owner shop,
  description 'One row per session of a visitor in the shop, bots left out, dated by its first click.',
  grain session_key,
  tags (gold, shop),
  partitioned_by date,
  audits (
    not_null(
      columns := (
        session_key,
        visitor_key,
        date,
        business_date,
        channel,
        device,
        has_purchase,
        has_view,
        has_cart,
        has_checkout,
        has_funnel_purchase,
        clicks,
        started_at,
        ended_at
      )
    ),
    unique_values(columns := session_key),
    accepted_values(
      "column" := channel,
      is_in := (
        'paid_search',
        'paid_social',
        'display',
        'email',
        'affiliate',
        'organic_social',
        'organic_search',
        'other',
        'referral',
        'direct'
      )
    ),
    forall(
      criteria := (
        has_view OR NOT has_cart,
        has_cart OR NOT has_checkout,
        has_checkout OR NOT has_funnel_purchase,
        has_purchase OR NOT has_funnel_purchase,
        purchases BETWEEN 0 AND clicks
      )
    )
  )
);

SELECT
  sessions.session_key::TEXT AS session_key, /* Surrogate key, the same in every rebuild */
  MD5(sessions.visitor_id)::TEXT AS visitor_key, /* Surrogate key of the visitor */
  sessions.customer_id::BIGINT AS customer_id, /* Customer of the first click that names one; NULL if none does */
  sessions.date::DATE AS date, /* UTC date of the first click */
  @BUSINESS_TIME(sessions.started_at)::DATE AS business_date, /* Date of the first click in reporting_timezone */
  CASE
    WHEN sessions.utm_medium IN ('cpc', 'ppc', 'paid')
    THEN 'paid_search'
    WHEN sessions.utm_medium IN ('paid_social', 'social_paid')
    THEN 'paid_social'
    WHEN sessions.utm_medium IN ('display', 'banner')
    THEN 'display'
    WHEN sessions.utm_medium = 'email'
    THEN 'email'
    WHEN sessions.utm_medium = 'affiliate'
    THEN 'affiliate'
    WHEN sessions.utm_medium = 'social'
    THEN 'organic_social'
    WHEN sessions.utm_medium = 'organic'
    THEN 'organic_search'
    WHEN NOT sessions.utm_source IS NULL
    THEN 'other'
    WHEN NOT referrers.channel IS NULL
    THEN referrers.channel
    WHEN sessions.referrer_host <> @shop_host
    THEN 'referral'
    ELSE 'direct'
  END::TEXT AS channel, /* Channel of the first click, key of gold.dim_channel */
  sessions.utm_source::TEXT AS utm_source, /* Source of the campaign of the first click, lower case */
  sessions.utm_medium::TEXT AS utm_medium, /* Medium of the campaign of the first click, lower case */
  sessions.utm_campaign::TEXT AS utm_campaign, /* Name of the campaign of the first click */
  sessions.device::TEXT AS device, /* desktop, mobile or tablet; unknown if it is missing */
  sessions.country_code::TEXT AS country_code, /* Country of the visitor's network at the first click, ISO 3166 alpha-2 */
  (
    NOT sessions.customer_id IS NULL
  )::BOOLEAN AS is_customer, /* Whether a customer was logged in at any click */
  (
    sessions.purchases > 0
  )::BOOLEAN AS has_purchase, /* Whether the session converted: a purchase, whatever the way there */
  sessions.has_view::BOOLEAN AS has_view, /* Whether it reached the first step of the funnel, the view of a product */
  sessions.has_cart::BOOLEAN AS has_cart, /* Whether it reached the cart after that, or the checkout without a cart */
  sessions.has_checkout::BOOLEAN AS has_checkout, /* Whether it reached the checkout after that */
  sessions.has_funnel_purchase::BOOLEAN AS has_funnel_purchase, /* Whether it reached a purchase after that */
  sessions.clicks::BIGINT AS clicks, /* Clicks, additive */
  sessions.purchases::BIGINT AS purchases, /* Clicks of type purchase, additive */
  sessions.started_at::TIMESTAMP AS started_at, /* First click, UTC */
  sessions.ended_at::TIMESTAMP AS ended_at /* Last click, UTC */
FROM silver.sessions AS sessions
LEFT JOIN seeds.referrers AS referrers
  ON sessions.referrer_host = referrers.host
WHERE
  sessions.date BETWEEN @start_date AND @end_date
