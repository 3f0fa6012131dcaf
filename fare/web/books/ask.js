// Questions to the server. The session is in a cookie that no script can read; what changes something repeats a token.

const ANSWER_MS = 120_000; // the first report of a day may have to derive its bills

export class Refused extends Error {
  constructor(status, error) {
    super(error);
    this.status = status;
  }
}

let csrf = "";

export function keepToken(token) {
  csrf = token;
}

export async function ask(path, sent) {
  const answer = await fetch(`/api/books/${path}`, {
    method: sent === undefined ? "GET" : "POST",
    headers: sent === undefined ? {} : { "Content-Type": "application/json", "X-CSRF-Token": csrf },
    body: sent === undefined ? undefined : JSON.stringify(sent),
    signal: AbortSignal.timeout(ANSWER_MS),
  });
  let said = {};
  try {
    said = await answer.json();
  } catch {
    said = { error: answer.status === 429 ? "too_often" : "unreachable" };
  }
  if (!answer.ok) throw new Refused(answer.status, said.error);
  return said;
}
