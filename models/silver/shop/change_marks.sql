MODEL (
  name silver.change_marks,
  kind FULL, /* A truncate or a new snapshot concerns every key, so histories read these marks as a whole */
  cron '@daily',
  owner shop,
  description 'One row per truncate and per complete snapshot of a change feed.',
  grain (feed, mark, position),
  tags (silver, shop),
  audits (
    not_null(columns := (feed, mark, position, place, marked_at)),
    unique_combination_of_columns(columns := (feed, mark, position)),
    accepted_values("column" := mark, is_in := ('truncate', 'snapshot'))
  )
);

WITH marks AS (
  @CHANGE_MARKS()
)
SELECT
  marks.feed::TEXT AS feed, /* Feed whose table was truncated or read */
  marks.mark::TEXT AS mark, /* truncate or snapshot */
  marks.position::TEXT AS position, /* Position in the log of the source */
  marks.place::TEXT AS place, /* Position from which it counts: that of the commit before, if that is later */
  marks.marked_at::TIMESTAMP AS marked_at, /* When it was committed or taken, UTC */
  marks.known_at::TIMESTAMP AS known_at /* When the first object was written that has it, UTC */
FROM marks AS marks
