MODEL (
  name gold.dim_channel,
  kind FULL, /* The seed as a dimension of gold */
  cron '@daily',
  owner shop,
  description 'One row per channel through which visitors come to the shop.',
  grain channel,
  tags (gold, shop),
  audits (
    not_null(columns := (channel, channel_name, channel_group, is_paid)),
    unique_values(columns := channel)
  )
);

SELECT
  channel_groups.channel::TEXT AS channel, /* Channel of a session */
  channel_groups.channel_name::TEXT AS channel_name, /* Name of the channel in English */
  channel_groups.channel_group::TEXT AS channel_group, /* Channels that belong together, paid or not */
  channel_groups.is_paid::BOOLEAN AS is_paid /* Whether the shop pays for these visitors */
FROM seeds.channel_groups AS channel_groups
