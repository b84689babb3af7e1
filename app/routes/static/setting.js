// One setting in the panel: its words, and the form that saves, checks and removes it. A secret goes in and never comes
// out again: its field is emptied as soon as the service has it.

import { fieldOf } from "./providers.js";
import { ask } from "./service.js";

const UNUSED = {
  "environment-first": "the service's own comes first",
  "environment-only": "only the service's own is used",
};
const WRONG_VALUES = ["bad_body", "blocked_endpoint"]; // what the field is to blame for
const KEY_REMOVED = "The API key is removed, too: it is sent to no endpoint but the one it was entered for. Please enter it again.";
const EMPTY = { message: "There is nothing here to save yet.", code: "bad_body" };
const UNSAVED = { message: "Please save the new key first: only a key that is kept can be checked." };

const template = document.getElementById("setting");

/** Make the row of a setting. `kept` will be told the setting's new state, `lost` that nobody is signed in any more. */
export function makeRow(setting, kept, lost) {
  const { name } = setting;
  const form = template.content.firstElementChild.cloneNode(true);
  const [source, check, remove, done, wrong] =
    [".source", ".check", ".remove", ".done", ".wrong"].map((part) => form.querySelector(part));
  const title = fieldOf(name).title ?? name.replaceAll("_", " ");
  const field = makeField(setting);
  const path = `api/profile/settings/${encodeURIComponent(name)}`;
  const row = { name, title, path, form, field, source, check, remove, done, wrong, busy: false, kept, lost };
  label(row, setting.label);
  field.addEventListener("input", () => say(row, ""));
  form.addEventListener("submit", (event) => save(row, event));
  remove.addEventListener("click", () => drop(row));
  check.addEventListener("click", () => tryOut(row));
  return row;
}

/** Fill in where a setting comes from, and what can be done with it. */
export function refresh({ source, check, remove }, setting, policy) {
  source.textContent = origin(setting, policy);
  remove.hidden = !setting.isInProfile;
  check.hidden = !(setting.isKey && setting.isInProfile);
}

/** What a provider is asked with, in a few words. */
export function summary(key) {
  if (key.source === "environment") return "The service's key";
  if (key.source === "profile") return key.lastFour ? `Your key, ends in ${key.lastFour}` : "Your key";
  return "No key";
}

/** Where a setting comes from, in a sentence. */
function origin(setting, policy) {
  if (setting.isLocked) return "Yours cannot be read any more: save it again, or remove it.";
  if (setting.isInProfile) {
    if (setting.source === "profile") return setting.lastFour ? `Yours, ends in ${setting.lastFour}.` : "Yours.";
    const why = setting.source || policy === "environment-only" ? UNUSED[policy] : "it goes with a key of yours only";
    return `Yours${setting.lastFour ? `, ends in ${setting.lastFour},` : ""} is kept but not used: ${why}.`;
  }
  return setting.source === "environment" ? "From the service's environment." : "Not set.";
}

function makeField({ name, isKey, value }) {
  const { example = "" } = fieldOf(name);
  const field = document.createElement(example.startsWith("{") ? "textarea" : "input"); // JSON may be long
  if (isKey) field.type = "password";
  const placeholder = isKey ? "Paste a key" : example;
  const plain = { autocomplete: "off", autocapitalize: "off", spellcheck: false };
  return Object.assign(field, { id: name, value: value ?? "", placeholder, ...plain });
}

/** Name everything in the row, to the eye in short, to a screen reader with its provider. */
function label({ name, title, form, field, source, wrong }, provider) {
  const words = form.querySelector("label");
  words.htmlFor = field.id;
  words.append(title);
  words.querySelector(".unseen").textContent = `${provider} `;
  form.querySelector(".entry").prepend(field);
  [source.id, wrong.id] = [`${name}-source`, `${name}-wrong`];
  field.setAttribute("aria-describedby", `${source.id} ${wrong.id}`);
  for (const button of form.querySelectorAll("button")) button.ariaLabel = `${button.textContent} ${provider} ${title}`;
}

async function save(row, event) {
  event.preventDefault();
  const value = row.field.value.trim();
  if (!value) say(row, "", EMPTY);
  const found = value && (await request(row, "Saving…", row.path, { method: "PUT", body: JSON.stringify({ value }) }));
  if (!found) return row.field.focus();
  row.field.value = found.value ?? "";
  row.kept(found);
  say(row, found.keyRemoved ? `Saved. ${KEY_REMOVED}` : "Saved.");
}

async function drop(row) {
  const found = await request(row, "Removing…", row.path, { method: "DELETE" });
  if (!found) return;
  row.field.value = "";
  row.kept(found);
  say(row, found.keyRemoved ? `Removed. ${KEY_REMOVED}` : "Removed.");
  row.field.focus(); // the button that had it is gone
}

async function tryOut(row) {
  if (row.field.value) return say(row, "", UNSAVED);
  if (await request(row, "Checking…", `${row.path}/check`, { method: "POST" })) say(row, "The key works.");
}

/** Ask the service, one thing at a time -> its answer, or nothing where it refused, which is said. */
async function request(row, doing, path, options) {
  if (row.busy) return null;
  row.busy = true;
  say(row, doing);
  const { found, problem } = await ask(path, options);
  row.busy = false;
  say(row, "", problem);
  if (problem?.code === "unauth") row.lost(problem);
  return found;
}

/** Say what is done, or what is wrong: in the service's words, but with the name that the field has here. */
function say({ name, title, field, done, wrong }, what, problem) {
  done.textContent = what;
  wrong.textContent = problem?.message.replace(name, title) ?? "";
  field.setAttribute("aria-invalid", WRONG_VALUES.includes(problem?.code));
}
