// Requests to the service that this page comes from, with its token where it wants one.

import { byId } from "./dom.js";

const KEPT = "vgg16-serve-token";
let token = "";
let given = null; // what waits for a person to give the token

try {
  token = sessionStorage.getItem(KEPT) ?? "";
} catch {
  token = ""; // a browser may forbid to keep anything
}

export class Refusal extends Error {
  constructor(status, { message, hint = "" }, after = 0) {
    super(message);
    Object.assign(this, { status, hint, after });
  }
}

// The JSON of an answer. Throws Refusal, whose status is 0 where the service does not answer at all; `after` are the
// seconds until one may ask again, 0 where that changes nothing.
export async function ask(path, options = {}) {
  for (;;) {
    const sent = token;
    const answer = await reach(path, sent, options);
    if (answer.ok) return answer.json();
    const refusal = await refused(answer);
    if (answer.status !== 401) throw refusal;
    if (sent === token) await another(sent ? refusal.message : "");
  }
}

export function hasToken() {
  return token !== "";
}

export function forget() {
  keep("");
  location.reload();
}

async function reach(path, sent, options) {
  try {
    return await fetch(path, { ...options, cache: "no-store", headers: sent ? { Authorization: `Bearer ${sent}` } : {} });
  } catch (error) {
    if (options.signal?.aborted) throw error;
    throw new Refusal(0, { message: "The service does not answer.", hint: "Is it still running?" });
  }
}

async function refused(answer) {
  const after = [429, 503].includes(answer.status) ? Number(answer.headers.get("retry-after")) || 1 : 0;
  try {
    return new Refusal(answer.status, (await answer.json()).error, after);
  } catch {
    return new Refusal(answer.status, { message: `The service answered with status ${answer.status}.` }, after);
  }
}

function keep(value) {
  token = value;
  try {
    sessionStorage.setItem(KEPT, value);
  } catch {
    // It lasts as long as the page.
  }
}

// Ask the person for the token, once for all requests that want it.
function another(said) {
  given ??= new Promise((resolve) => {
    const [form, field] = [byId("token"), byId("token-field")];
    byId("token-said").textContent = said;
    form.hidden = false;
    field.value = "";
    field.focus();
    form.onsubmit = (event) => {
      event.preventDefault();
      const value = field.value.trim();
      if (!/^[\x21-\x7e]+$/.test(value)) {
        byId("token-said").textContent = "Expected letters, digits and signs without spaces.";
        return;
      }
      keep(value);
      form.hidden = true;
      given = null;
      resolve();
    };
  });
  return given;
}
