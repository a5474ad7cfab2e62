AUDIT (
  name products_are_all_sales
);

/* Events, pieces, net revenue and profit of every month are those of gold.fct_sales: no event is lost in a join */
WITH reported AS (
  SELECT
    report.month_date AS month_date,
    SUM(report.event_count) AS event_count,
    SUM(report.sold_quantity - report.returned_quantity) AS quantity,
    SUM(report.net_amount) AS net_amount,
    SUM(report.profit_amount) AS profit_amount
  FROM @this_model AS report
  GROUP BY
    report.month_date
), events AS (
  SELECT
    DATE_TRUNC('MONTH', fct_sales.business_date)::DATE AS month_date,
    COUNT(*) AS event_count,
    SUM(fct_sales.quantity) AS quantity,
    SUM(fct_sales.net_amount_reporting) AS net_amount,
    COALESCE(SUM(fct_sales.profit_amount_reporting), 0) AS profit_amount
  FROM gold.fct_sales AS fct_sales
  GROUP BY
    DATE_TRUNC('MONTH', fct_sales.business_date)::DATE
)
SELECT
  COALESCE(reported.month_date, events.month_date) AS month_date,
  reported.event_count AS reported_count,
  events.event_count AS event_count,
  reported.quantity AS reported_quantity,
  events.quantity AS quantity,
  reported.net_amount AS reported_amount,
  events.net_amount AS net_amount,
  reported.profit_amount AS reported_profit,
  events.profit_amount AS profit_amount
FROM reported AS reported
FULL JOIN events AS events
  ON reported.month_date = events.month_date
WHERE
  reported.month_date IS NULL
  OR events.month_date IS NULL
  OR reported.event_count <> events.event_count
  OR reported.quantity <> events.quantity
  OR reported.net_amount <> events.net_amount
  OR reported.profit_amount <> events.profit_amount
