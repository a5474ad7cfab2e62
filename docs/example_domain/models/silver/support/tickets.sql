MODEL (
  name silver.tickets,
  kind INCREMENTAL_BY_TIME_RANGE (
    time_column event_date
  ),
  cron '@daily',
  owner support,
  description 'One row per question; among several records of a question the newest object wins.',
  grain (ticket_id, event_date),
  tags (silver, support),
  partitioned_by event_date,
  audits (
    not_null(columns := (ticket_id, topic, opened_at, event_date)),
    unique_combination_of_columns(columns := (ticket_id, event_date))
  )
);

SELECT
  tickets.ticket_id::TEXT AS ticket_id, /* Identifier of the question */
  tickets.account_id::TEXT AS account_id, /* Customer, key of silver.accounts; NULL for non-customers */
  tickets.topic::TEXT AS topic, /* Topic of the question */
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
