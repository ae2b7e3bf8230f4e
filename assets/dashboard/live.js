// What happens, as it happens: one stream for the account that is shown, passed on
// to whatever is on the page. The browser comes back by itself behind the last
// message it has read; when the server refuses to, we ask why.
import { useEffect, useRef, useState } from '/dashboard/html.js';
import { whoami, onSessionEnd, withQuery } from '/dashboard/api.js';

const KINDS = ['event', 'delivery', 'number', 'gap'];
const listeners = new Set();
const watchers = new Set();
let source = null;
let account = null;
let state = 'off';
let last = null;
let retry = null;

function say(next) {
  state = next;
  watchers.forEach((watch) => watch(next));
}

/** Follows this account from now on; null follows none. */
export function follow(id) {
  if (id === account) return;
  account = id;
  last = null;
  open();
}

function open() {
  clearTimeout(retry);
  source?.close();
  source = null;
  if (!account) return say('off');
  say('connecting');
  const opened = new EventSource(withQuery(`/v1/accounts/${account}/stream`, { after: last }));
  source = opened;
  opened.onopen = () => say('live');
  opened.onerror = () => {
    say('connecting');
    // Closed for good: the session is over, or too many streams are open.
    if (opened.readyState === EventSource.CLOSED) retry = setTimeout(again, 3000);
  };
  for (const kind of KINDS) {
    opened.addEventListener(kind, (message) => {
      last = message.lastEventId;
      const data = JSON.parse(message.data);
      listeners.forEach((listener) => listener(kind, data));
    });
  }
}

async function again() {
  try {
    if (await whoami()) return open();
    ended();
  } catch {
    retry = setTimeout(again, 3000);
  }
}

let ended = () => {};

/** Has `then` called when the session turns out to be over. */
export function onStreamEnd(then) {
  ended = then;
  onSessionEnd(then);
}

/** Calls `listener(kind, data)` for each message while the component is shown. */
export function useLive(listener) {
  const latest = useRef(listener);
  latest.current = listener;
  useEffect(() => {
    const pass = (kind, data) => latest.current(kind, data);
    listeners.add(pass);
    return () => listeners.delete(pass);
  }, []);
}

/** `live`, `connecting` or `off`. */
export function useLiveState() {
  const [shown, setShown] = useState(state);
  useEffect(() => {
    watchers.add(setShown);
    setShown(state);
    return () => watchers.delete(setShown);
  }, []);
  return shown;
}

/** `work` once, a moment after the last of many calls. */
export function useSoon(work, ms = 300) {
  const latest = useRef(work);
  latest.current = work;
  const timer = useRef(null);
  useEffect(() => () => clearTimeout(timer.current), []);
  return () => {
    timer.current ??= setTimeout(() => {
      timer.current = null;
      latest.current();
    }, ms);
  };
}
