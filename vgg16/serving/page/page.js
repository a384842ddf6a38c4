// The page: pictures come in, each becomes a card, and the version that answers is looked at every few seconds.

import { showFacts, staleness } from "./about.js";
import { ask, forget, hasToken } from "./ask.js";
import { Card } from "./cards.js";
import { download, table } from "./csv.js";
import { byId } from "./dom.js";
import { listen } from "./incoming.js";
import { pause } from "./queue.js";
import { percent, plural } from "./words.js";

const LOOKS = 3; // seconds between two looks at the version
let cards = [];
let facts = null;
let shown = ""; // what the panel shows

function take(files) {
  const others = { changed: count, left, most: () => facts?.limits.bytes };
  const come = files.map(([file, name]) => new Card(file, name, others));
  cards.push(...come);
  byId("cards").append(...come.map((card) => card.element));
  for (const card of come) card.ask();
  count();
}

function left(card) {
  const next = cards[cards.indexOf(card) + 1] ?? cards[cards.indexOf(card) - 1];
  cards = cards.filter((other) => other !== card);
  count();
  (next?.element ?? byId("files")).focus();
}

// Say how many pictures are answered; to those who hear the page only once all are.
function count(card = null) {
  const [done, failed] = [cards.filter((one) => one.isDone), cards.filter((one) => one.error)];
  byId("tools").hidden = !cards.length;
  Object.assign(byId("progress"), { max: cards.length || 1, value: done.length });
  byId("progress").hidden = done.length === cards.length;
  const unread = failed.length ? `, ${failed.length} without an answer` : "";
  const text = `${done.length - failed.length} of ${plural(cards.length, "picture")} answered${unread}`;
  byId("counts").textContent = text;
  if (facts && card?.answer && card.answer.version !== facts.version) look();
  if (!card || done.length < cards.length) return;
  const one = cards.length === 1 && card.answer;
  byId("answered").textContent = one ? `${card.name}: ${one.label}, ${percent(one.probability)}` : `${text}.`;
}

function promoted(before) {
  const [notice, again] = [byId("notice"), byId("again")];
  notice.hidden = false;
  notice.querySelector("p").textContent = `Version ${facts.version} answers from now on; before, version ${before} did.`;
  const older = cards.filter((card) => card.answer && card.answer.version !== facts.version);
  again.hidden = !older.length;
  again.textContent = `Ask version ${facts.version} about ${older.length === 1 ? "the picture" : `the ${older.length} pictures`}`;
  again.onclick = () => {
    notice.hidden = true;
    for (const card of older) card.ask();
    count();
  };
}

async function look() {
  const standing = byId("standing");
  const say = (text, fails) => {
    if (standing.textContent !== text) standing.textContent = text;
    standing.className = fails ? "note open" : "lead";
  };
  try {
    const before = facts;
    facts = await ask("model");
    byId("model").textContent = facts.model;
    document.title = `${facts.model} ${facts.version}`;
    say(`Version ${facts.version} answers.${staleness(facts)}`, staleness(facts) !== "");
    // Its age alone is always new.
    const text = JSON.stringify({ ...facts, ledger: facts.ledger.entries });
    if (text !== shown) showFacts(byId("about"), facts);
    [shown, byId("about").hidden, byId("forget").hidden] = [text, false, !hasToken()];
    if (before && before.version !== facts.version) promoted(before.version);
    for (const card of cards) card.compare(facts.version);
  } catch (error) {
    say(`${error.message} ${error.hint ?? ""} This page looks again every ${LOOKS} seconds.`, true);
  }
}

async function follow() {
  for (;;) {
    await look();
    await pause(LOOKS);
    if (document.hidden) await new Promise((seen) => document.addEventListener("visibilitychange", seen, { once: true }));
  }
}

byId("forget").onclick = forget;
byId("dismiss").onclick = () => (byId("notice").hidden = true);
byId("clear").onclick = () => {
  for (const card of [...cards]) card.remove();
};
byId("download").onclick = () => download(`${facts?.model ?? "answers"}.csv`, table(cards));
listen(take);
follow();
