// The application: routes, header, formats, and helpers that all views share.
//
//   lakemesh.route(name, render, {label, order})   a view: render(main, path, parameters) for #/name/…; with a label it
//                                                  stands in the navigation, before the dashboards if the order is
//                                                  below 0. `path` is the rest, a list of decoded parts
//   lakemesh.el(tag, attributes, ...children)      an element; text is always text, never markup
//   lakemesh.own(object, key)                      the value of a key that may be any text, such as "constructor"
//   lakemesh.file(name)                            a promise of a data file by its logical name (release.files)
//   lakemesh.go(path, parameters)                  change the address; lakemesh.link(path, parameters) only writes it
//   lakemesh.show, lakemesh.day                    formats of numbers and dates
//   lakemesh.color(token)                          a design token of base.css, as it is now
"use strict";
{
  const routes = new Map();

  /** Create an element. Attributes: `class`, `on*` listeners, `text`; true is an empty attribute, null and false none. */
  const el = (tag, attributes = {}, ...children) => {
    const node = tag.startsWith("svg:")
      ? document.createElementNS("http://www.w3.org/2000/svg", tag.slice(4))
      : document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) {
      if (value === null || value === undefined || value === false) continue;
      if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
      else if (name === "text") node.textContent = value;
      else node.setAttribute(name, value === true ? "" : value);
    }
    node.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
    return node;
  };

  const color = (token) => getComputedStyle(document.documentElement).getPropertyValue(`--${token}`).trim();

  const route = (name, render, options = {}) => routes.set(name, { render, ...options });

  const own = (object, key) => object && Object.hasOwn(object, key) ? object[key] : undefined;

  const file = (name) => {
    const address = own(lakemesh.release.files, name);
    return address ? lakemesh.data(address, name) : Promise.reject(new Error(`this release has no ${name}`));
  };

  /** The address as {path: ["engagement"], parameters: {period: "28d"}}. */
  const address = () => {
    const [path, query = ""] = location.hash.replace(/^#\/?/, "").split("?");
    const decoded = (part) => { try { return decodeURIComponent(part); } catch { return part; } };
    return { path: path.split("/").filter(Boolean).map(decoded), parameters: Object.fromEntries(new URLSearchParams(query)) };
  };

  const link = (path, parameters = {}) => {
    const kept = Object.entries(parameters).filter(([, value]) => value !== null && value !== undefined && value !== "");
    const query = new URLSearchParams(kept).toString();
    return `#/${path.map(encodeURIComponent).join("/")}${query ? `?${query}` : ""}`;
  };

  const go = (path, parameters) => { location.hash = link(path, parameters); };

  // ---- formats -------------------------------------------------------------------------------------------------
  const LOCALE = "en-GB";
  const cached = new Map();
  const number = (options) => {
    const key = JSON.stringify(options);
    if (!cached.has(key)) cached.set(key, new Intl.NumberFormat(LOCALE, options));
    return cached.get(key);
  };
  const plain = (value, digits, least = 0) => number({ maximumFractionDigits: digits, minimumFractionDigits: least }).format(value);

  /** Format a value of a metric; `exact` for tables, otherwise as short as a headline needs. Null is an en dash. */
  const show = (value, metric, exact = false) => {
    if (value === null || value === undefined || Number.isNaN(value)) return "–";
    const size = Math.abs(value);
    const short = !exact && size >= 1e6;
    switch (metric.format) {
      case "percent": return `${plain(value * 100, exact ? 2 : 1, exact ? 2 : 1)}%`;
      case "currency": {
        const code = metric.currency;
        const digits = exact || (size < 1000 && size !== 0) ? 2 : 0;
        const style = code ? { style: "currency", currency: code, currencyDisplay: "narrowSymbol" } : {};
        return number(short
          ? { ...style, notation: "compact", maximumFractionDigits: 2 }
          : { ...style, minimumFractionDigits: digits, maximumFractionDigits: digits }).format(value);
      }
      case "duration": return duration(value, exact);
      case "integer": return short ? number({ notation: "compact", maximumFractionDigits: 2 }).format(value) : plain(value, 0);
      default: return short ? number({ notation: "compact", maximumFractionDigits: 2 }).format(value) : plain(value, exact ? 4 : 2);
    }
  };

  const duration = (seconds, exact) => {
    const size = Math.abs(seconds);
    if (exact) { // hours, minutes, seconds: one unit for a whole column
      const whole = Math.round(size);
      const two = (part) => String(part).padStart(2, "0");
      return `${seconds < 0 ? "-" : ""}${plain(Math.floor(whole / 3600), 0)}:${two(Math.floor(whole / 60) % 60)}:${two(whole % 60)}`;
    }
    if (size < 90) return `${plain(seconds, 0)} s`;
    if (size < 5400) return `${plain(seconds / 60, 1)} min`;
    return `${plain(seconds / 3600, size < 360000 ? 1 : 0)} h`;
  };

  /** The change of a metric as text: percent, or percentage points of a share. */
  const change = (now, before, metric) => {
    if (now === null || before === null) return null;
    if (metric.format === "percent") {
      return { text: `${plain(Math.abs(now - before) * 100, 1, 1)} pp`, sign: Math.sign(Math.round((now - before) * 1000)) };
    }
    if (before === 0) return null;
    const share = (now - before) / Math.abs(before);
    return { text: `${plain(Math.abs(share) * 100, Math.abs(share) < 10 ? 1 : 0)}%`, sign: Math.sign(Math.round(share * 1000)) };
  };

  const date = (options) => new Intl.DateTimeFormat(LOCALE, { timeZone: "UTC", ...options });
  const FULL = date({ day: "numeric", month: "short", year: "numeric" });
  const SHORT = date({ day: "numeric", month: "short" });
  const MONTH = date({ month: "short", year: "numeric" });
  const MOMENT = date({ day: "numeric", month: "short", year: "numeric", hour: "2-digit", minute: "2-digit" });
  /** Formats of dates; days are numbers since 1970-01-01, UTC. */
  const day = {
    parse: (text) => Math.round(Date.parse(`${text.slice(0, 10)}T00:00:00Z`) / 86400000),
    iso: (value) => new Date(value * 86400000).toISOString().slice(0, 10),
    full: (value) => FULL.format(value * 86400000),
    short: (value) => SHORT.format(value * 86400000),
    month: (value) => MONTH.format(value * 86400000),
    moment: (text) => `${MOMENT.format(Date.parse(text))} UTC`,
  };

  const age = (seconds) => seconds < 5400 ? `${Math.round(seconds / 60)} min`
    : seconds < 172800 ? `${Math.round(seconds / 3600)} h` : `${Math.round(seconds / 86400)} days`;

  // ---- header --------------------------------------------------------------------------------------------------
  const LOGO = "M2 12 8 5l4 5 4-6 6 8M2 18h20";

  /** Where the server of live numbers answers, below these pages; undefined for pages that it does not serve. */
  const live = document.documentElement.dataset.live;
  const home = () => lakemesh.release.pages[0]?.name ?? (live ? "live" : undefined);

  const header = () => {
    const release = lakemesh.release;
    const { path } = address();
    const here = path[0] ?? home();
    const views = [...routes].filter(([, view]) => view.label).sort((a, b) => (a[1].order ?? 99) - (b[1].order ?? 99));
    const named = (part) => part.filter(([, view]) => view.isShown?.() ?? true).map(([name, view]) => [name, view.label]);
    const entries = [
      ...named(views.filter(([, view]) => view.order < 0)),
      ...release.pages.map((page) => [page.name, page.title]),
      ...named(views.filter(([, view]) => !(view.order < 0))),
    ];
    const dark = document.documentElement.dataset.theme === "dark";
    const brand = el("a", { class: "brand", href: "#/" },
      el("svg:svg", { width: 22, height: 20, viewBox: "0 0 24 22", "aria-hidden": "true" },
        el("svg:path", { d: LOGO, fill: "none", stroke: "currentColor", "stroke-width": 2.2, "stroke-linejoin": "round", "stroke-linecap": "round" })),
      "Lakemesh");
    const nav = el("nav", { class: "nav", "aria-label": "Pages" },
      entries.map(([name, label]) => el("a", { href: link([name]), "aria-current": name === here ? "page" : null, text: label })));
    const theme = el("button", {
      type: "button", class: "plain theme", "aria-label": dark ? "Use the light theme" : "Use the dark theme",
      text: dark ? "Light" : "Dark",
      onclick: () => {
        const next = dark ? "light" : "dark";
        document.documentElement.dataset.theme = next;
        try { localStorage.setItem("lakemesh-theme", next); } catch { /* a browser that stores nothing: for this page only */ }
        render();
        document.querySelector(".theme").focus();
      },
    });
    document.getElementById("header").replaceChildren(
      el("div", { class: "bar" }, el("div", { class: "bar-inner" }, brand, nav, theme)),
      el("div", { class: "status", role: "status" }, el("div", { class: "bar-inner" }, status(release))),
    );
    document.getElementById("footer").replaceChildren(!release.number ? "Nothing is released yet." :
      `Release ${release.number} of ${day.moment(release.published_at)}. Numbers are of this release alone, dates are UTC.`);
  };

  /** What a reader has to know of the release: which, when, complete to when, and what waits or is late. */
  const status = (release) => {
    if (!release.number) return [el("span", { text: "No release has pages yet: lake run or lake publish writes them" })];
    const parts = [
      el("span", {}, "Release ", el("strong", { text: String(release.number) }), `, ${day.moment(release.published_at)}`),
      release.complete_to
        ? el("span", {}, el("span", { class: "ok", text: "✓ audited, complete to " + day.full(day.parse(release.complete_to)) }),
          ` (${release.audits} audits)`)
        : el("span", { text: `audited (${release.audits} audits)` }),
    ];
    if (lakemesh.isAsked) {
      parts.push(el("span", { class: "held" }, "a kept release; ", el("a", { href: location.pathname + location.hash, text: "open the current one" })));
    } else if (release.is_held) {
      parts.push(el("span", { class: "held", text: "rolled back: newer releases are withheld" }));
    }
    const now = Date.now();
    for (const feed of release.feeds) {
      const seconds = feed.newest_at === null ? null : (now - Date.parse(feed.newest_at)) / 1000;
      if (seconds === null) parts.push(el("span", { class: "late", text: `${feed.feed} has no data yet` }));
      else if (feed.limit_seconds && seconds > feed.limit_seconds) {
        parts.push(el("span", { class: "late", text: `${feed.feed} is late: newest object ${age(seconds)} old` }));
      }
      if (feed.waiting) parts.push(el("span", { class: "waits", text: `${feed.feed}: ${plain(feed.waiting, 0)} objects wait` }));
    }
    for (const { table, dates } of release.withheld) {
      const [first, last] = [dates[0], dates.at(-1)].map((text) => day.full(day.parse(text)));
      parts.push(el("span", { class: "waits", text: `${table} waits for ${dates.length > 1 ? `${dates.length} days, ${first} to ${last}` : first}` }));
    }
    return parts;
  };

  // ---- router --------------------------------------------------------------------------------------------------
  const isThere = (address) => lakemesh.script(`${address}?${Date.now()}`).then(() => true, () => false);

  /** Why a file of the release could not be loaded, and what to do. */
  const unloaded = async () => {
    const { number } = lakemesh.release;
    if (await isThere(`releases/${number}.js`)) return "Reload the page to try again.";
    if (await isThere("current.js")) return `Release ${number} was pruned meanwhile: ${lakemesh.isAsked ? "open the current one" : "reload the page"}.`;
    return "The place of these pages cannot be reached; try again later.";
  };

  let rendering = 0;
  const render = async () => {
    const turn = ++rendering;
    const { path, parameters } = address();
    const main = document.getElementById("content");
    const name = path[0] ?? home();
    const page = lakemesh.release.pages.find((item) => item.name === name);
    const view = page ? routes.get("page") : routes.get(name);
    header();
    const fresh = el("div");
    try {
      if (!view) throw new Error(`There is no page ${name}`);
      await view.render(fresh, page ? [name, ...path.slice(1)] : path.slice(1), parameters);
    } catch (error) {
      if (turn !== rendering) return;
      const text = `${error.message}. ${error.address ? await unloaded() : ""}`.trim();
      if (turn !== rendering) return;
      fresh.replaceChildren(el("p", { class: "banner error", role: "alert", text }));
    }
    if (turn !== rendering) return;
    const title = fresh.querySelector("h1");
    document.title = `${title?.textContent ?? name} – Lakemesh`;
    const moved = main.dataset.view !== path.join("/");
    main.dataset.view = path.join("/");
    main.replaceChildren(fresh);
    fresh.dispatchEvent(new CustomEvent("shown"));
    if (moved && lakemesh.isStarted) { window.scrollTo(0, 0); title?.setAttribute("tabindex", "-1"); title?.focus({ preventScroll: true }); }
    lakemesh.isStarted = true;
  };

  const start = async () => {
    window.addEventListener("hashchange", render);
    await render();
  };

  // ---- newer releases ------------------------------------------------------------------------------------------
  /** What of the small file pages are made from; the rest is what the header says. */
  const PAGES = ["sources", "app", "pages", "files"];
  let looked = Date.now();
  const look = async () => {
    if (document.hidden || lakemesh.isAsked || Date.now() - looked < 60000) return;
    looked = Date.now();
    const open = lakemesh.release;
    try { await lakemesh.script(`current.js?${looked}`); } catch { return; }
    const newest = lakemesh.defined.get("release");
    const isSame = newest.number === open.number;
    if (isSame && PAGES.every((name) => JSON.stringify(newest[name]) === JSON.stringify(open[name]))) {
      document.querySelector(".banner.newer")?.remove();
      lakemesh.release = newest; // what waits, or how far it is complete
      if (newest.complete_to === open.complete_to) header(); else await render();
      return;
    }
    const text = isSame ? `The pages of release ${newest.number} were written again, by other definitions. `
      : newest.number < open.number ? `Release ${newest.number} is the current one again. ` : `Release ${newest.number} is published. `;
    document.querySelector(".banner.newer")?.remove();
    document.getElementById("content").prepend(el("p", { class: "banner newer", role: "status" },
      text, el("button", { type: "button", class: "button", text: "Show it", onclick: () => location.reload() })));
  };
  document.addEventListener("visibilitychange", look);
  window.addEventListener("focus", look);

  Object.assign(window.lakemesh, { el, color, route, own, file, address, link, go, show, plain, change, day, age, start, render, live });
}
