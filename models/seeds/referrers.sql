MODEL (
  name seeds.referrers,
  kind SEED (
    path '$root/seeds/referrers.csv'
  ),
  owner shop,
  description 'One row per host of a search engine or social network.',
  grain host,
  tags (seeds, shop),
  columns (
    host TEXT,
    channel TEXT
  ),
  column_descriptions (
    host = 'Host of the address, lower case, without www.',
    channel = 'Channel of sessions that come from there: organic_search or organic_social'
  ),
  audits (
    not_null(columns := (host, channel)),
    unique_values(columns := host),
    forall(criteria := (host = LOWER(host), NOT STARTS_WITH(host, 'www.'))),
    accepted_values("column" := channel, is_in := ('organic_search', 'organic_social'))
  )
)
