MODEL (
  name seeds.bot_agents,
  kind SEED (
    path '$root/seeds/bot_agents.csv'
  ),
  owner shop,
  description 'One row per pattern of the user agents of bots.',
  grain pattern,
  tags (seeds, shop),
  columns (
    pattern TEXT,
    kind TEXT
  ),
  column_descriptions (
    pattern = 'Text that the user agent of a bot contains, in any case',
    kind = 'crawler, preview, automation, library or monitor'
  ),
  audits (
    not_null(columns := (pattern, kind)),
    unique_values(columns := pattern),
    forall(
      criteria := (
        pattern = LOWER(pattern),
        LENGTH(TRIM(pattern)) > 2 /* An empty pattern is in every user agent */
      )
    ),
    accepted_values(
      "column" := kind,
      is_in := ('crawler', 'preview', 'automation', 'library', 'monitor')
    )
  )
)
