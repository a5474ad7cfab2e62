AUDIT (
  name grain_is_unique
);

/* No two rows of a key have the same values; NULL counts as a value */
SELECT
  @EACH(@columns, c -> keyed.@c AS @c),
  COUNT(*) AS row_count
FROM @this_model AS keyed
WHERE
  @IS_CHANGED(@this_model, keyed.@key)
GROUP BY
  @EACH(@columns, c -> keyed.@c)
HAVING
  COUNT(*) > 1
