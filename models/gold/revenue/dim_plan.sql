MODEL (
  name gold.dim_plan,
  kind FULL, /* A seed under the name that readers of gold look for */
  cron '@daily',
  owner revenue,
  description 'One row per plan that can be subscribed to.',
  grain plan_id,
  tags (gold, revenue),
  audits (
    not_null(columns := (plan_id, plan_name, tier)),
    unique_values(columns := plan_id)
  )
);

SELECT
  plans.plan_id::TEXT AS plan_id, /* Identity of the plan */
  plans.plan_name::TEXT AS plan_name, /* Name of the plan as customers read it */
  plans.tier::TEXT AS tier /* basic, premium or institution */
FROM seeds.plans AS plans
