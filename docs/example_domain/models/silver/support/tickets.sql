MODEL (
  name silver.tickets,
  kind INCREMENTAL_BY_TIME_RANGE (
    time_column event_date
  ),
  cron '@daily',
  owner support,
  description 'One row per question; of several records of one the newest object wins.',
  grain (ticket_id, event_date),
  tags (silver, support),
  partitioned_by event_date,
  audits (
    not_null(columns := (ticket_id, topic, opened_at, event_date)),
    unique_combination_of_columns(columns := (ticket_id, event_date))
  )
);

SELECT
  tickets.ticket_id::TEXT AS ticket_id, /* Identity of the question */
  tickets.account_id::TEXT AS account_id, /* The customer, key of silver.accounts; NULL for strangers */
  tickets.topic::TEXT AS topic, /* What it is about */
  tickets.opened_at::TIMESTAMP AS opened_at, /* When it was asked, UTC */
  tickets.event_date::DATE AS event_date /* UTC date of opened_at */
FROM bronze.tickets AS tickets
WHERE
  tickets.event_date BETWEEN @start_date AND @end_date
QUALIFY
  ROW_NUMBER() OVER (
    PARTITION BY tickets.ticket_id, tickets.event_date
    ORDER BY tickets._source_modified_at DESC, tickets._source_file DESC, tickets._source_line DESC
  ) = 1
