AUDIT (
  name periods_join
);

/* Validity periods of a key neither overlap nor leave a gap, none is empty, and the last one is open */
SELECT
  periods.@key AS @key, /* By its own name, so that personal keys are hidden */
  periods.valid_from AS valid_from,
  periods.valid_to AS valid_to,
  periods.next_valid_from AS next_valid_from
FROM (
  SELECT
    validity.@key AS @key,
    validity.valid_from AS valid_from,
    validity.valid_to AS valid_to,
    LEAD(validity.valid_from) OVER (PARTITION BY validity.@key ORDER BY validity.valid_from, validity.valid_to) AS next_valid_from
  FROM @this_model AS validity
  WHERE
    @IS_CHANGED(@this_model, validity.@key)
) AS periods
WHERE
  periods.valid_from IS NULL
  OR periods.valid_from >= periods.valid_to
  OR NOT periods.valid_to IS NOT DISTINCT FROM periods.next_valid_from
