// The pieces that pages are made of.
import { html, useEffect, useId, useLayoutEffect, useRef, useState } from '/dashboard/html.js';
import { distance, instant, LADDER, limit, step } from '/dashboard/format.js';

/** The page's heading; it takes the focus, so that who listens hears where they are. */
export function Heading({ title, children, name, quiet }) {
  const heading = useRef(null);
  useLayoutEffect(() => {
    document.title = `${name ?? title} · Bellwether`;
  }, [title, name]);
  useEffect(() => { if (!quiet) heading.current?.focus({ preventScroll: true }); }, []);
  return html`<header class="heading"><h1 tabindex="-1" ref=${heading}>${title}</h1>${children && html`<div class="actions">${children}</div>`}</header>`;
}

/** What happens each second while anything shows how far an instant is. */
const ticking = new Set();
setInterval(() => ticking.forEach((tick) => tick(Date.now())), 1000);

export function useNow() {
  const [now, setNow] = useState(Date.now());
  useEffect(() => {
    ticking.add(setNow);
    return () => ticking.delete(setNow);
  }, []);
  return now;
}

/** An instant in the viewer's zone; the exact one on hover. */
export function Time({ at, far }) {
  const now = useNow();
  if (!at) return null;
  const shown = far ? distance(at, now) : instant(at, now);
  return html`<time datetime=${at} title=${`${at} (${distance(at, now)})`}>${shown}</time>`;
}

/** The same for the next attempt, which passes before anybody is told. */
export function Due({ at }) {
  const now = useNow();
  if (!at) return null;
  return html`<time datetime=${at} title=${at}>${new Date(at) <= now ? 'now' : distance(at, now)}</time>`;
}

const TONES = {
  delivered: 'good', success: 'good', ok: 'good', completed: 'good', enabled: 'good', GREEN: 'good',
  pending: 'wait', waiting: 'wait', running: 'wait', YELLOW: 'wait', retrying: 'wait', paused: 'wait',
  exhausted: 'bad', flagged: 'bad', failing: 'bad', RED: 'bad', undelivered: 'bad',
};

/** A word with a colour that says the same. */
export function Pill({ children, tone }) {
  const word = String(children);
  return html`<span class=${`pill ${tone ?? TONES[word] ?? 'calm'}`}>${word}</span>`;
}

/** A messaging limit as a step of the ladder. */
export function Ladder({ value }) {
  if (!value) return html`<span class="soft">unknown</span>`;
  const at = step(value);
  return html`<span class="ladder" title=${value}>
    <span class="rungs" aria-hidden="true">${LADDER.map((_, index) => html`<i class=${index < at ? 'on' : ''}></i>`)}</span>
    <span class="num">${limit(value)}</span>
  </span>`;
}

/** What the API refused, in its words. */
export function Trouble({ problem, retry }) {
  if (!problem) return null;
  return html`<div class="trouble" role="alert">
    <p><strong>${problem.title ?? 'That did not work'}</strong>${problem.detail ? html`: ${problem.detail}` : ''}</p>
    ${problem.hint && html`<p class="soft">${problem.hint}</p>`}
    ${retry && html`<button type="button" onClick=${retry}>Try again</button>`}
  </div>`;
}

/** A place where nothing is yet, and what to do about that. */
export function Empty({ title, children }) {
  return html`<div class="empty"><p class="title">${title}</p>${children && html`<div class="soft">${children}</div>`}</div>`;
}

/**
 * A table of a listing (`useListing`), which on a phone becomes a list.
 * `columns`: [{ name, cell(item), kind: 'num' | 'wide' }]; the first names the row.
 */
export function Table({ label, listing, columns, id, empty, tone }) {
  const { items, problem, more, reload } = listing;
  if (!items) return problem ? html`<${Trouble} problem=${problem} retry=${reload} />` : html`<${Loading} />`;
  if (items.length === 0) return html`<${Trouble} problem=${problem} retry=${reload} />${empty}`;
  return html`<${Trouble} problem=${problem} retry=${reload} />
    <div class="table"><table>
      <caption class="unseen">${label}</caption>
      <thead><tr>${columns.map(({ name, kind }) => html`<th scope="col" class=${kind ?? ''}>${name}</th>`)}</tr></thead>
      <tbody>${items.map((item) => html`<tr key=${id(item)} class=${tone?.(item) ?? ''}>${columns.map(({ name, cell, kind }, at) => (at === 0
        ? html`<th scope="row" class=${kind ?? ''}>${cell(item)}</th>`
        : html`<td data-label=${name} class=${kind ?? ''}>${cell(item)}</td>`))}</tr>`)}</tbody>
    </table></div>
    ${more && html`<${Action} class="more" run=${more}>Show more<//>`}`;
}

export function Loading() {
  return html`<p class="loading soft" role="status">Loading…</p>`;
}

/** A button that works, is busy meanwhile, and says what went wrong. */
export function Action({ run, children, class: kind = '', onProblem, ...rest }) {
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState(null);
  const shown = useRef(true);
  useEffect(() => () => { shown.current = false; }, []);
  const click = async () => {
    setBusy(true);
    setProblem(null);
    try {
      await run();
    } catch (failed) {
      if (onProblem) onProblem(failed);
      else if (shown.current) setProblem(failed);
    }
    if (shown.current) setBusy(false);
  };
  return html`<button type="button" class=${kind} disabled=${busy} aria-busy=${busy} onClick=${click} ...${rest}>${children}</button>
    ${problem && html`<${Trouble} problem=${problem} />`}`;
}

/** A form that sends once, is busy meanwhile, and says what went wrong. */
export function Form({ send, children, submit, cancel, label, across }) {
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState(null);
  const shown = useRef(true);
  useEffect(() => () => { shown.current = false; }, []);
  const onSubmit = async (event) => {
    event.preventDefault();
    setBusy(true);
    setProblem(null);
    try {
      await send(new FormData(event.target));
    } catch (failed) {
      if (shown.current) setProblem(failed);
    }
    if (shown.current) setBusy(false);
  };
  return html`<form class=${across ? 'form across' : 'form'} aria-label=${label} onSubmit=${onSubmit}>
    ${children}
    <${Trouble} problem=${problem} />
    <div class="actions">
      <button class="primary" disabled=${busy} aria-busy=${busy}>${submit}</button>
      ${cancel && html`<button type="button" onClick=${cancel}>Cancel</button>`}
    </div>
  </form>`;
}

/** A labelled input. */
export function Field({ label, hint, as = 'input', children, inputRef, ...rest }) {
  const id = useId();
  const input = as === 'select'
    ? html`<select id=${id} aria-describedby=${hint ? `${id}-hint` : undefined} ...${rest}>${children}</select>`
    : html`<input id=${id} ref=${inputRef} aria-describedby=${hint ? `${id}-hint` : undefined} autocomplete="off" spellcheck=${false} ...${rest} />`;
  return html`<div class="field"><label for=${id}>${label}</label>${input}${hint && html`<p class="soft" id=${`${id}-hint`}>${hint}</p>`}</div>`;
}

/** A dialog over the page; Escape closes it. */
export function Dialog({ title, close, children }) {
  const dialog = useRef(null);
  const id = useId();
  useEffect(() => {
    const before = document.activeElement;
    dialog.current.showModal();
    return () => before?.isConnected && before.focus();
  }, []);
  return html`<dialog ref=${dialog} aria-labelledby=${id} onClose=${close}>
    <h2 id=${id}>${title}</h2>${children}
  </dialog>`;
}

/** A button that asks before it does what can't be taken back. */
export function Ask({ children, title, what, answer, run, class: kind = '' }) {
  const [open, setOpen] = useState(false);
  const close = () => setOpen(false);
  return html`<button type="button" class=${kind} onClick=${() => setOpen(true)}>${children}</button>
    ${open && html`<${Dialog} title=${title} close=${close}>
      <p>${what}</p>
      <div class="actions">
        <${Action} class="primary danger" run=${async () => { await run(); close(); }}>${answer}<//>
        <button type="button" onClick=${close}>Cancel</button>
      </div>
    <//>`}`;
}

/** Names and values. */
export function Facts({ of }) {
  const given = of.filter(([, value]) => value !== undefined && value !== null && value !== '');
  return html`<dl class="facts">${given.map(([name, value]) => html`<div><dt>${name}</dt><dd>${value}</dd></div>`)}</dl>`;
}

/** Text that is taken elsewhere. */
export function Copy({ text, label = 'Copy' }) {
  const [done, setDone] = useState(false);
  const copy = async () => {
    await navigator.clipboard.writeText(text);
    setDone(true);
    setTimeout(() => setDone(false), 2000);
  };
  return html`<button type="button" class="small" onClick=${copy}>${done ? 'Copied' : label}</button>`;
}

/** Links of which one is where we are. */
export function Tabs({ label, tabs, at }) {
  return html`<nav class="tabs" aria-label=${label}>${tabs.map(([name, href, key]) => html`
    <a href=${href} aria-current=${key === at ? 'page' : undefined}>${name}</a>`)}</nav>`;
}

/** Text that others wrote: shown to the letter, as text. */
export function Written({ text, label }) {
  return html`<pre class="written" tabindex="0" aria-label=${label}>${text}</pre>`;
}
