// One conversation held by the AI SDK's own chat, the class behind its `useChat`. Prints what it is left with, as JSON.
//
//   node read.mjs --sdk ai --api URL --model NAME [--image DATA_URL] [--stop] QUESTION...
//
// The questions are asked one after the other, the image goes with the last one; with --stop each answer is stopped as
// soon as it has text. The process stays until its standard input ends: who closes a connection is then the SDK.

import { setTimeout as pause } from "node:timers/promises";
import { parseArgs } from "node:util";

const LIMIT_SECONDS = 30;

const text = { type: "string" };
const options = { sdk: text, api: text, model: text, image: text, stop: { type: "boolean" } };
const { values: wanted, positionals: questions } = parseArgs({ options, allowPositionals: true });
const { AbstractChat, DefaultChatTransport } = await import(wanted.sdk);

/** What a binding to a frontend framework adds to the SDK's chat: where its state is kept. Remembers each status. */
class State {
  messages = [];
  statuses = ["ready"];

  get status() {
    return this.statuses.at(-1);
  }

  set status(status) {
    this.statuses.push(status);
  }

  pushMessage(message) {
    this.messages = [...this.messages, message];
  }

  replaceMessage(index, message) {
    this.messages = this.messages.with(index, message);
  }

  snapshot(thing) {
    return structuredClone(thing);
  }
}

const state = new State();
const data = []; // the data parts that came
let finished = 0; // how many answers the SDK takes for finished

const chat = new AbstractChat({
  state,
  transport: new DefaultChatTransport({
    api: wanted.api,
    headers: { Accept: "text/event-stream" },
    body: { chatSettings: { model: wanted.model } },
  }),
  onData: (part) => data.push(part),
  onFinish: ({ isAbort, isError }) => (finished += isAbort || isError ? 0 : 1),
});

/** Ask, and wait for the answer's end; that it failed is a status, not an exception. */
async function ask(question, files) {
  const end = chat.sendMessage({ text: question, files });
  if (wanted.stop) {
    while (chat.status !== "error" && !hasText(chat.lastMessage)) await pause(5);
    await chat.stop();
  }
  await end;
}

function hasText(message) {
  return message?.role === "assistant" && message.parts.some((part) => part.type === "text" && part.text);
}

const limit = setTimeout(() => {
  console.error(`The conversation did not end within ${LIMIT_SECONDS} s; it is: ${chat.status}.`);
  process.exit(1);
}, LIMIT_SECONDS * 1000);

const image = wanted.image && [{ type: "file", mediaType: "image/png", url: wanted.image }];
for (const question of questions) await ask(question, question === questions.at(-1) ? image : undefined);
clearTimeout(limit);
const { messages, error } = chat;
console.log(JSON.stringify({ statuses: state.statuses, error: error?.message, messages, data, finished }));
process.stdin.resume();
