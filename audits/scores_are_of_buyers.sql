AUDIT (
  name scores_are_of_buyers
);

/* Scores from 1 to 5 exactly where the customer has an order that counts; prospects have neither scores nor recency */
SELECT
  months.customer_id AS customer_id,
  months.month_date AS month_date,
  months.segment AS segment
FROM @this_model AS months
WHERE
  @IS_CHANGED(@this_model, months.customer_id)
  AND NOT CASE
    WHEN months.segment = 'prospect'
    THEN months.last_order_date IS NULL
    AND months.recency_days IS NULL
    AND months.recency_score IS NULL
    AND months.frequency_score IS NULL
    AND months.monetary_score IS NULL
    AND months.frequency = 0
    ELSE NOT months.last_order_date IS NULL
    AND COALESCE(months.recency_score BETWEEN 1 AND 5, FALSE)
    AND COALESCE(months.frequency_score BETWEEN 1 AND 5, FALSE)
    AND COALESCE(months.monetary_score BETWEEN 1 AND 5, FALSE)
  END
