// Pictures wait here; a few at a time are sent, and those that the service has no room for are sent again.

import { Refusal, ask } from "./ask.js";

const AT_ONCE = 3;
const LONGEST = 30; // seconds between two tries
const waiting = [];
let running = 0;

// What the service answers to a file at this path. `signal` ends it; `said` is told why it waits. Throws Refusal.
export function send(path, file, signal, said) {
  return new Promise((resolve, reject) => {
    waiting.push({ path, file, signal, said, resolve, reject });
    next();
  });
}

function next() {
  while (running < AT_ONCE && waiting.length) {
    const job = waiting.shift();
    running += 1;
    answered(job)
      .then(job.resolve, job.reject)
      .finally(() => {
        running -= 1;
        next();
      });
  }
}

async function answered({ path, file, signal, said }) {
  for (let tries = 1; ; tries++) {
    signal.throwIfAborted();
    try {
      return await ask(path, { method: "POST", body: file, signal });
    } catch (error) {
      if (!(error instanceof Refusal) || !error.after) throw error;
      const seconds = Math.min(LONGEST, Math.max(error.after, error.after * 1.3 ** (tries - 1)));
      said(`${error.message} Asked again in ${plainly(seconds)}.`);
      await pause(seconds, signal);
      said("");
    }
  }
}

function plainly(seconds) {
  return seconds < 1.5 ? "a second" : `${Math.round(seconds)} seconds`;
}

export function pause(seconds, signal = null) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(resolve, 1000 * seconds);
    signal?.addEventListener("abort", () => {
      clearTimeout(timer);
      reject(signal.reason);
    }, { once: true });
  });
}
