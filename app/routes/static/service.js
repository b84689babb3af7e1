// The service that this page belongs to, asked at addresses relative to the page's own, and who asks.

const UNREACHABLE = "The service could not be reached. Please check your connection and try again.";
const NOT_FOUND = "User not found"; // the service's own words, behind which it says why, if there is more to say
const NOBODY = "You are not signed in. Please sign in first.";
const UNKNOWN = "This token is not known. Please check that it is whole; it may also have expired, or been revoked.";

// Kept for this tab alone. All pages of an origin share the storage, so its name says which service the token is for.
const PLACE = `sluice-token ${new URL(".", document.baseURI).pathname}`;
let token = stored(() => sessionStorage.getItem(PLACE)) ?? "";

/** Ask the service, as whoever is signed in: by the token if there is one, else by what the browser has of a login. */
export function call(path, options = {}) {
  return fetch(path, { ...options, headers: { ...options.headers, ...(token && { Authorization: `Bearer ${token}` }) } });
}

/** Ask for JSON -> `{ found }`, or `{ problem: { message, code, hadToken } }`. */
export async function ask(path, options) {
  try {
    const response = await call(path, options);
    return response.ok ? { found: await response.json() } : { problem: await refusal(response) };
  } catch {
    return { problem: unreachable() };
  }
}

/**
 * The service's own sentence, or one with the status where something in front of the service answered. Who is not known
 * is told so in other words, and loses the token that is good for nothing.
 */
export async function refusal(response) {
  const { message, code } = (await response.json().catch(() => null)) ?? {};
  const hadToken = code === "unauth" && forget();
  if (code === "unauth") return { message: hadToken ? UNKNOWN : message === NOT_FOUND ? NOBODY : message, code, hadToken };
  if (message && typeof message === "string") return { message, code, isServices: isServicesKey(response) };
  return { message: `The service answered with status ${response.status}.` };
}

/** Whether the provider was asked with the service's own key, and so for what the user cannot mend. */
export function isServicesKey(response) {
  return response.headers.get("X-Key-Source") === "environment";
}

export function unreachable() {
  return { message: UNREACHABLE };
}

/** Sign in with a token, pasted with whatever stood around it; tell whether there was one. */
export function remember(pasted) {
  token = pasted.replace(/^\s*Bearer\s/i, "").replace(/[^\x21-\x7e]/g, ""); // what no header can carry, no token has
  stored(() => sessionStorage.setItem(PLACE, token));
  return hasToken();
}

/** Drop the token; tell whether there was one. */
export function forget() {
  const had = hasToken();
  token = "";
  stored(() => sessionStorage.removeItem(PLACE));
  return had;
}

export function hasToken() {
  return token !== "";
}

/** Use the storage, if the browser has one for this page: without it a token lasts as long as the page. */
function stored(use) {
  try {
    return use();
  } catch {
    return null;
  }
}
