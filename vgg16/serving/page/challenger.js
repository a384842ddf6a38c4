// The version that waits in Staging and answers too, unheard: how often it says something else.

import { make } from "./dom.js";

export function challenger(facts) {
  if (!facts.version) return [];
  return [make("h2", {}, `Challenger: version ${facts.version}`), make("p", {}, "It waits in Staging and answers too, unheard.")];
}
