MODEL (
  name gold.rpt_customer_lifetime,
  kind FULL, /* Every month extends the history of all customers */
  cron '@daily',
  owner revenue,
  description 'One row per cohort, acquisition channel and first plan: MRR of its customers to date, and the lifetime revenue and value of one.',
  grain (cohort_month_date, acquisition_channel, plan_id),
  tags (gold, revenue),
  audits (
    not_null(
      columns := (cohort_month_date, accounts, customer_months, churn_count, mrr_to_date)
    ),
    unique_combination_of_columns(columns := (cohort_month_date, acquisition_channel, plan_id)),
    forall(
      criteria := (
        accounts > 0,
        active_accounts BETWEEN 0 AND accounts,
        customer_months >= accounts,
        churn_count <= opening_months
      )
    )
  )
);

WITH cohort_accounts AS (
  SELECT
    fct_mrr_monthly.account_id AS account_id,
    fct_mrr_monthly.cohort_month_date AS cohort_month_date,
    (
      fct_mrr_monthly.cohort_month_date + INTERVAL '1' MONTH
    ) AS cohort_ends_at
  FROM gold.fct_mrr_monthly AS fct_mrr_monthly
  WHERE
    fct_mrr_monthly.month_date = fct_mrr_monthly.cohort_month_date
), first_plans AS (
  /* The plan with the highest MRR at the end of the first paid month */
  SELECT
    cohort_accounts.account_id AS account_id,
    subscriptions.plan_id AS plan_id
  FROM cohort_accounts AS cohort_accounts
  INNER JOIN silver.subscriptions AS subscriptions
    ON cohort_accounts.account_id = subscriptions.account_id
    AND subscriptions.valid_from < cohort_accounts.cohort_ends_at
    AND (
      subscriptions.valid_to >= cohort_accounts.cohort_ends_at
      OR subscriptions.valid_to IS NULL
    )
    AND subscriptions.mrr > 0
  INNER JOIN silver.exchange_rates AS exchange_rates
    ON subscriptions.currency = exchange_rates.currency
    AND cohort_accounts.cohort_month_date >= exchange_rates.valid_from
    AND (
      cohort_accounts.cohort_month_date < exchange_rates.valid_to
      OR exchange_rates.valid_to IS NULL
    )
  QUALIFY
    ROW_NUMBER() OVER (
      PARTITION BY cohort_accounts.account_id
      ORDER BY subscriptions.mrr::DECIMAL(19, 6) * exchange_rates.rate DESC, subscriptions.plan_id, subscriptions.subscription_id
    ) = 1
), last_month AS (
  SELECT
    MAX(rpt_mrr_monthly.month_date) AS month_date
  FROM gold.rpt_mrr_monthly AS rpt_mrr_monthly
), account_totals AS (
  SELECT
    fct_mrr_monthly.account_id AS account_id,
    MAX(
      CASE
        WHEN fct_mrr_monthly.month_date = last_month.month_date
        AND fct_mrr_monthly.closing_mrr > 0
        THEN 1
        ELSE 0
      END
    ) AS is_active,
    COUNT(CASE WHEN fct_mrr_monthly.closing_mrr > 0 THEN 1 END) AS customer_months,
    COUNT(CASE WHEN fct_mrr_monthly.opening_mrr > 0 THEN 1 END) AS opening_months,
    COUNT(
      CASE
        WHEN fct_mrr_monthly.opening_mrr > 0 AND fct_mrr_monthly.closing_mrr = 0
        THEN 1
      END
    ) AS churn_count,
    SUM(fct_mrr_monthly.closing_mrr) AS mrr_to_date
  FROM gold.fct_mrr_monthly AS fct_mrr_monthly
  CROSS JOIN last_month AS last_month
  GROUP BY
    fct_mrr_monthly.account_id
), group_totals AS (
  SELECT
    cohort_accounts.cohort_month_date AS cohort_month_date,
    dim_account.acquisition_channel AS acquisition_channel,
    first_plans.plan_id AS plan_id,
    COUNT(cohort_accounts.account_id) AS accounts,
    SUM(account_totals.is_active) AS active_accounts,
    SUM(account_totals.customer_months) AS customer_months,
    SUM(account_totals.opening_months) AS opening_months,
    SUM(account_totals.churn_count) AS churn_count,
    SUM(account_totals.mrr_to_date) AS mrr_to_date
  FROM cohort_accounts AS cohort_accounts
  INNER JOIN account_totals AS account_totals
    ON cohort_accounts.account_id = account_totals.account_id
  LEFT JOIN first_plans AS first_plans
    ON cohort_accounts.account_id = first_plans.account_id
  LEFT JOIN gold.dim_account AS dim_account
    ON cohort_accounts.account_id = dim_account.account_id AND dim_account.is_current
  GROUP BY
    cohort_accounts.cohort_month_date,
    dim_account.acquisition_channel,
    first_plans.plan_id
), group_lifetimes AS (
  SELECT
    group_totals.cohort_month_date AS cohort_month_date,
    group_totals.acquisition_channel AS acquisition_channel,
    group_totals.plan_id AS plan_id,
    group_totals.accounts AS accounts,
    group_totals.active_accounts AS active_accounts,
    group_totals.customer_months AS customer_months,
    group_totals.opening_months AS opening_months,
    group_totals.churn_count AS churn_count,
    group_totals.mrr_to_date AS mrr_to_date,
    group_totals.mrr_to_date::DOUBLE / NULLIF(group_totals.customer_months, 0)::DOUBLE AS arpa,
    group_totals.mrr_to_date::DOUBLE / NULLIF(group_totals.customer_months, 0)::DOUBLE * group_totals.opening_months::DOUBLE / NULLIF(group_totals.churn_count, 0)::DOUBLE AS lifetime_revenue
  FROM group_totals AS group_totals
)
SELECT
  group_lifetimes.cohort_month_date::DATE AS cohort_month_date, /* First day of the first month with a closing MRR above 0 */
  group_lifetimes.acquisition_channel::TEXT AS acquisition_channel, /* Channel that acquired them, by their newest record; NULL if unknown */
  group_lifetimes.plan_id::TEXT AS plan_id, /* Plan with the highest MRR at the end of that month, key of gold.dim_plan */
  group_lifetimes.accounts::BIGINT AS accounts, /* Customers, additive */
  group_lifetimes.active_accounts::BIGINT AS active_accounts, /* Customers with MRR at the end of the last complete month, additive */
  group_lifetimes.customer_months::BIGINT AS customer_months, /* Customer-months with a closing MRR above 0, additive */
  group_lifetimes.opening_months::BIGINT AS opening_months, /* Customer-months with an opening MRR above 0, in which they could churn, additive */
  group_lifetimes.churn_count::BIGINT AS churn_count, /* Customer-months with churn, additive */
  group_lifetimes.mrr_to_date::DECIMAL(18, 6) AS mrr_to_date, /* Sum of their closing MRR over all months, reporting currency, additive */
  group_lifetimes.arpa::DOUBLE AS arpa, /* MRR per customer and month, reporting currency */
  (
    group_lifetimes.churn_count::DOUBLE / NULLIF(group_lifetimes.opening_months, 0)::DOUBLE
  )::DOUBLE AS monthly_churn_rate, /* Share of opening months in which the customer churned; NULL without opening months */
  (
    group_lifetimes.opening_months::DOUBLE / NULLIF(group_lifetimes.churn_count, 0)::DOUBLE
  )::DOUBLE AS lifetime_months, /* Expected lifetime at that rate, months; NULL until a customer churned */
  group_lifetimes.lifetime_revenue::DOUBLE AS lifetime_revenue, /* Revenue expected of a customer: arpa ÷ monthly churn rate, reporting currency; NULL until a customer churned; NOT additive */
  CASE
    WHEN @gross_margin_percent < 100
    THEN group_lifetimes.lifetime_revenue * @gross_margin_percent::DOUBLE / 100.0::DOUBLE
  END::DOUBLE AS lifetime_value /* lifetime_revenue × gross margin (Skok, SaaS Metrics 2.0); NULL at a margin of 100 %, where no costs are known, and until a customer churned; NOT additive */
FROM group_lifetimes AS group_lifetimes
