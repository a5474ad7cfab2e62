AUDIT (
  name assert_movements_are_explained,
  standalone TRUE,
  cron '@daily',
  owner shop,
  defaults (scope = 'warning'),
  description 'No rows: what a stock closes at is what it opened at and what moved. A movement that has not arrived, or contradicts its neighbours, shows up here; the level that the shop states counts.'
);

SELECT
  fct_inventory_daily.product_id AS product_id,
  fct_inventory_daily.location AS location,
  fct_inventory_daily.business_date AS business_date,
  fct_inventory_daily.unexplained_quantity AS unexplained_quantity
FROM gold.fct_inventory_daily AS fct_inventory_daily
WHERE
  fct_inventory_daily.unexplained_quantity <> 0
