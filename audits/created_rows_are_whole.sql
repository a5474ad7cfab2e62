AUDIT (
  name created_rows_are_whole
);

/* PostgreSQL leaves out long values that did not change. Under a changed key none came before: they are NULL until a later change or snapshot has them. REPLICA IDENTITY FULL avoids it */
SELECT
  created._source_file AS source_file,
  created._source_line AS source_line
FROM @feed AS created
LEFT JOIN @feed AS later
  ON created.@key = later.@key
  AND created._position < later._position
  AND later._operation <> 'delete'
  AND later._unavailable IS NULL
WHERE
  created._operation = 'create'
  AND NOT created._unavailable IS NULL
  AND later._position IS NULL
