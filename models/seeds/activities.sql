MODEL (
  name seeds.activities,
  kind SEED (
    path '$root/seeds/activities.csv'
  ),
  owner analytics,
  description 'One row per activity of the analytics sample.',
  grain activity_id,
  tags (seeds, analytics),
  columns (
    activity_id TEXT,
    activity_name TEXT,
    theme TEXT,
    price_tier TEXT
  ),
  column_descriptions (
    activity_id = 'Identifier of the activity',
    activity_name = 'Title of the activity',
    theme = 'Learning theme of the activity',
    price_tier = 'free, or premium for subscribers'
  ),
  audits (
    not_null(columns := (activity_id, theme, price_tier)),
    unique_values(columns := activity_id),
    accepted_values("column" := price_tier, is_in := ('free', 'premium'))
  )
)
