// Elements whose texts stay texts: no name of a class, model or file is ever read as HTML.

// An element with these properties, and children that are elements or texts; null ones are left out.
export function make(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name in element) element[name] = value;
    else element.setAttribute(name, value);
  }
  element.append(...children.filter((child) => child !== null));
  return element;
}

// What turns the order of other characters, or is not seen at all; joiners stay, which scripts and emoji need.
const UNSEEN = /[\x00-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb]/g;

// A name that others chose: cut where it is too long, with what is unseen made seen; its direction leaves the text
// around it alone.
export function named(text, longest = 200) {
  const seen = text.slice(0, 2000).replace(UNSEEN, (one) => `\\u${one.charCodeAt(0).toString(16).padStart(4, "0")}`);
  return make("bdi", { title: seen }, seen.length > longest ? `${seen.slice(0, longest)} …` : seen);
}

export function byId(id) {
  return document.getElementById(id);
}
