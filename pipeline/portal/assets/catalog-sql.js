// SQL with light highlighting: keywords, texts, numbers, comments, macros. The text itself is never markup.
"use strict";
{
  const KEYWORDS = new Set(("ALL AND ANTI AS ASC BETWEEN BY CASE CAST CROSS CURRENT DESC DISTINCT ELSE END EXCEPT EXISTS "
    + "FALSE FILTER FOLLOWING FROM FULL GROUP HAVING IN INNER INTERSECT INTERVAL INTO IS JOIN LEFT LIKE LIMIT NOT NULL ON OR "
    + "ORDER OUTER OVER PARTITION PRECEDING QUALIFY RANGE RIGHT ROW ROWS SELECT SEMI THEN TRUE UNBOUNDED UNION USING VALUES "
    + "WHEN WHERE WINDOW WITH").split(" "));
  const TOKENS = /(\/\*[\s\S]*?\*\/|--[^\n]*)|('(?:[^']|'')*')|(\b\d+(?:\.\d+)?\b)|(@[A-Za-z_]\w*)|([A-Za-z_]\w*)/g;

  const sql = (text) => {
    const { el } = lakemesh;
    const code = el("code");
    let at = 0;
    for (const found of text.matchAll(TOKENS)) {
      const [token, comment, quoted, number, macro, word] = found;
      const kind = comment ? "comment" : quoted ? "text" : number ? "number" : macro ? "macro"
        : KEYWORDS.has(word.toUpperCase()) ? "keyword" : null;
      if (!kind) continue;
      code.append(text.slice(at, found.index), el("span", { class: `sql-${kind}`, text: token }));
      at = found.index + token.length;
    }
    code.append(text.slice(at));
    return el("pre", { class: "sql", tabindex: "0", "aria-label": "SQL" }, code);
  };

  lakemesh.catalog = { ...lakemesh.catalog, sql };
}
