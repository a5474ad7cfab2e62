AUDIT (
  name report_is_all_sales
);

/* Events and net revenue of every business date are those of gold.fct_sales: no event is lost in a join */
WITH reported AS (
  SELECT
    report.business_date AS business_date,
    SUM(report.event_count) AS event_count,
    SUM(report.net_amount) AS net_amount
  FROM @this_model AS report
  GROUP BY
    report.business_date
), events AS (
  SELECT
    fct_sales.business_date AS business_date,
    COUNT(*) AS event_count,
    SUM(fct_sales.net_amount_reporting) AS net_amount
  FROM gold.fct_sales AS fct_sales
  GROUP BY
    fct_sales.business_date
)
SELECT
  COALESCE(reported.business_date, events.business_date) AS business_date,
  reported.event_count AS reported_count,
  events.event_count AS event_count,
  reported.net_amount AS reported_amount,
  events.net_amount AS net_amount
FROM reported AS reported
FULL JOIN events AS events
  ON reported.business_date = events.business_date
WHERE
  reported.business_date IS NULL
  OR events.business_date IS NULL
  OR reported.event_count <> events.event_count
  OR reported.net_amount <> events.net_amount
