// The server at a glance, from /metrics: what waits, and charts of what has happened
// since this page was opened.
import { html, useEffect, useMemo, useRef, useState } from '/dashboard/html.js';
import { axis, Chart, timeAxis } from '/dashboard/chart.js';
import { Facts, Loading, Trouble } from '/dashboard/ui.js';
import { count, span } from '/dashboard/format.js';

const EVERY_MS = 2000;
const KEPT = 300;

/** What the charts span at least. */
const SHORTEST_SECONDS = 30;

const KEPT_INSIDE = {
  title: 'No metrics here',
  detail: 'the proxy in front does not pass /metrics on',
  hint: 'which is right where everybody can ask; open the dashboard from inside, without that proxy, to see this page',
};

/** The samples of an OpenMetrics text: name, labels, value. */
export function parse(text) {
  const samples = [];
  for (const line of text.split('\n')) {
    const found = /^(\w+)(?:\{(.*)\})? (\S+)/.exec(line);
    if (!found) continue;
    const labels = Object.fromEntries([...(found[2] ?? '').matchAll(/(\w+)="((?:[^"\\]|\\.)*)"/g)].map(([, name, value]) => [name, value]));
    samples.push({ name: found[1].replace(/^bellwether_/, ''), labels, value: Number(found[3]) });
  }
  return samples;
}

/** The sum of a metric's samples that have these labels. */
const sum = (samples, name, labels = {}) => samples
  .filter((sample) => sample.name === name && Object.entries(labels).every(([key, value]) => sample.labels[key] === value))
  .reduce((total, { value }) => total + value, 0);

/** The value below which a share of what was counted between two looks lies, in seconds. */
function quantile(before, after, name, share) {
  const upTo = (samples) => new Map(samples.filter((sample) => sample.name === `${name}_bucket`).map(({ labels, value }) => [Number(labels.le.replace('+Inf', 'Infinity')), value]));
  const earlier = upTo(before);
  const steps = [...upTo(after)].map(([le, value]) => [le, value - (earlier.get(le) ?? 0)]).sort(([a], [b]) => a - b);
  const total = steps.at(-1)?.[1] ?? 0;
  if (total <= 0) return null;
  const [le] = steps.find(([, value]) => value >= total * share);
  return le === Infinity ? steps.at(-2)?.[0] ?? null : le;
}

function useMetrics() {
  const [looks, setLooks] = useState([]);
  const [ready, setReady] = useState(null);
  const [problem, setProblem] = useState(null);
  const going = useRef(true);
  useEffect(() => {
    let timer;
    const look = async () => {
      try {
        const [metrics, readiness] = await Promise.all([fetch('/metrics'), fetch('/readyz')]);
        // A proxy may keep both inside, as it should on the Internet.
        const kept = !metrics.ok || !metrics.headers.get('content-type')?.startsWith('application/openmetrics-text');
        setProblem(kept ? KEPT_INSIDE : null);
        setReady((await readiness.text()).trim());
        const samples = kept ? [] : parse(await metrics.text());
        if (!kept) setLooks((looks) => [...looks.slice(-KEPT), { at: Date.now() / 1000, samples }]);
      } catch {
        setProblem({ title: 'No answer', detail: 'the server can’t be reached' });
      }
      if (going.current) timer = setTimeout(look, EVERY_MS);
    };
    look();
    return () => {
      going.current = false;
      clearTimeout(timer);
    };
  }, []);
  return { looks, ready, problem };
}

export function Overview() {
  const { looks, ready, problem } = useMetrics();
  const drawn = useMemo(() => series(looks), [looks]);
  if (looks.length === 0) return problem ? html`<${Trouble} problem=${problem} />` : html`<${Loading} />`;
  const { samples } = looks.at(-1);
  const state = (name) => count(sum(samples, 'deliveries', { state: name }));
  const due = sum(samples, 'oldest_due_seconds');
  const latest = (values, unit) => (values.at(-1) === null || values.at(-1) === undefined ? 'none' : unit(values.at(-1)));
  const seconds = (value) => span(value * 1000);
  const rate = (value) => `${value.toFixed(1)} a second`;
  return html`<${Trouble} problem=${problem} />
    <${Facts} of=${[
    ['State', ready],
    ['Oldest due', html`<span class="big">${due > 0 ? seconds(due) : 'none'}</span>`],
    ['Pending', html`<span class="big">${state('pending')}</span>`],
    ['Exhausted', html`<span class="big">${state('exhausted')}</span>`],
    ['Unrouted changes', html`<a class="big" href="#/operator/business-accounts">${count(sum(samples, 'unrouted'))}</a>`],
    ['Late accounts', html`<span class="big">${count(sum(samples, 'late_accounts'))}</span>`],
    ['Attempts under way', html`<span class="big">${count(sum(samples, 'queue_depth', { queue: 'in_flight' }))}</span>`],
    ['Store’s log', `${count(Math.round(sum(samples, 'store_log_bytes') / 1024))} KiB`],
    ['Connections', count(sum(samples, 'connections'))],
  ]} />
    <div class="charts">
      <${Lines} title="Throughput" at=${drawn.at} lines=${[['changes accepted', drawn.accepted, 'accent'], ['attempts', drawn.attempts, 'wait'], ['failed attempts', drawn.failed, 'bad']]} now=${(values) => latest(values, rate)} unit=${(value) => String(value)} least=${1} />
      <${Lines} title="Latency of an attempt" at=${drawn.at} lines=${[['half within', drawn.attemptHalf, 'accent'], ['99 of 100 within', drawn.attemptMost, 'wait']]} now=${(values) => latest(values, seconds)} unit=${seconds} />
      <${Lines} title="Latency of a commit" at=${drawn.at} lines=${[['half within', drawn.commitHalf, 'accent'], ['99 of 100 within', drawn.commitMost, 'wait']]} now=${(values) => latest(values, seconds)} unit=${seconds} />
      <${Lines} title="Oldest due" at=${drawn.at} lines=${[['has been due for', drawn.due, 'bad']]} now=${(values) => latest(values, seconds)} unit=${seconds} />
    </div>`;
}

/** What the charts show of the looks so far. */
function series(looks) {
  const pairs = looks.slice(1).map((after, at) => [looks[at], after]);
  const per = (name, labels) => pairs.map(([before, after]) => Math.max(0, sum(after.samples, name, labels) - sum(before.samples, name, labels)) / (after.at - before.at));
  const within = (name, share) => pairs.map(([before, after]) => quantile(before.samples, after.samples, name, share));
  const attempts = per('attempts_total');
  const good = per('attempts_total', { class: 'success' });
  return {
    at: pairs.map(([, { at }]) => at),
    accepted: per('changes_total', { result: 'accepted' }),
    attempts,
    failed: attempts.map((value, at) => Math.max(0, value - good[at])),
    attemptHalf: within('attempt_seconds', 0.5),
    attemptMost: within('attempt_seconds', 0.99),
    commitHalf: within('commit_seconds', 0.5),
    commitMost: within('commit_seconds', 0.99),
    due: pairs.map(([, { samples }]) => sum(samples, 'oldest_due_seconds')),
  };
}

const KEYS = { accent: 'a', bad: 'b', wait: 'c' };

function Lines({ title, at, lines, now, unit, least = 0.01 }) {
  const data = useMemo(() => [at, ...lines.map(([, values]) => values)], [at]);
  const options = (colours) => ({
    scales: { x: { range: (_, from, to) => [Math.min(from ?? Infinity, (to ?? Date.now() / 1000) - SHORTEST_SECONDS), to ?? Date.now() / 1000] }, y: { range: (_, low, high) => [0, Math.max(high ?? 0, least) * 1.1] } },
    cursor: { show: false },
    series: [{}, ...lines.map(([, , tone]) => ({ stroke: colours[tone], width: 2, spanGaps: true, points: { show: false } }))],
    axes: [timeAxis(colours), axis(colours, { size: 62, values: (_, splits) => splits.map((value) => unit(Math.round(value * 10_000) / 10_000)) })],
  });
  return html`<${Chart} title=${title} data=${data} options=${options}>
    <p class="legend">${lines.map(([name, values, tone]) => html`<span><i class=${KEYS[tone]}></i>${name}: ${now(values)}</span>`)}</p>
  <//>`;
}
