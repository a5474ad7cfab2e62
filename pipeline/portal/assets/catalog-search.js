// Search over names, synonyms, descriptions and comments of a catalog, which forgives typing errors.
//
//   const search = lakemesh.catalog.searcher(index)    builds the words of names and descriptions
//   search.addTexts(texts)                             adds the comments of columns
//   search(query, limit, accepts)                      [{entry, column, score}], best first; column is -1 for an entry;
//                                                      search.total of them, search.meant: the words that were meant
//
// A query's words must all match: exactly, as a beginning, within a word, or with one or two wrong letters. Words that
// are wrong are found by comparing sets of letters first, which leaves few words for the edit distance.
"use strict";
{
  const WORDS = /[\p{L}\p{N}]+/gu;
  const NAME = 3, OTHER = 2, TEXT = 1;
  const words = (text) => text.toLowerCase().match(WORDS) ?? [];

  const letters = (word) => {
    let mask = 0;
    for (let at = 0; at < word.length; at++) {
      const code = word.charCodeAt(at);
      mask |= 1 << (code >= 97 && code <= 122 ? code - 97 : code >= 48 && code <= 57 ? 26 : 27);
    }
    return mask;
  };

  const ones = (mask) => {
    mask -= (mask >>> 1) & 0x55555555;
    mask = (mask & 0x33333333) + ((mask >>> 2) & 0x33333333);
    return (((mask + (mask >>> 4)) & 0x0f0f0f0f) * 0x01010101) >>> 24;
  };

  /** Edit distance with swapped neighbours as one edit; anything above `most` is most + 1. */
  const rows = [new Uint8Array(64), new Uint8Array(64), new Uint8Array(64)];
  const distance = (one, other, most) => {
    if (Math.abs(one.length - other.length) > most || one.length > 60 || other.length > 60) return most + 1;
    let [before, last, now] = rows;
    for (let at = 0; at <= other.length; at++) last[at] = at;
    for (let i = 1; i <= one.length; i++) {
      now[0] = i;
      let least = i;
      for (let j = 1; j <= other.length; j++) {
        const same = one.charCodeAt(i - 1) === other.charCodeAt(j - 1);
        let cost = Math.min(last[j] + 1, now[j - 1] + 1, last[j - 1] + (same ? 0 : 1));
        if (i > 1 && j > 1 && one.charCodeAt(i - 1) === other.charCodeAt(j - 2) && one.charCodeAt(i - 2) === other.charCodeAt(j - 1)) {
          cost = Math.min(cost, before[j - 2] + 1);
        }
        now[j] = cost;
        if (cost < least) least = cost;
      }
      if (least > most) return most + 1;
      [before, last, now] = [last, now, before];
    }
    return last[other.length];
  };

  const order = (one, other) => other.score - one.score || one.entry - other.entry || one.column - other.column;
  /** The best of many, sorted, without sorting all of them. */
  const best = (items, limit) => {
    if (items.length <= 4 * limit) return items.sort(order).slice(0, limit);
    let kept = [];
    let least = 0;
    for (const item of items) {
      if (item.score < least) continue;
      kept.push(item);
      if (kept.length === 4 * limit) {
        kept = kept.sort(order).slice(0, limit);
        least = kept.at(-1).score;
      }
    }
    return kept.sort(order).slice(0, limit);
  };

  const searcher = (index) => {
    const places = new Map(); // word → its number
    const list = [], masks = [], postings = [];
    const entries = index.entries;
    const tableOf = [], columnNames = [], firstColumn = [];
    for (let entry = 0; entry < entries.length; entry++) {
      firstColumn.push(columnNames.length);
      for (const name of entries[entry][7] ?? []) { tableOf.push(entry); columnNames.push(name); }
    }
    const documents = entries.length + columnNames.length;
    const lengths = new Uint8Array(documents); // words of its name
    const rank = index.kinds.map((kind) => ({ table: 1.1, view: 1.1, feed: 1.05, metric: 1.2, dashboard: 1.15, term: 1, seed: 0.95, tile: 0.95, source: 0.8, audit: 0.8 })[kind]);

    const add = (word, document, weight) => {
      let place = places.get(word);
      if (place === undefined) {
        place = list.length;
        places.set(word, place);
        list.push(word);
        masks.push(letters(word));
        postings.push([]);
      }
      const own = postings[place];
      const code = document * 4 + weight;
      if (own.length === 0 || own[own.length - 1] >> 2 !== document) own.push(code);
      else if ((own[own.length - 1] & 3) < weight) own[own.length - 1] = code;
    };

    let isReady = false;
    const prepare = () => {
      isReady = true;
      for (let entry = 0; entry < entries.length; entry++) {
        const [, name, others, , , text] = entries[entry];
        const own = words(name);
        lengths[entry] = own.length;
        for (const word of own) add(word, entry, NAME);
        for (const word of words(others)) add(word, entry, OTHER);
        for (const word of words(text)) add(word, entry, TEXT);
      }
      for (let column = 0; column < columnNames.length; column++) {
        const own = words(columnNames[column]);
        lengths[entries.length + column] = own.length;
        for (const word of own) add(word, entries.length + column, NAME);
      }
    };

    /** Words of the vocabulary that a word of the query means, as [number, likeness 0 to 1]. */
    const meant = (term) => {
      const found = [];
      const exact = places.get(term);
      for (let place = 0; place < list.length; place++) {
        const word = list[place];
        if (place === exact) found.push([place, 1]);
        else if (word.startsWith(term)) found.push([place, 0.6 + 0.3 * term.length / word.length]);
        else if (term.length > 2 && word.includes(term)) found.push([place, 0.4]);
      }
      if (term.length < 4 || found.some(([, likeness]) => likeness >= 0.75)) return found;
      const most = term.length < 7 ? 1 : 2;
      const mask = letters(term);
      for (let place = 0; place < list.length; place++) {
        const word = list[place];
        if (ones(mask ^ masks[place]) <= 2 * most && Math.abs(word.length - term.length) <= most) {
          const edits = distance(term, word, most);
          if (edits > 0 && edits <= most) found.push([place, 0.6 - 0.15 * edits]);
        } else if (term.length > 4 && word.length > term.length && word.charCodeAt(0) === term.charCodeAt(0)
          && ones(mask & ~masks[place]) <= 1 && distance(term, word.slice(0, term.length), 1) === 1) {
          found.push([place, 0.35]);
        }
      }
      return found;
    };

    const search = (query, limit = 50, accepts = () => true) => {
      if (!isReady) prepare();
      const terms = [...new Set(words(query))].slice(0, 8);
      search.total = 0;
      search.meant = new Set();
      if (!terms.length) return [];
      let touched = null; // documents that match the rarest word themselves or by their table
      const scores = terms.map((term) => {
        const own = new Float32Array(documents);
        let holding = 0;
        for (const [place, likeness] of meant(term)) {
          const holders = postings[place];
          search.meant.add(list[place]);
          holding += holders.length;
          const rare = likeness * (1 + Math.log(documents / holders.length) / Math.log(documents + 1));
          for (let at = 0; at < holders.length; at++) {
            const code = holders[at];
            const score = rare * (code & 3);
            if (score > own[code >> 2]) own[code >> 2] = score;
          }
        }
        touched = Math.min(touched ?? Infinity, holding);
        return own;
      });
      if (!touched) return [];
      const asked = query.trim().toLowerCase();
      const found = [];
      for (let document = 0; document < documents; document++) {
        const isColumn = document >= entries.length;
        const entry = isColumn ? tableOf[document - entries.length] : document;
        let total = 0, isNamed = false, isWhole = true;
        for (let at = 0; at < scores.length; at++) {
          const of = scores[at][document];
          const around = isColumn ? scores[at][entry] * 0.4 : 0;
          if (of > 0) isNamed = true;
          else if (!(around > 0)) { isWhole = false; break; }
          total += of > around ? of : around;
        }
        if (!isNamed || !isWhole) continue;
        total *= 1 + 0.5 * Math.min(1, terms.length / lengths[document]);
        total *= isColumn ? 0.9 : rank[entries[entry][0]];
        found.push({ entry, column: isColumn ? document - entries.length : -1, score: total });
      }
      for (const item of found) {
        const name = item.column >= 0 ? columnNames[item.column] : entries[item.entry][1];
        if (!asked.endsWith(name) && !name.endsWith(asked)) continue;
        const whole = item.column >= 0 ? `${entries[item.entry][1]}.${name}` : name;
        if (name === asked || whole === asked) item.score *= 3;
        else if (whole.endsWith(`.${asked}`)) item.score *= 2;
      }
      const accepted = found.filter(accepts);
      search.total = accepted.length;
      return best(accepted, limit);
    };

    /** Add the words of comments, some thousand columns at a time, so that typing is never held up. */
    search.addTexts = async (texts) => {
      if (!isReady) prepare();
      await new Promise((done) => setTimeout(done));
      const split = texts.texts.map(words);
      for (let column = 0; column < texts.of.length; column++) {
        for (const word of split[texts.of[column]]) add(word, entries.length + column, TEXT);
        if (column % 1000 === 999) await new Promise((done) => setTimeout(done));
      }
    };
    search.columnName = (column) => columnNames[column];
    search.tableOf = (column) => tableOf[column];
    search.firstColumn = firstColumn;
    search.columns = columnNames.length;
    return search;
  };

  lakemesh.catalog = { ...lakemesh.catalog, searcher, words };
}
