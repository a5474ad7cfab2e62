// Files of a tile: CSV as it is, and a PNG for slides with title, dates and the release that the numbers are from.
"use strict";
{
  const { el, color, show } = lakemesh;
  const SCALE = 2,
    PADDING = 20,
    MOST_ROWS = 25;

  const save = (name, blob) => {
    const address = URL.createObjectURL(blob);
    const anchor = el("a", { href: address, download: name });
    document.body.append(anchor);
    anchor.click();
    anchor.remove();
    setTimeout(() => URL.revokeObjectURL(address), 10000);
  };

  const image = (address) =>
    new Promise((resolve, reject) => {
      const found = new Image();
      found.onload = () => resolve(found);
      found.onerror = () => reject(new Error("the chart could not be drawn"));
      found.src = address;
    });

  /** Save the picture of a tile. */
  const picture = async ({ title, caption, name }, kind, model, chart) => {
    const drawn = chart ? await image(await chart.toImageURL("png", SCALE)) : null;
    const rows = model.rows.slice(0, MOST_ROWS);
    const wide = drawn ? drawn.width / SCALE : kind === "number" ? 320 : 720;
    const tall = drawn ? drawn.height / SCALE : kind === "number" ? 92 : 26 * (rows.length + 1);
    const canvas = el("canvas", { width: (wide + 2 * PADDING) * SCALE, height: (tall + 2 * PADDING + 76) * SCALE });
    const pen = canvas.getContext("2d");
    const font = getComputedStyle(document.body).fontFamily;
    pen.scale(SCALE, SCALE);
    pen.fillStyle = color("surface");
    pen.fillRect(0, 0, wide + 2 * PADDING, tall + 2 * PADDING + 76);
    const write = (text, x, y, size, weight, token, align = "left") => {
      pen.font = `${weight} ${size}px ${font}`;
      pen.fillStyle = color(token);
      pen.textAlign = align;
      pen.fillText(text, x, y, wide);
    };
    write(title, PADDING, PADDING + 15, 17, 600, "text");
    const isCut = !drawn && kind !== "number" && rows.length < model.rows.length;
    write(isCut ? `${caption}; ${rows.length} of ${model.rows.length} rows` : caption, PADDING, PADDING + 35, 12, 400, "quiet");
    const top = PADDING + 50;
    if (drawn) pen.drawImage(drawn, PADDING, top, wide, tall);
    else if (kind === "number") {
      write(show(model.value, model.metric), PADDING, top + 44, 40, 650, "text");
      const { change, before, metric } = model;
      if (change)
        write(
          `${change.sign > 0 ? "▲" : change.sign < 0 ? "▼" : "■"} ${change.text} from ${show(before, metric)}`,
          PADDING,
          top + 74,
          14,
          500,
          "quiet",
        );
    } else {
      const step = wide / model.columns.length;
      [model.columns.map((text) => ({ text })), ...rows].forEach((row, line) =>
        row.forEach((cell, place) =>
          write(
            cell.text,
            cell.isNumber ? PADDING + step * (place + 1) - 8 : PADDING + step * place,
            top + 17 + 26 * line,
            12,
            line ? 400 : 600,
            line ? "text" : "quiet",
            cell.isNumber ? "right" : "left",
          ),
        ),
      );
    }
    const { number, complete_to } = lakemesh.release;
    write(
      `Lakemesh, release ${number}${complete_to ? `, complete to ${complete_to}` : ""}`,
      PADDING,
      top + tall + 20,
      11,
      400,
      "quiet",
    );
    canvas.toBlob((blob) => save(`${name}.png`, blob), "image/png");
  };

  Object.assign(lakemesh, { save, picture });
}
