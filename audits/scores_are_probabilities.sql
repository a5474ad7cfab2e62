AUDIT (
  name scores_are_probabilities
);

/* Scores and base rates are from 0 to 1, unknown together, and so are the shares that follow from them */
SELECT
  risks.month_date AS month_date,
  risks.churn_score AS churn_score,
  risks.base_rate AS base_rate
FROM @this_model AS risks
WHERE
  NOT CASE
    WHEN risks.scored_customers = 0
    THEN risks.churn_score IS NULL
    AND risks.base_rate IS NULL
    AND risks.expected_churned_customers IS NULL
    AND risks.history_customers = 0
    ELSE COALESCE(risks.churn_score BETWEEN 0 AND 1, FALSE)
    AND COALESCE(risks.base_rate BETWEEN 0 AND 1, FALSE)
    AND COALESCE(risks.expected_churned_customers BETWEEN 0 AND risks.customers, FALSE)
  END
  OR NOT CASE
    WHEN risks.tested_customers = 0
    THEN risks.squared_error IS NULL AND risks.base_squared_error IS NULL
    ELSE COALESCE(risks.squared_error BETWEEN 0 AND risks.customers, FALSE)
    AND COALESCE(risks.base_squared_error BETWEEN 0 AND risks.customers, FALSE)
  END
