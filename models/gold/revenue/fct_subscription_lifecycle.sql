MODEL (
  name gold.fct_subscription_lifecycle,
  kind CUSTOM (
    materialization 'by_key',
    materialization_properties (key = account_id)
  ), /* A late change splits the past states of its customer differently */
  cron '@daily',
  owner revenue,
  description 'One row per uninterrupted state of a customer; among several subscriptions the one most certain to pay decides.',
  grain (account_id, state_number),
  tags (gold, revenue),
  audits (
    not_null(columns := (account_id, state_number, state, entered_at)),
    grain_is_unique(key := account_id, columns := (account_id, state_number)),
    accepted_values(
      "column" := state,
      is_in := ('trialing', 'active', 'past_due', 'paused', 'unpaid', 'canceled')
    ),
    forall(
      criteria := (
        exited_at IS NULL OR exited_at > entered_at,
        state <> previous_state OR previous_state IS NULL,
        is_trial_converted IS NULL OR state = 'trialing'
      )
    )
  )
);

WITH boundaries AS (
  SELECT
    subscriptions.account_id AS account_id,
    subscriptions.valid_from AS boundary_at
  FROM silver.subscriptions AS subscriptions
  UNION
  SELECT
    subscriptions.account_id AS account_id,
    subscriptions.valid_to AS boundary_at
  FROM silver.subscriptions AS subscriptions
  WHERE
    NOT subscriptions.valid_to IS NULL
), segments AS (
  SELECT
    boundaries.account_id AS account_id,
    boundaries.boundary_at AS entered_at,
    LEAD(boundaries.boundary_at) OVER (PARTITION BY boundaries.account_id ORDER BY boundaries.boundary_at) AS exited_at
  FROM boundaries AS boundaries
), ranked_segments AS (
  /* A customer whose only subscription went to another customer counts as canceled */
  SELECT
    segments.account_id AS account_id,
    segments.entered_at AS entered_at,
    segments.exited_at AS exited_at,
    COALESCE(
      MIN(
        CASE subscriptions.state
          WHEN 'active'
          THEN 1
          WHEN 'past_due'
          THEN 2
          WHEN 'trialing'
          THEN 3
          WHEN 'paused'
          THEN 4
          WHEN 'unpaid'
          THEN 5
          WHEN 'canceled'
          THEN 6
        END
      ),
      6
    ) AS state_rank
  FROM segments AS segments
  LEFT JOIN silver.subscriptions AS subscriptions
    ON segments.account_id = subscriptions.account_id
    AND subscriptions.valid_from <= segments.entered_at
    AND COALESCE(subscriptions.valid_to, '9999-12-31'::TIMESTAMP) > segments.entered_at
  GROUP BY
    segments.account_id,
    segments.entered_at,
    segments.exited_at
), compared_segments AS (
  SELECT
    ranked_segments.account_id AS account_id,
    ranked_segments.entered_at AS entered_at,
    ranked_segments.exited_at AS exited_at,
    ranked_segments.state_rank AS state_rank,
    CASE
      WHEN ranked_segments.state_rank = LAG(ranked_segments.state_rank) OVER (PARTITION BY ranked_segments.account_id ORDER BY ranked_segments.entered_at)
      THEN 0
      ELSE 1
    END AS is_entry
  FROM ranked_segments AS ranked_segments
), numbered_segments AS (
  SELECT
    compared_segments.account_id AS account_id,
    compared_segments.entered_at AS entered_at,
    compared_segments.exited_at AS exited_at,
    compared_segments.state_rank AS state_rank,
    SUM(compared_segments.is_entry) OVER (
      PARTITION BY compared_segments.account_id
      ORDER BY compared_segments.entered_at
      ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
    ) AS state_number
  FROM compared_segments AS compared_segments
), states AS (
  SELECT
    numbered_segments.account_id AS account_id,
    numbered_segments.state_number AS state_number,
    CASE MIN(numbered_segments.state_rank)
      WHEN 1
      THEN 'active'
      WHEN 2
      THEN 'past_due'
      WHEN 3
      THEN 'trialing'
      WHEN 4
      THEN 'paused'
      WHEN 5
      THEN 'unpaid'
      ELSE 'canceled'
    END AS state,
    MIN(numbered_segments.entered_at) AS entered_at,
    CASE
      WHEN COUNT(*) = COUNT(numbered_segments.exited_at)
      THEN MAX(numbered_segments.exited_at)
    END AS exited_at
  FROM numbered_segments AS numbered_segments
  GROUP BY
    numbered_segments.account_id,
    numbered_segments.state_number
), following_states AS (
  SELECT
    states.account_id AS account_id,
    states.state_number AS state_number,
    states.state AS state,
    LAG(states.state) OVER (PARTITION BY states.account_id ORDER BY states.state_number) AS previous_state,
    LEAD(states.state) OVER (PARTITION BY states.account_id ORDER BY states.state_number) AS next_state,
    states.entered_at AS entered_at,
    states.exited_at AS exited_at,
    MIN(CASE WHEN states.state IN ('active', 'past_due') THEN states.entered_at END) OVER (
      PARTITION BY states.account_id
      ORDER BY states.state_number
      ROWS BETWEEN 1 FOLLOWING AND UNBOUNDED FOLLOWING
    ) AS next_paying_at,
    MIN(CASE WHEN states.state = 'trialing' THEN states.entered_at END) OVER (
      PARTITION BY states.account_id
      ORDER BY states.state_number
      ROWS BETWEEN 1 FOLLOWING AND UNBOUNDED FOLLOWING
    ) AS next_trial_at
  FROM states AS states
)
SELECT
  following_states.account_id::TEXT AS account_id, /* Customer, key of gold.dim_account */
  following_states.state_number::INT AS state_number, /* Number of the state per customer, counted from 1 */
  following_states.state::TEXT AS state, /* active, past_due, trialing, paused, unpaid or canceled: the first of these that applies to any subscription */
  following_states.previous_state::TEXT AS previous_state, /* Previous state; NULL for the first */
  following_states.next_state::TEXT AS next_state, /* Next state; NULL for the last known */
  CASE
    WHEN following_states.state = 'trialing' AND NOT following_states.exited_at IS NULL
    THEN NOT following_states.next_paying_at IS NULL
    AND (
      following_states.next_trial_at IS NULL
      OR following_states.next_paying_at < following_states.next_trial_at
    )
  END::BOOLEAN AS is_trial_converted, /* Whether the customer started to pay after this trial and before another; NULL for other states and while the trial runs */
  (
    DATE_DIFF(
      'SECOND',
      DATE_TRUNC('SECOND', following_states.entered_at),
      DATE_TRUNC('SECOND', following_states.exited_at)
    )::DOUBLE / 86400.0::DOUBLE
  )::DOUBLE AS days, /* Duration in days of 24 hours, with fractions; NULL for the last known */
  following_states.entered_at::TIMESTAMP AS entered_at, /* When it began, UTC; in the future for an announced end */
  following_states.exited_at::TIMESTAMP AS exited_at, /* When it ended, UTC; NULL for the last known */
  CASE
    WHEN following_states.state = 'trialing'
    AND (
      following_states.next_trial_at IS NULL
      OR following_states.next_paying_at < following_states.next_trial_at
    )
    THEN following_states.next_paying_at
  END::TIMESTAMP AS converted_at /* When the customer started to pay after this trial, UTC; NULL otherwise */
FROM following_states AS following_states
