MODEL (
  name gold.fct_tickets_daily,
  kind INCREMENTAL_BY_TIME_RANGE (
    time_column date
  ),
  cron '@daily',
  owner support,
  description 'One row per day and topic with questions.',
  grain (date, topic),
  tags (gold, support),
  partitioned_by date,
  audits (
    not_null(columns := (date, topic, tickets, customers)),
    unique_combination_of_columns(columns := (date, topic)),
    forall(criteria := (tickets > 0, customers BETWEEN 0 AND tickets))
  )
);

SELECT
  tickets.event_date::DATE AS date, /* UTC date of the questions */
  tickets.topic::TEXT AS topic, /* Topic of the questions */
  COUNT(tickets.ticket_id)::BIGINT AS tickets, /* Questions, additive */
  COUNT(DISTINCT tickets.account_id)::BIGINT AS customers /* Customers who asked, each once; NOT additive */
FROM silver.tickets AS tickets
WHERE
  tickets.event_date BETWEEN @start_date AND @end_date
GROUP BY
  tickets.event_date,
  tickets.topic
