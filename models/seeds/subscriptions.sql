MODEL (
  name seeds.subscriptions,
  kind SEED (
    path '$root/seeds/subscriptions.csv'
  ),
  owner analytics,
  description 'One row per subscription that an account of the analytics sample bought.',
  grain (user_id, subscription_date),
  tags (seeds, analytics),
  columns (
    user_id INT,
    subscription_date TEXT,
    platform TEXT,
    price_usd DOUBLE
  ),
  column_descriptions (
    user_id = 'Account that subscribed',
    subscription_date = 'Day of the subscription, UTC, as text of the file',
    platform = 'Store that sold it: apple or google',
    price_usd = 'Price paid, US dollars'
  ),
  audits (
    not_null(columns := (user_id, subscription_date, platform, price_usd)),
    unique_combination_of_columns(columns := (user_id, subscription_date)),
    accepted_values("column" := platform, is_in := ('apple', 'google'))
  )
)
