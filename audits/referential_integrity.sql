AUDIT (
  name referential_integrity
);

SELECT
  child_rows.@child AS @child
FROM @this_model AS child_rows
LEFT JOIN @parent AS parent_rows
  ON child_rows.@child = parent_rows.@key
WHERE
  NOT child_rows.@child IS NULL AND parent_rows.@key IS NULL
