// The service's event stream, which is the AI SDK's UI message stream -> the answer's text, and how it ended.

import { isServicesKey } from "./service.js";

// What is said of an answer that is not whole, by its finish reason.
const SHORT = new Map([
  ["content_filter", "A content filter stopped the answer."],
  ["length", "The answer reached the limit of its length."],
]);

/** Pass on an answer's text as it comes -> its state (done, short, cut) and problem; no state if the end never came. */
export async function readAnswer(response, pass) {
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let [rest, end] = ["", {}];
  for (let read = await reader.read(); !read.done; read = await reader.read()) {
    const lines = (rest + read.value).split("\n");
    rest = lines.pop();
    const events = lines.filter((line) => line.startsWith("data: {")).map((line) => JSON.parse(line.slice("data: ".length)));
    for (const { type, delta, data, messageMetadata } of events) {
      if (type === "text-delta") pass(delta);
      if (type === "data-error") end = { state: "cut", problem: { ...data, isServices: isServicesKey(response) } };
      if (type === "finish") end = finished(messageMetadata.finishReason);
    }
  }
  return end;
}

function finished(reason) {
  const message = SHORT.get(reason);
  return message ? { state: "short", problem: { message } } : { state: "done" };
}
