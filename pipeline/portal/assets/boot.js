// Finds the release that the address asks for (?release=12, otherwise the current one) and starts the scripts that it
// was written with, so that a page is consistent whatever is published meanwhile.
"use strict";
window.lakemesh = (() => {
  const defined = new Map();
  const started = new Map();

  /** Called by every data file. */
  const define = (name, value) => {
    defined.set(name, value);
  };

  /** Load a script once; resolves when it ran. */
  const script = (address) => {
    if (!started.has(address)) {
      started.set(
        address,
        new Promise((resolve, reject) => {
          const node = document.createElement("script");
          node.src = address;
          node.onload = () => resolve();
          node.onerror = () => {
            started.delete(address);
            reject(Object.assign(new Error(`${address} could not be loaded`), { address }));
          };
          document.head.append(node);
        }),
      );
    }
    return started.get(address);
  };

  /** Load a data file and return what it defines. */
  const data = async (address, name) => {
    if (!defined.has(name)) await script(address);
    if (!defined.has(name)) throw new Error(`${address} does not define ${name}`);
    return defined.get(name);
  };
  return { define, defined, script, data };
})();

(async () => {
  const theme = (() => {
    try {
      return localStorage.getItem("lakemesh-theme");
    } catch {
      return null;
    }
  })();
  const dark = theme ? theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  document.documentElement.dataset.theme = dark ? "dark" : "light";
  const asked = new URLSearchParams(location.search).get("release");
  const number = /^[0-9]{1,18}$/.test(asked ?? "") ? asked : null;
  const file = number ? `releases/${number}.js` : `current.js?${Date.now()}`;
  try {
    const release = await lakemesh.data(file, "release");
    lakemesh.release = release;
    lakemesh.isAsked = number !== null;
    const name = location.hash.replace(/^#\/?/, "").split(/[/?]/)[0];
    const page = release.pages.find((item) => item.name === name) ?? release.pages[0];
    if (page) lakemesh.script(page.file).catch(() => {}); // beside the application; an error is shown by the page
    if (![...document.styleSheets].some((sheet) => sheet.href?.endsWith(release.app.style))) {
      const link = document.createElement("link");
      link.rel = "stylesheet";
      link.href = release.app.style;
      document.head.append(link);
    }
    await lakemesh.script(release.app.script);
    await lakemesh.start();
  } catch (error) {
    const box = document.createElement("p");
    box.className = "banner error";
    box.setAttribute("role", "alert");
    const lacking = number
      ? `Release ${number} is not kept, or was published without pages (${error.message}).`
      : `No release has pages yet (${error.message}). Run lake run or lake publish.`;
    box.textContent = error.address === file ? lacking : `${error.message}. Reload the page to try again.`;
    document.getElementById("content").append(box);
  }
})();
