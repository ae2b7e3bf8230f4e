// One number: how it stands, how it came to that, and what became of its events.
import { html, useMemo } from '/dashboard/html.js';
import { useListing, useThing } from '/dashboard/api.js';
import { useLive, useSoon } from '/dashboard/live.js';
import { axis, Chart, stepped, timeAxis } from '/dashboard/chart.js';
import { Empty, Facts, Heading, Ladder, Loading, Pill, Table, Time, Trouble, Written } from '/dashboard/ui.js';
import { happened, LADDER, limit, phone, step, words } from '/dashboard/format.js';
import { Arrears, useArrears } from '/dashboard/numbers.js';
import { deliveryColumns, useWebhookNames } from '/dashboard/deliveries.js';

export function NumberPage({ account, base, digits }) {
  const path = `/v1/accounts/${account}/phone-numbers/${digits}`;
  const number = useThing(path);
  const history = useListing(`${path}/history`, {}, 200);
  const events = useListing(`/v1/accounts/${account}/events`, { phoneNumber: digits }, 100);
  const deliveries = useListing(`/v1/accounts/${account}/deliveries`, { phoneNumber: digits }, 20);
  const health = useArrears(account);
  const names = useWebhookNames(account);
  const anew = useSoon(() => {
    [number, history, events, deliveries].forEach((what) => what.reload());
    health.reload();
  });
  useLive((kind, data) => {
    if (kind === 'gap' || data.phoneNumber === digits) anew();
  });
  const { value, problem } = number;
  return html`<p class="crumb"><a href=${`${base}/numbers`}>Numbers</a></p>
    <${Heading} title=${phone(digits)} />
    ${!value && (problem ? html`<${Trouble} problem=${problem} retry=${number.reload} />` : html`<${Loading} />`)}
    ${value && html`<${Standing} number=${value} arrears=${html`<${Arrears} of=${health.of(digits)} base=${base} number=${digits} />`} />`}
    <section><h2>How it came to that</h2><${History} history=${history} events=${events.items ?? []} /></section>
    <section><h2>Events</h2>
      <${Table} label="Events" listing=${events} id=${(event) => event.eventId} columns=${eventColumns}
        empty=${html`<${Empty} title="No event of this number is kept.">Events are made of changes that Meta notifies; <code>bellwether trigger</code> makes one for a try.<//>`} />
    </section>
    <section><h2>Deliveries</h2>
      <${Table} label="Deliveries" listing=${deliveries} id=${(delivery) => delivery.deliveryId} columns=${deliveryColumns(base, names)}
        empty=${html`<${Empty} title="Nothing is owed to a webhook.">An event goes to the webhooks that exist when it is accepted. <a href=${`${base}/webhooks`}>See which there are.</a><//>`} />
    </section>`;
}

function Standing({ number, arrears }) {
  const { limit: tier, portfolioLimit, throughput, rating, flagged, status, businessAccountId, changedAt, sequence } = number;
  const known = (thing, shown) => thing && html`${shown(thing.value)} <span class="soft">since <${Time} at=${thing.since} /></span>`;
  return html`<${Facts} of=${[
    ['Messaging limit', known(tier, (value) => html`<${Ladder} value=${value} />`)],
    ['Portfolio limit', known(portfolioLimit, (value) => html`<${Ladder} value=${value} />`)],
    ['Throughput', known(throughput, words)],
    ['Rating', known(rating, (value) => html`<${Pill}>${value}<//>`)],
    ['Flag', known(flagged, (value) => html`<${Pill} tone=${value ? 'bad' : 'good'}>${value ? 'flagged' : 'none'}<//>`)],
    ['Status', known(status, words)],
    ['Deliveries', arrears],
    ['Last change', html`<${Time} at=${changedAt} />`],
    ['Events so far', sequence],
    ['Business account', businessAccountId && html`<span class="mono">${businessAccountId}</span>`],
  ]} />`;
}

const eventColumns = [
  { name: 'Accepted', cell: ({ acceptedAt }) => html`<${Time} at=${acceptedAt} />` },
  { name: 'Event', cell: (event) => happened(event) },
  { name: 'Limit', cell: ({ body }) => html`<${Ladder} value=${body?.eventDetails?.meta?.currentLimit} />` },
  { name: 'Sequence', kind: 'right', cell: ({ sequence }) => sequence },
  { name: 'Notes', cell: ({ test, derived, stale, snapshot, resends }) => notes(test, derived, stale, snapshot, resends) },
  { name: 'As it is sent', kind: 'wide', cell: ({ body }) => html`<details><summary>show</summary><${Written} label="The event" text=${JSON.stringify(body, null, 2)} /></details>` },
];

function notes(test, derived, stale, snapshot, resends) {
  const all = [test && 'test', snapshot && 'snapshot', derived && `from ${words(derived)}`, stale && `stale: ${stale.join(', ')}`, resends > 0 && `sent again ${resends}×`];
  return all.filter(Boolean).join(', ') || html`<span class="soft">none</span>`;
}

function History({ history, events }) {
  const { items, problem, reload } = history;
  const chart = useMemo(() => items && drawn(items, events), [items, events]);
  if (!items) return problem ? html`<${Trouble} problem=${problem} retry=${reload} />` : html`<${Loading} />`;
  if (items.length === 0) return html`<${Empty} title="Nothing has changed yet." />`;
  return html`${chart && html`<${Chart} key=${`${items.length} ${events.length}`} title="Messaging limit" data=${chart.data} options=${chart.options}>
      <p class="legend"><span><i class="a"></i>limit</span><span><i class="b"></i>flagged</span><span><i></i>flag taken back</span><span><i class="c"></i>throughput</span></p>
    <//>`}
    <details class="card" open=${!chart}><summary>All changes as a list (${items.length})</summary>
      <ol class="timeline">${items.map((item) => html`<${Change} key=${item.at + item.eventId} item=${item} />`)}</ol>
    </details>`;
}

function Change({ item: { at, learnedBy, changes, refusal } }) {
  const bad = changes.some(({ name, to }) => (name === 'flagged' && to === true)) || refusal;
  const shown = (name, value) => (name === 'flagged' ? (value ? 'flagged' : 'not flagged') : /limit/i.test(name) ? limit(value) : words(value));
  return html`<li class=${bad ? 'bad' : 'good'}><div class="head">
    <${Time} at=${at} />
    ${changes.map(({ name, from, to }) => html`<strong>${words(name.replace(/([A-Z])/g, ' $1'))}: ${from !== undefined && `${shown(name, from)} → `}${shown(name, to)}</strong>`)}
    ${refusal && html`<strong>a higher limit was refused: ${words(refusal.kind)}</strong> ${refusal.description}`}
    <span class="soft">by ${words(learnedBy)}</span>
  </div></li>`;
}

/** A chart of less time than this would show nothing but its axis. */
const SHORTEST_SECONDS = 3600;

/**
 * The limit as steps over time, up to now, and what else happened as lines. What an
 * event told counts from when Meta says it was so, all else from when it was learned.
 */
function drawn(items, events) {
  const seconds = (at) => new Date(at).getTime() / 1000;
  const said = new Map(events.map(({ eventId, body }) => [eventId, body?.timestamp]));
  const dated = items.map((item) => ({ ...item, at: said.get(item.eventId) ?? item.at }));
  const inOrder = dated.reverse().sort((a, b) => seconds(a.at) - seconds(b.at));
  const points = [];
  const marks = [];
  for (const { at, changes } of inOrder) {
    for (const { name, from, to } of changes) {
      if (name === 'limit' || (name === 'portfolioLimit' && !items.some((item) => item.changes.some((other) => other.name === 'limit')))) {
        if (points.length === 0 && from && step(from)) points.push([seconds(at) - 1, step(from)]);
        if (step(to)) points.push([seconds(at), step(to)]);
      }
      if (name === 'flagged') marks.push([seconds(at), to ? 'bad' : 'calm']);
      if (name === 'throughput') marks.push([seconds(at), 'wait']);
    }
  }
  if (points.length === 0) return null;
  const now = Date.now() / 1000;
  points.push([Math.max(now, points.at(-1)[0] + 1), points.at(-1)[1]]);
  return {
    data: [points.map(([at]) => at), points.map(([, at]) => at)],
    options: (colours) => ({
      scales: { x: { range: (_, from, to) => [Math.min(from, to - SHORTEST_SECONDS), to] }, y: { range: [0, LADDER.length + 0.5] } },
      cursor: { show: false },
      series: [{}, { stroke: colours.accent, width: 2, paths: stepped, fill: `${colours.accent}1f`, points: { show: false } }],
      axes: [timeAxis(colours), axis(colours, { size: 78, splits: () => LADDER.map((_, at) => at + 1), values: () => LADDER })],
      hooks: { draw: [(chart) => marks.forEach(([at, tone]) => mark(chart, at, colours[tone]))] },
    }),
  };
}

function mark(chart, at, colour) {
  const { ctx, bbox } = chart;
  const x = chart.valToPos(at, 'x', true);
  if (x < bbox.left || x > bbox.left + bbox.width) return;
  ctx.save();
  ctx.strokeStyle = colour;
  ctx.lineWidth = 2 * devicePixelRatio;
  ctx.setLineDash([4, 3]);
  ctx.beginPath();
  ctx.moveTo(x, bbox.top);
  ctx.lineTo(x, bbox.top + bbox.height);
  ctx.stroke();
  ctx.restore();
}
