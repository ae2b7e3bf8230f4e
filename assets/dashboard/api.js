// The one client of the public API: who is signed in, one call, one listing.
import { useCallback, useEffect, useRef, useState } from '/dashboard/html.js';

/** What the API refused, in its own words. */
export class Problem extends Error {
  constructor(status, said) {
    super(said.detail);
    Object.assign(this, { status, code: said.code, title: said.title, detail: said.detail, hint: said.hint });
  }
}

/** The session's terms; null while nobody is signed in. */
let session = null;
let whenItEnds = () => {};

/** Has `then` called when the server says that the session is over. */
export function onSessionEnd(then) {
  whenItEnds = then;
}

/** Who is signed in, or null. */
export async function whoami() {
  const answer = await fetch('/v1/session', { headers: { accept: 'application/json' } });
  session = answer.ok ? await answer.json() : null;
  return session;
}

/** Signs in with an API key; throws a `Problem` for people who type one. */
export async function signIn(key) {
  try {
    await exchange('POST', '/v1/session', undefined, { authorization: `Bearer ${key}` });
  } catch (problem) {
    // A header can't hold all that is typed.
    if (problem.status === 401 || problem instanceof TypeError) throw new Problem(401, WRONG_KEY);
    throw problem;
  }
  if (await whoami()) return session;
  throw new Problem(0, NO_COOKIE);
}

const WRONG_KEY = {
  title: 'No valid API key',
  detail: 'this key is none, or no longer',
  hint: 'Is it complete? Whoever gave it to you can make another.',
};

const NO_COOKIE = {
  title: 'The browser keeps no cookie from here',
  detail: 'it takes this one over https, or from a server on its own machine',
  hint: 'Open the page by its https address, or at http://localhost on the machine that it runs on.',
};

export async function signOut() {
  await call('DELETE', '/v1/session').catch(() => {});
  session = null;
}

/** Calls the API; throws a `Problem` that says what is wrong. */
export async function call(method, path, body) {
  const headers = method === 'GET' ? {} : { 'x-csrf-token': session?.csrfToken ?? '' };
  try {
    return await exchange(method, path, body, headers);
  } catch (problem) {
    if (problem.status === 401) whenItEnds();
    throw problem;
  }
}

export const get = (path) => call('GET', path);

async function exchange(method, path, body, headers) {
  const request = { method, headers: { accept: 'application/json', ...headers } };
  if (body !== undefined) {
    request.body = JSON.stringify(body);
    request.headers['content-type'] = 'application/json';
  }
  const asked = new Request(path, request);
  let answer;
  try {
    answer = await fetch(asked);
  } catch {
    throw new Problem(0, { title: 'No answer', detail: 'the server can’t be reached', hint: 'is it running, and is there a network?' });
  }
  const text = await answer.text();
  if (answer.ok) return text === '' ? null : JSON.parse(text);
  throw new Problem(answer.status, said(text, answer));
}

/** A refusal of either API: the native one's problem, or the 8x8-compatible error. */
function said(text, answer) {
  let body = null;
  try {
    body = JSON.parse(text);
  } catch {
    // A proxy's page.
  }
  if (body?.detail) return body;
  if (body?.message) {
    const [detail, hint] = body.message.split('; hint: ');
    return { title: `Refused (${body.code})`, code: String(body.code), detail, hint };
  }
  return { title: `Status ${answer.status}`, detail: answer.statusText || 'an answer without a reason' };
}

/** A path with those of `query` that have a value. */
export function withQuery(path, query) {
  const given = Object.entries(query).filter(([, value]) => value !== undefined && value !== null && value !== '');
  const text = new URLSearchParams(given).toString();
  return text === '' ? path : `${path}?${text}`;
}

/** All pages of a listing, up to `most` items. */
export async function all(path, query = {}, most = 1000) {
  const items = [];
  let cursor;
  do {
    const page = await get(withQuery(path, { limit: 500, ...query, cursor }));
    items.push(...page.items);
    cursor = page.nextCursor;
  } while (cursor && items.length < most);
  return items;
}

/**
 * A listing, page by page (`limit` 0: it has one page only): `items` (null until the first answer), `more` if there is
 * more, `problem`, `reload`, and `patch(items => items)` for what is told live.
 */
export function useListing(path, query = {}, limit = 50) {
  const asked = path && withQuery(path, { limit: limit || undefined, ...query });
  const [state, setState] = useState({ items: null, cursor: null, problem: null });
  const current = useRef(asked);
  const before = useRef(null);
  current.current = asked;
  const load = useCallback(async (cursor, before) => {
    if (!asked) return;
    try {
      let page;
      const items = [...before];
      // A page may be short or empty although there are more.
      do {
        page = await get(cursor ? `${asked}&cursor=${encodeURIComponent(cursor)}` : asked);
        items.push(...page.items);
        cursor = page.nextCursor;
      } while (cursor && items.length - before.length < limit);
      if (current.current === asked) setState({ items, cursor, problem: null });
    } catch (problem) {
      if (current.current === asked) setState((state) => ({ ...state, problem }));
    }
  }, [asked]);
  useEffect(() => {
    // With another filter, what is shown stays until the answer comes.
    setState((state) => ({ items: before.current === path ? state.items : null, cursor: null, problem: null }));
    before.current = path;
    load(null, []);
  }, [asked]);
  return {
    ...state,
    more: state.cursor ? () => load(state.cursor, state.items) : null,
    reload: () => load(null, []),
    patch: (change) => setState((state) => (state.items ? { ...state, items: change(state.items) } : state)),
  };
}

/** One thing: `value` (null until the first answer), `problem`, `reload`, `set`. */
export function useThing(path) {
  const [state, setState] = useState({ value: null, problem: null });
  const current = useRef(path);
  current.current = path;
  const load = useCallback(async () => {
    if (!path) return;
    try {
      const value = await get(path);
      if (current.current === path) setState({ value, problem: null });
    } catch (problem) {
      if (current.current === path) setState((state) => ({ ...state, problem }));
    }
  }, [path]);
  useEffect(() => {
    setState({ value: null, problem: null });
    load();
  }, [path]);
  return { ...state, reload: load, set: (value) => setState({ value, problem: null }) };
}
