// One picture: what it looks like, what the model says of it, and how usual it is to the model.

import { Refusal } from "./ask.js";
import { make, named } from "./dom.js";
import { drawMap } from "./map.js";
import { send } from "./queue.js";
import { thumbnail } from "./thumbnail.js";
import { isUnusual, percent, usual } from "./words.js";

const SHOWN = 5; // classes; the others on demand

export class Card {
  // `changed` is called when an answer, or the reason why there is none, has come; `left` when the card is removed.
  constructor(file, name, { changed, left, most }) {
    Object.assign(this, { file, name, changed, left, most, answer: null, error: null });
    this.ending = new AbortController();
    this.body = make("div", { className: "says" });
    this.extra = make("div", { className: "extra", hidden: true });
    const remove = make("button", { className: "quiet remove", title: "Remove", ariaLabel: `Remove ${name}` }, "×");
    remove.onclick = () => this.remove();
    const picture = make("div", { className: "thumbnail" });
    this.element = make("li", { className: "card", tabIndex: -1 }, picture, this.body, remove, this.extra);
    thumbnail(file, picture, this.ending.signal);
  }

  get isDone() {
    return this.answer !== null || this.error !== null;
  }

  remove() {
    this.ending.abort();
    this.element.remove();
    this.left(this);
  }

  // Send the picture; once more where it was answered before.
  async ask() {
    Object.assign(this, { answer: null, error: null });
    this.element.classList.remove("older");
    this.extra.hidden = true;
    this.show(make("p", { className: "soft" }, "Waits …"));
    try {
      await this.check();
      this.answer = await send("predict", this.file, this.ending.signal, (said) => this.wait(said));
      this.showAnswer();
    } catch (error) {
      if (this.ending.signal.aborted) return;
      this.error = error;
      this.showError();
      if (!(error instanceof Refusal)) throw error;
    }
    this.changed(this);
  }

  // Throws Refusal for a file that would be sent in vain.
  async check() {
    try {
      await this.file.slice(0, 1).arrayBuffer();
    } catch {
      throw new Refusal(400, { message: "The file cannot be read: it is a folder, was removed, or has changed." });
    }
    const most = this.most();
    if (most && this.file.size > most) {
      const [size, allowed] = [this.file.size, most].map((bytes) => `${(bytes / 1024 ** 2).toFixed(1)} MiB`);
      throw new Refusal(413, { message: `The file has ${size}: expected at most ${allowed}.` });
    }
  }

  wait(said) {
    this.show(make("p", { className: "soft" }, said || "Waits …"));
  }

  show(...parts) {
    this.body.replaceChildren(make("p", { className: "name" }, named(this.name)), ...parts);
  }

  showError() {
    const hint = this.error.hint ? make("p", { className: "soft" }, this.error.hint) : "";
    const again = make("button", { className: "quiet", onclick: () => this.ask() }, "Try again");
    this.show(
      make("p", { className: "failed" }, this.error.message),
      hint,
      make("p", { className: "row" }, again),
    );
  }

  showAnswer() {
    const { label, probability, typicality, version } = this.answer;
    const classes = Object.entries(this.answer.probabilities).sort((one, other) => other[1] - one[1]);
    const bars = make("ul", { className: "bars" }, ...classes.slice(0, SHOWN).map(bar));
    const more = make("button", { className: "quiet" }, `All ${classes.length} classes`);
    more.onclick = () => {
      bars.append(...classes.slice(SHOWN).map(bar));
      more.remove();
      bars.tabIndex = -1;
      bars.focus();
    };
    const where = make("button", { className: "quiet" }, "Where it looks");
    where.onclick = () => this.showMap(where);
    const warns = isUnusual(typicality);
    this.show(
      make("p", { className: "label" }, named(label), " ", make("span", { className: "share" }, percent(probability))),
      bars,
      make("p", { className: warns ? "usual warns" : "usual" }, usual(typicality)),
      make("p", { className: "row" }, where, classes.length > SHOWN ? more : ""),
      make("p", { className: "by soft" }, `Version ${version} answered.`),
    );
  }

  // Say which version answers now, where it is another one.
  compare(version) {
    const by = this.body.querySelector(".by");
    if (by && this.answer) {
      const other = this.answer.version !== version;
      by.textContent = `Version ${this.answer.version} answered${other ? "; another one would now" : ""}.`;
      this.element.classList.toggle("older", other);
    }
  }

  async showMap(button) {
    button.disabled = true;
    this.extra.hidden = false;
    const said = (text) => this.extra.replaceChildren(make("p", { className: "soft", role: "status" }, text));
    said("Hiding one part after the other …");
    try {
      const signal = this.ending.signal;
      const map = await send("occlusion", this.file, signal, (text) => said(text || "Hiding one part after the other …"));
      const figure = drawMap(map);
      this.extra.replaceChildren(figure);
      // A button that is disabled gives the focus away.
      if (document.activeElement === document.body) figure.focus({ preventScroll: true });
    } catch (error) {
      if (this.ending.signal.aborted) return;
      said(error.message);
      button.disabled = false;
      if (!(error instanceof Refusal)) throw error;
    }
  }
}

function bar([name, share]) {
  const fill = make("i");
  fill.style.width = `${100 * share}%`;
  const track = make("span", { className: "bar", ariaHidden: "true" }, fill);
  return make("li", {}, named(name), track, make("span", { className: "share" }, percent(share)));
}
