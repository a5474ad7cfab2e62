MODEL (
  name seeds.activity_events,
  kind SEED (
    path '$root/seeds/activity_events.csv'
  ),
  owner analytics,
  description 'One row per event of the analytics sample: an activity was entered or left.',
  grain event_id,
  tags (seeds, analytics),
  columns (
    event_id TEXT,
    user_id INT,
    activity_id TEXT,
    event_type TEXT,
    created_at TEXT,
    duration_seconds INT,
    completed BOOLEAN
  ),
  column_descriptions (
    event_id = 'Identifier of the event',
    user_id = 'Account that played',
    activity_id = 'Activity, key of seeds.activities',
    event_type = 'activity_enter or activity_exit',
    created_at = 'When it happened, UTC, as text of the file',
    duration_seconds = 'Duration of the play in seconds; NULL on entry',
    completed = 'Whether it was played to the end; NULL on entry'
  ),
  audits (
    not_null(columns := (event_id, user_id, activity_id, event_type, created_at)),
    unique_values(columns := event_id),
    accepted_values("column" := event_type, is_in := ('activity_enter', 'activity_exit'))
  )
)
