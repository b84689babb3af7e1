// The settings panel: who is signed in, and what each provider is asked with.

import { loadProviders } from "./providers.js";
import { ask, forget, hasToken, remember } from "./service.js";
import { makeRow, refresh, summary } from "./setting.js";

const POLICIES = {
  "environment-first": "What the service itself has set comes first; what you set beside it is kept, but not used.",
  "profile-first": "What you set comes first; where you set nothing, the service's own is used.",
  "environment-only": "Only what the service itself has set is used; what you set is kept, but not used.",
};
const NO_TOKEN = "This is no token. Please paste the one that you were given.";

const part = (id) => document.getElementById(id);
const [dialog, title, account, user, leave] = ["settings", "settings-title", "account", "user", "sign-out"].map(part);
const [entrance, token, refused, failure, failed] = ["sign-in", "token", "refused", "failure", "failed"].map(part);
const [policy, providers, template, chosen] = ["policy", "providers", "provider-settings", "provider"].map(part);

const rows = new Map(); // of the settings that are shown, by their names
let profile = null; // as the service told it last: `{ user, keyPolicy, settings }`
let turns = 0; // how often the service was asked

/** Open the panel at the chosen provider; `atOnce` puts the focus where something is to be put in. */
export async function openPanel(atOnce = false) {
  clear(); // a dialog that was closed this moment has not told of it yet
  dialog.showModal();
  title.focus();
  await load();
  if (atOnce) (entrance.hidden ? providers.querySelector("[open] input") : token)?.focus();
}

/** Ask who is signed in, and show their settings if the panel is open -> what is wrong, if anything is. */
export async function load() {
  const turn = ++turns;
  providers.ariaBusy = "true";
  const [{ found, problem }] = await Promise.all([ask("api/profile"), loadProviders()]); // which have the titles
  if (turn !== turns) return problem; // something newer is shown, or will be
  providers.ariaBusy = "false";
  if (found && profile && profile.user !== found.user) location.reload(); // the conversation here is somebody else's
  profile = found ?? profile;
  if (problem) lose(problem);
  else if (dialog.open) show();
  return problem;
}

/** Whether what users set is used at all, as far as is known. */
export function areOwnUsed() {
  return profile?.keyPolicy !== "environment-only";
}

function show() {
  [entrance.hidden, failed.hidden, account.hidden, leave.hidden] = [true, true, false, !hasToken()];
  user.textContent = profile.user;
  const mixed = profile.keyPolicy === "environment-only" || profile.settings.some(({ source }) => source === "environment");
  policy.textContent = mixed ? POLICIES[profile.keyPolicy] : "";
  rows.clear();
  const names = new Set(profile.settings.map(({ provider }) => provider));
  providers.replaceChildren(...[...names].map(makeGroup));
  refreshAll();
}

function makeGroup(provider) {
  const settings = profile.settings.filter((setting) => setting.provider === provider);
  const group = template.content.firstElementChild.cloneNode(true);
  group.open = provider === chosen.value;
  group.querySelector(".name").textContent = settings[0].label;
  for (const setting of settings) {
    rows.set(setting.name, makeRow(setting, keep, lose));
    group.append(rows.get(setting.name).form);
  }
  return group;
}

/** Fill in what every setting's state is: one may change what becomes of the others. */
function refreshAll() {
  for (const setting of profile.settings) {
    const key = profile.settings.find(({ provider, isKey }) => isKey && provider === setting.provider);
    const row = rows.get(setting.name);
    refresh(row, setting, profile.keyPolicy);
    row.form.closest("details").querySelector(".state").textContent = summary(key);
  }
}

async function keep(state) {
  if (!rows.has(state.name)) return; // the panel was closed meanwhile
  profile.settings = profile.settings.map((setting) => (setting.name === state.name ? state : setting));
  refreshAll();
  const { found } = await ask("api/profile"); // one may change what becomes of the others
  if (!found || !rows.has(state.name)) return;
  profile = found;
  refreshAll();
}

/** Show the way in where nobody is signed in, else what is wrong. */
function lose({ message, code, hadToken }) {
  clear();
  const nobody = code === "unauth";
  [entrance.hidden, failed.hidden, account.hidden, policy.textContent] = [!nobody, nobody, true, ""];
  [failure.textContent, refused.textContent] = [nobody ? "" : message, hadToken ? message : ""];
  if (hadToken) token.focus();
}

/** Leave nothing that was typed: neither in the fields nor in what they were made of. */
function clear() {
  rows.clear();
  providers.replaceChildren();
  [token.value, refused.textContent] = ["", ""];
}

async function enter(event) {
  event.preventDefault();
  const given = remember(token.value);
  clear();
  const problem = given && (await load());
  if (problem) forget(); // what the service did not take is not kept, whatever the reason
  if (!given) refused.textContent = NO_TOKEN;
  (entrance.hidden ? title : token).focus();
}

entrance.addEventListener("submit", enter);
dialog.addEventListener("close", clear);
part("close").addEventListener("click", () => dialog.close());
part("again").addEventListener("click", async () => (await load()) ?? title.focus());
leave.addEventListener("click", () => {
  forget();
  location.reload(); // nothing of the conversation stays for whoever comes next
});
