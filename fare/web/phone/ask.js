// Questions to the server. The session is in a cookie that no script can read; what changes something repeats a token.

const ANSWER_MS = 12_000;

export class Refused extends Error {
  constructor(status, error) {
    super(error);
    this.status = status;
  }
}

/** Whether the last question found no server. */
export const link = { offline: false };

let csrf = "";

export function keepToken(token) {
  csrf = token;
}

/** The server's answer to `path`. Throws `Refused` with a key of the texts, or whatever the network throws. */
export async function ask(path, sent) {
  const answer = await fetchOrFail(path, sent);
  const said = await answer.json().catch(() => ({ error: answer.status === 429 ? "too_often" : "wrong_form" }));
  if (!answer.ok) throw new Refused(answer.status, said.error);
  return said;
}

async function fetchOrFail(path, sent) {
  try {
    const answer = await fetch(`/api/phone/${path}`, {
      method: sent === undefined ? "GET" : "POST",
      headers: sent === undefined ? {} : { "Content-Type": "application/json", "X-CSRF-Token": csrf },
      body: sent === undefined ? undefined : JSON.stringify(sent),
      signal: AbortSignal.timeout(ANSWER_MS),
    });
    if (answer.status >= 500) throw new Error(`status ${answer.status}`);
    link.offline = false;
    return answer;
  } catch (error) {
    link.offline = true;
    throw error;
  }
}
