AUDIT (
  name cohort_starts_whole
);

/* In month 0 a cohort is complete, with all of its revenue, and every cohort has a month 0 */
SELECT
  cohorts.cohort_month_date AS cohort_month_date,
  MIN(cohorts.month_number) AS first_month,
  SUM(
    CASE
      WHEN cohorts.month_number = 0
      THEN cohorts.accounts - cohorts.retained_accounts
    END
  ) AS missing_accounts,
  SUM(
    CASE
      WHEN cohorts.month_number = 0
      THEN cohorts.opening_mrr - cohorts.retained_mrr
    END
  ) AS missing_mrr
FROM @this_model AS cohorts
GROUP BY
  cohorts.cohort_month_date
HAVING
  MIN(cohorts.month_number) <> 0
  OR SUM(
    CASE
      WHEN cohorts.month_number = 0
      THEN cohorts.accounts - cohorts.retained_accounts
    END
  ) <> 0
  OR SUM(
    CASE
      WHEN cohorts.month_number = 0
      THEN cohorts.opening_mrr - cohorts.retained_mrr
    END
  ) <> 0
