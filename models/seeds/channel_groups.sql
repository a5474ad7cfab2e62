MODEL (
  name seeds.channel_groups,
  kind SEED (
    path '$root/seeds/channel_groups.csv'
  ),
  owner shop,
  description 'One row per channel through which visitors come.',
  grain channel,
  tags (seeds, shop),
  columns (
    channel TEXT,
    channel_name TEXT,
    channel_group TEXT,
    is_paid BOOLEAN
  ),
  column_descriptions (
    channel = 'Channel of a session, by the rules of docs/metrics.md',
    channel_name = 'Name of the channel in English',
    channel_group = 'Channels that belong together, paid or not',
    is_paid = 'Whether the shop pays for these visitors'
  ),
  audits (
    not_null(columns := (channel, channel_name, channel_group, is_paid)),
    unique_values(columns := channel)
  )
)
