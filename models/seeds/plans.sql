MODEL (
  name seeds.plans,
  kind SEED (
    path '$root/seeds/plans.csv'
  ),
  owner revenue,
  description 'One row per plan that can be subscribed to.',
  grain plan_id,
  tags (seeds, revenue),
  columns (
    plan_id TEXT,
    plan_name TEXT,
    tier TEXT
  ),
  column_descriptions (
    plan_id = 'Identity of the plan, as subscriptions and invoices name it',
    plan_name = 'Name of the plan as customers read it',
    tier = 'basic, premium or institution'
  ),
  audits (
    not_null(columns := (plan_id, plan_name, tier)),
    unique_values(columns := plan_id),
    accepted_values("column" := tier, is_in := ('basic', 'premium', 'institution'))
  )
)
