// Replaying what a filter names: counted first, then watched, and stopped if need be.
import { html, useEffect, useState } from '/dashboard/html.js';
import { call, get } from '/dashboard/api.js';
import { Action, Dialog, Field, Form, Loading, Trouble } from '/dashboard/ui.js';
import { count } from '/dashboard/format.js';

const REPLAYABLE = ['exhausted', 'superseded', 'delivered'];

/** Opens the dialog for the deliveries that the page shows; exhausted ones unless it says otherwise. */
export function ReplayButton({ account, filter, done }) {
  const [open, setOpen] = useState(false);
  const status = filter.status ?? 'exhausted';
  if (!REPLAYABLE.includes(status)) return null;
  const close = () => {
    setOpen(false);
    done?.();
  };
  return html`<button type="button" onClick=${() => setOpen(true)}>Replay ${status} ones…</button>
    ${open && html`<${Dialog} title=${`Replay ${status} deliveries`} close=${close}>
      <${Replaying} account=${account} wanted=${{ ...filter, status }} close=${close} />
    <//>`}`;
}

/** The body of a replay: what has a value. */
const body = (wanted) => Object.fromEntries(Object.entries(wanted).filter(([, value]) => value !== undefined && value !== ''));

function Replaying({ account, wanted, close }) {
  const path = `/v1/accounts/${account}/replays`;
  const [matched, setMatched] = useState(null);
  const [problem, setProblem] = useState(null);
  const [replay, setReplay] = useState(null);
  useEffect(() => {
    call('POST', path, { ...body(wanted), dryRun: true }).then((counted) => setMatched(counted.matched), setProblem);
  }, []);
  if (replay) return html`<${Progress} path=${path} begun=${replay} close=${close} />`;
  if (matched === null) return problem ? html`<${Trouble} problem=${problem} />` : html`<${Loading} />`;
  const what = `${count(matched)} ${wanted.status} ${matched === 1 ? 'delivery' : 'deliveries'}`;
  const of = [wanted.webhookId && 'of this webhook', wanted.phoneNumber && 'of this number', (wanted.since || wanted.until) && 'of this time'].filter(Boolean).join(' and ');
  if (matched === 0) return html`<p>Nothing is ${wanted.status} here, so there is nothing to replay.</p><div class="actions"><button type="button" onClick=${close}>Close</button></div>`;
  const begin = async (form) => setReplay(await call('POST', path, {
    ...body(wanted),
    perSecond: Number(form.get('perSecond')),
    ...(form.get('skip') ? { superseded: 'skip' } : {}),
  }));
  return html`<p><strong>${what}</strong> ${of} ${matched === 1 ? 'matches' : 'match'}. Each is attempted anew, with the same event and a fresh round of retries.</p>
    <${Form} label="Replay" send=${begin} submit=${`Replay ${count(matched)}`} cancel=${close}>
      <${Field} label="At most so many a second" name="perSecond" type="number" min="1" max="1000" value="50" required />
      ${wanted.status === 'exhausted' && html`<label class="choice"><input type="checkbox" name="skip" />Leave out those that a newer event of the same number stands for</label>`}
    <//>`;
}

function Progress({ path, begun, close }) {
  const [replay, setReplay] = useState(begun);
  const [problem, setProblem] = useState(null);
  const running = replay.status === 'running';
  useEffect(() => {
    if (!running) return undefined;
    const look = setInterval(() => get(`${path}/${begun.replayId}`).then(setReplay, setProblem), 500);
    return () => clearInterval(look);
  }, [running]);
  const done = replay.replayed + replay.superseded;
  const cancel = async () => setReplay(await call('POST', `${path}/${begun.replayId}/cancel`) ?? await get(`${path}/${begun.replayId}`));
  const said = { running: 'Under way', completed: 'Through: all are queued again', canceled: 'Stopped' }[replay.status];
  return html`<p role="status"><strong>${said}.</strong> ${count(replay.replayed)} of ${count(replay.matched)} replayed${replay.superseded > 0 ? `, ${count(replay.superseded)} left out` : ''}.</p>
    <progress aria-label="Replayed" max=${Math.max(1, replay.matched)} value=${running ? done : replay.status === 'completed' ? replay.matched : done}></progress>
    <${Trouble} problem=${problem} />
    <div class="actions">
      ${running && html`<${Action} run=${cancel}>Stop<//>`}
      <button type="button" class=${running ? '' : 'primary'} onClick=${close}>${running ? 'Let it run and close' : 'Close'}</button>
    </div>`;
}
