MODEL (
  name gold.rpt_funnel_daily,
  kind INCREMENTAL_BY_TIME_RANGE (
    time_column date
  ), /* A late click computes four dates again: those of its sessions and, since a business date may begin on the UTC date before, the one after them */
  cron '@daily',
  owner shop,
  description 'One row per business date, device and channel with sessions: how many reached each step of the funnel.',
  grain (business_date, device, channel),
  tags (gold, shop, affects_1_days),
  partitioned_by date,
  audits (
    not_null(
      columns := (
        date,
        business_date,
        device,
        channel,
        sessions,
        purchase_sessions,
        view_step_sessions,
        cart_step_sessions,
        checkout_step_sessions,
        purchase_step_sessions
      )
    ),
    unique_combination_of_columns(columns := (business_date, device, channel)),
    forall(
      criteria := (
        sessions > 0,
        sessions >= view_step_sessions,
        view_step_sessions >= cart_step_sessions,
        cart_step_sessions >= checkout_step_sessions,
        checkout_step_sessions >= purchase_step_sessions,
        purchase_step_sessions BETWEEN 0 AND purchase_sessions,
        purchase_sessions <= sessions
      )
    )
  )
);

WITH days AS (
  @DATE_SPINE('day', @start_ds, @end_ds)
), business_dates AS (
  /* The business date that ends on a UTC date is the one in which that begins */
  SELECT
    days.date_day::DATE AS date,
    @BUSINESS_TIME(days.date_day::TIMESTAMP)::DATE AS business_date
  FROM days AS days
)
SELECT
  business_dates.date::DATE AS date, /* UTC date on which the business date ends */
  business_dates.business_date::DATE AS business_date, /* Date of the first clicks in reporting_timezone */
  sessions.device::TEXT AS device, /* desktop, mobile, tablet or unknown */
  sessions.channel::TEXT AS channel, /* Channel, key of gold.dim_channel */
  COUNT(sessions.session_key)::BIGINT AS sessions, /* Sessions, additive */
  COUNT(CASE WHEN sessions.has_purchase THEN sessions.session_key END)::BIGINT AS purchase_sessions, /* Sessions with a purchase, whatever the way there, additive */
  COUNT(CASE WHEN sessions.has_view THEN sessions.session_key END)::BIGINT AS view_step_sessions, /* Sessions that reached the view of a product, additive */
  COUNT(CASE WHEN sessions.has_cart THEN sessions.session_key END)::BIGINT AS cart_step_sessions, /* Of these, sessions that reached the cart after that, additive */
  COUNT(CASE WHEN sessions.has_checkout THEN sessions.session_key END)::BIGINT AS checkout_step_sessions, /* Of these, sessions that reached the checkout after that, additive */
  COUNT(CASE WHEN sessions.has_funnel_purchase THEN sessions.session_key END)::BIGINT AS purchase_step_sessions /* Of these, sessions that reached a purchase after that, additive */
FROM gold.fct_sessions AS sessions
INNER JOIN business_dates AS business_dates
  ON sessions.business_date = business_dates.business_date
WHERE
  sessions.date BETWEEN (
    @start_date - INTERVAL '1' DAY
  )::DATE AND @end_date
GROUP BY
  business_dates.date,
  business_dates.business_date,
  sessions.device,
  sessions.channel
