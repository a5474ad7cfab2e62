MODEL (
  name gold.dim_plan,
  kind FULL, /* The seed as a dimension of gold */
  cron '@daily',
  owner revenue,
  description 'One row per subscription plan.',
  grain plan_id,
  tags (gold, revenue),
  audits (
    not_null(columns := (plan_id, plan_name, tier)),
    unique_values(columns := plan_id)
  )
);

SELECT
  plans.plan_id::TEXT AS plan_id, /* Identifier of the plan */
  plans.plan_name::TEXT AS plan_name, /* Name of the plan shown to customers */
  plans.tier::TEXT AS tier /* basic, premium or institution */
FROM seeds.plans AS plans
