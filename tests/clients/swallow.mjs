// What chat frontends of chatbot-ui's kind do with a text: they show what comes, and take a broken connection for the
// end, of which only their console is told. Prints the text that such a frontend keeps, as JSON.
//
//   node swallow.mjs URL BODY

const [url, body] = process.argv.slice(2);

async function readAll(response) {
  const decoder = new TextDecoder();
  let kept = "";
  try {
    for await (const bytes of response.body) kept += decoder.decode(bytes, { stream: true });
  } catch {
    // The console is told, the user is not.
  }
  return kept;
}

const response = await fetch(url, { method: "POST", body });
console.log(JSON.stringify({ status: response.status, kept: await readAll(response) }));
