MODEL (
  name ops.share_anomalies,
  kind VIEW,
  cron '@daily',
  owner engagement,
  description 'One row per day and dimension whose shares of plays are far from those of the same weekday in earlier weeks.',
  grain (date, dimension),
  tags (ops, engagement, released),
  audits (
    not_null(columns := (date, dimension, plays, distance, member, share, usual_share)),
    unique_combination_of_columns(columns := (date, dimension)),
    accepted_range("column" := distance, min_v := 0, max_v := 1.000001)
  )
);

WITH days AS (
  SELECT
    shares.date AS date,
    shares.dimension AS dimension,
    SUM(shares.plays) AS plays
  FROM ops.play_shares_daily AS shares
  GROUP BY
    shares.date,
    shares.dimension
  HAVING
    SUM(shares.plays) >= @share_anomaly_plays
), earlier_days AS (
  SELECT
    days.date AS date,
    days.dimension AS dimension,
    days.plays AS plays,
    earlier.date AS earlier_date,
    COUNT(earlier.date) OVER (PARTITION BY days.date, days.dimension) AS weeks
  FROM days AS days
  INNER JOIN days AS earlier
    ON days.dimension = earlier.dimension
    AND earlier.date < days.date
    AND earlier.date >= days.date - INTERVAL '56' DAY
    AND @DAY_OF_WEEK(earlier.date) = @DAY_OF_WEEK(days.date)
), both_shares AS (
  SELECT
    shares.date AS date,
    shares.dimension AS dimension,
    shares.member AS member,
    shares.share AS share,
    0.0::DOUBLE AS usual_share
  FROM ops.play_shares_daily AS shares
  UNION ALL
  SELECT
    earlier_days.date AS date,
    earlier_days.dimension AS dimension,
    shares.member AS member,
    0.0::DOUBLE AS share,
    shares.share / NULLIF(earlier_days.weeks::DOUBLE, 0) AS usual_share
  FROM earlier_days AS earlier_days
  INNER JOIN ops.play_shares_daily AS shares
    ON earlier_days.earlier_date = shares.date
    AND earlier_days.dimension = shares.dimension
), members AS (
  SELECT
    both_shares.date AS date,
    both_shares.dimension AS dimension,
    both_shares.member AS member,
    SUM(both_shares.share) AS share,
    SUM(both_shares.usual_share) AS usual_share
  FROM both_shares AS both_shares
  GROUP BY
    both_shares.date,
    both_shares.dimension,
    both_shares.member
), compared_days AS (
  SELECT
    earlier_days.date AS date,
    earlier_days.dimension AS dimension,
    MAX(earlier_days.plays) AS plays
  FROM earlier_days AS earlier_days
  WHERE
    earlier_days.weeks >= 3
  GROUP BY
    earlier_days.date,
    earlier_days.dimension
), distances AS (
  SELECT
    members.date AS date,
    members.dimension AS dimension,
    compared_days.plays AS plays,
    members.member AS member,
    members.share AS share,
    members.usual_share AS usual_share,
    SUM(ABS(members.share - members.usual_share)) OVER (PARTITION BY members.date, members.dimension) / 2 AS distance,
    ROW_NUMBER() OVER (
      PARTITION BY members.date, members.dimension
      ORDER BY ABS(members.share - members.usual_share) DESC, members.member
    ) AS place
  FROM members AS members
  INNER JOIN compared_days AS compared_days
    ON members.date = compared_days.date AND members.dimension = compared_days.dimension
)
SELECT
  distances.date::DATE AS date, /* UTC date of the plays */
  distances.dimension::TEXT AS dimension, /* Column of gold.activity_engagement_metrics */
  distances.plays::BIGINT AS plays, /* Plays of that day */
  distances.distance::DOUBLE AS distance, /* Share of the plays that would have to move to other members to match the usual shares, 0 to 1 */
  distances.member::TEXT AS member, /* Member whose share differs most; empty for NULL */
  distances.share::DOUBLE AS share, /* Its share on that day */
  distances.usual_share::DOUBLE AS usual_share /* Mean on the same weekday in the eight weeks before, from at least three of them */
FROM distances AS distances
WHERE
  distances.place = 1 AND distances.distance > @share_anomaly_distance
