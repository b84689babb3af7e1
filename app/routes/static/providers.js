// Which providers there are: their names and labels, the models to suggest, and what can be set for each.

import { ask } from "./service.js";

let asking = null; // the promise of the answer, kept unless it fails
let fields = new Map(); // what can be set, by its name

/** Ask as whoever is signed in, once unless `anew` -> `{ found }`, the providers in their order, or `{ problem }`. */
export function loadProviders(anew = false) {
  if (anew) asking = null;
  asking ??= request();
  return asking;
}

/** The title and the example of a setting; nothing where it is not known. */
export function fieldOf(name) {
  return fields.get(name) ?? {};
}

async function request() {
  const { found, problem } = await ask("api/providers");
  if (problem) asking = null;
  else fields = new Map(found.providers.flatMap((provider) => provider.fields).map((field) => [field.name, field]));
  return { found: found?.providers, problem };
}
