// One conversation, one answer at a time. Whatever comes from outside is set as text, never as markup.

import { areOwnUsed, load, openPanel } from "./panel.js";
import { loadProviders } from "./providers.js";
import { call, refusal, unreachable } from "./service.js";
import { readAnswer } from "./stream.js";

const LOST = "The connection was lost before the answer's end. Please try again.";
const EMPTY = "The model answered with nothing. Please try again.";
const UNREADABLE = "This file could not be read as an image. Please choose another one.";
const NOTES = { done: "", stopped: "Stopped.", short: "Incomplete.", cut: "Cut off." };
const SETTINGS = "Open settings";
const REMEDIES = { unauth: "Sign in", missing_key: SETTINGS, bad_key: SETTINGS, provider_auth: SETTINGS, blocked_endpoint: SETTINGS };

const part = (id) => document.getElementById(id);
const [form, provider, model, models, temperature] = ["chat", "provider", "model", "models", "temperature"].map(part);
const [message, image, attached, preview, detach] = ["message", "image", "attached", "preview", "detach"].map(part);
const [send, stop, log, template] = ["send", "stop", "log", "exchange"].map(part);
const [error, remedy, settings] = ["error", "remedy", "settings"].map(part);

let providers = []; // all that there are, once the service has told
let isChosen = false; // whether the provider is the user's choice
const kept = []; // the messages of the exchanges that count; a refused or a cut one does not
let picture = ""; // the attached image as a data URL
let running = null; // the AbortController of the answer being written
let atEnd = true; // whether the reader is at the end of the log, and so stays there while it grows

/** Ask, show the answer as it comes, and keep the exchange or give the question back. */
async function converse(event) {
  event.preventDefault();
  const question = { text: message.value.trim(), image: picture, model: model.value.trim() };
  if (running || send.disabled || !(question.text || question.image)) return;
  const { exchange, from, answer } = show(question);
  [message.value, running] = ["", new AbortController()];
  complain();
  attach("");
  busy(true);
  let waiting = ""; // shown every 30 ms: a stream as fast as this machine must leave it time to hear "Stop"
  const write = () => {
    if (!waiting) return;
    answer.append(waiting);
    waiting = "";
    stay();
  };
  const clock = setInterval(write, 30);
  const { state, problem } = await ask(question, from, (text) => (waiting += text), running.signal);
  clearInterval(clock);
  write();
  running = null;
  answer.dataset.state = state;
  exchange.querySelector(".note").textContent = [NOTES[state], problem?.message].filter(Boolean).join(" ");
  settle(question, answer.textContent, state === "cut");
  if (!answer.textContent) {
    exchange.remove(); // and what is wrong is said where the next question is written
    complain(problem ?? (state === "stopped" ? undefined : { message: EMPTY }));
  }
  busy(false);
  stay();
}

/**
 * Send the conversation, once it is known whom to ask; name the model, and pass on the answer's text -> done, short,
 * stopped or cut, with the problem if there is one.
 */
async function ask(question, from, pass, signal) {
  const unknown = await Promise.race([offer(), new Promise((resolve) => (signal.onabort = () => resolve()))]);
  if (unknown) return { state: "cut", problem: unknown };
  from.textContent = question.model || model.placeholder;
  const chatSettings = { model: from.textContent };
  if (temperature.value) chatSettings.temperature = temperature.valueAsNumber;
  const body = JSON.stringify({ chatSettings, messages: [...kept, { role: "user", content: content(question) }] });
  const headers = { Accept: "text/event-stream" };
  let problem = unreachable();
  try {
    const response = await call(`api/chat/${provider.value}`, { method: "POST", body, signal, headers });
    if (!response.ok) return { state: "cut", problem: await refusal(response) };
    problem = { message: LOST };
    const end = await readAnswer(response, pass);
    return end.state ? end : { state: "cut", problem };
  } catch {
    return signal.aborted ? { state: "stopped" } : { state: "cut", problem };
  }
}

/** Say what is wrong, and offer the place where it can be mended; with nothing wrong, nothing is said. */
function complain({ message, code, isServices } = { message: "" }) {
  const isTheirs = REMEDIES[code] === SETTINGS && (isServices || !areOwnUsed());
  const offer = isTheirs ? "" : (REMEDIES[code] ?? ""); // no settings of the user's would change anything
  [error.textContent, remedy.textContent, remedy.hidden] = [message, offer, !offer];
}

/** An exchange that counts is kept; the question of one that does not goes back into the input. */
function settle(question, text, failed) {
  if (text && !failed) {
    kept.push({ role: "user", content: content(question) }, { role: "assistant", content: text });
  } else {
    message.value = [question.text, message.value].filter(Boolean).join("\n\n");
    attach(picture || question.image);
  }
}

function content({ text, image }) {
  const words = text ? [{ type: "text", text }] : [];
  return image ? [...words, { type: "image_url", image_url: { url: image } }] : text;
}

function show({ text, image }) {
  const exchange = template.content.firstElementChild.cloneNode(true);
  const [asked, from, answer] = [".question", ".from", ".answer"].map((name) => exchange.querySelector(name));
  asked.append(text);
  if (image) asked.prepend(Object.assign(new Image(), { src: image, alt: "The attached image" }));
  log.append(exchange);
  atEnd = true;
  return { exchange, from, answer };
}

function stay() {
  if (atEnd) log.scrollTop = log.scrollHeight;
}

/** Send and Stop take turns in one place; the focus stays with whichever is there. */
function busy(on) {
  const [shown, gone] = on ? [stop, send] : [send, stop];
  shown.hidden = false;
  if (document.activeElement === gone) shown.focus();
  gone.hidden = true;
  log.setAttribute("aria-busy", on); // so that an answer is read out once, when it is whole
}

function attach(url) {
  [picture, preview.src, attached.hidden, image.value] = [url, url, !url, ""];
}

/** Any picture the browser can read -> a JPEG of at most 2048 pixels a side, without what the camera wrote into it. */
async function shrink(file) {
  const bitmap = await createImageBitmap(file);
  const scale = Math.min(1, 2048 / Math.max(bitmap.width, bitmap.height));
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [bitmap.width * scale, bitmap.height * scale];
  const context = canvas.getContext("2d");
  context.fillStyle = "white"; // JPEG knows no transparency
  context.fillRect(0, 0, canvas.width, canvas.height);
  context.drawImage(bitmap, 0, 0, canvas.width, canvas.height);
  return canvas.toDataURL("image/jpeg", 0.85);
}

/** Offer the providers to choose from; `anew` asks for them again -> what is wrong, if they cannot be had. */
async function offer(anew = false) {
  const { found, problem } = await loadProviders(anew);
  if (found && found !== providers) fill(found);
  return problem;
}

/** Choose the first provider that can be asked, but keep the user's choice, and one that can be asked already. */
function fill(found) {
  const before = provider.value;
  const stays = before && (isChosen || found.find(({ name }) => name === before)?.usable);
  providers = found;
  provider.replaceChildren(...found.map(({ name, label }) => new Option(label, name)));
  provider.value = stays ? before : (found.find(({ usable }) => usable) ?? found[0]).name;
  if (before && provider.value !== before) model.value = "";
  suggest();
}

function suggest() {
  const { models: names } = providers.find(({ name }) => name === provider.value);
  model.placeholder = names[0] ?? "";
  models.replaceChildren(...names.map((name) => new Option(name)));
}

form.addEventListener("submit", converse);
message.addEventListener("keydown", (event) => {
  if (event.isComposing) return; // an input method's own keys: its Enter only picks a word
  if (event.key === "Escape") running?.abort();
  if (event.key !== "Enter" || event.shiftKey) return;
  event.preventDefault();
  form.requestSubmit();
});
image.addEventListener("change", async () => {
  send.disabled = true;
  attach(await shrink(image.files[0]).catch(() => ""));
  complain(picture ? undefined : { message: UNREADABLE });
  send.disabled = false;
});
stop.addEventListener("click", () => running?.abort());
detach.addEventListener("click", () => attach(""));
for (const button of [stop, detach]) button.addEventListener("click", () => message.focus());
provider.addEventListener("change", () => {
  [isChosen, model.value] = [true, ""];
  suggest();
});
log.addEventListener("scroll", () => (atEnd = log.scrollHeight - log.scrollTop - log.clientHeight < 4));
new ResizeObserver(stay).observe(log);
addEventListener("pagehide", () => running?.abort());
part("open").addEventListener("click", () => openPanel());
remedy.addEventListener("click", () => openPanel(true));
settings.addEventListener("close", async () => {
  if (!remedy.hidden) {
    complain(); // it has been followed, and what it was for is no longer wrong or comes again
    message.focus();
  }
  const wasUnknown = !provider.value;
  const unknown = await offer(true); // who signed in, or has set a key, can ask others
  if (wasUnknown) complain(unknown);
});
const [unknown, problem] = await Promise.all([offer(), load()]);
const told = unknown ?? (problem?.code === "unauth" ? problem : undefined);
if (told && !running) complain(told);
