MODEL (
  name seeds.plans,
  kind SEED (
    path '$root/seeds/plans.csv'
  ),
  owner revenue,
  description 'One row per subscription plan.',
  grain plan_id,
  tags (seeds, revenue),
  columns (
    plan_id TEXT,
    plan_name TEXT,
    tier TEXT
  ),
  column_descriptions (
    plan_id = 'Identifier of the plan in subscriptions and invoices',
    plan_name = 'Name of the plan shown to customers',
    tier = 'basic, premium or institution'
  ),
  audits (
    not_null(columns := (plan_id, plan_name, tier)),
    unique_values(columns := plan_id),
    accepted_values("column" := tier, is_in := ('basic', 'premium', 'institution'))
  )
)
