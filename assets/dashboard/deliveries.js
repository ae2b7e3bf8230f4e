// What is owed to webhooks: what waits, what failed and why, what has arrived.
import { html, useState } from '/dashboard/html.js';
import { useListing, withQuery } from '/dashboard/api.js';
import { useLive, useSoon } from '/dashboard/live.js';
import { Due, Empty, Field, Heading, Pill, Table, Tabs, Time } from '/dashboard/ui.js';
import { phone, place, why, words } from '/dashboard/format.js';
import { ReplayButton } from '/dashboard/replay.js';

/** As many rows are kept while more and more are told of. */
const MOST_LIVE = 500;

const STATES = ['pending', 'exhausted', 'delivered', 'superseded', 'canceled'];

export function Deliveries({ account, base, canWrite, query }) {
  const { status, webhookId, phoneNumber, since, until } = query;
  const filter = { status, webhookId, phoneNumber, since, until };
  const listing = useListing(`/v1/accounts/${account}/deliveries`, filter);
  const names = useWebhookNames(account);
  const reload = useSoon(listing.reload, 500);
  const fits = (delivery) => (!status || delivery.status === status) && (!webhookId || delivery.webhookId === webhookId)
    && (!phoneNumber || delivery.phoneNumber === phoneNumber)
    && (!since || new Date(delivery.createdAt) >= new Date(since)) && (!until || new Date(delivery.createdAt) < new Date(until));
  useLive((kind, data) => {
    if (kind === 'event' || kind === 'gap') reload();
    if (kind === 'delivery') listing.patch((items) => patched(items, data, fits(data)));
  });
  const go = (change) => { location.hash = withQuery(`${base}/deliveries`, { ...filter, ...change }).slice(1); };
  const tab = (name, value) => [name, withQuery(`${base}/deliveries`, { ...filter, status: value }), value];
  return html`<${Heading} title="Deliveries">
      ${canWrite && html`<${ReplayButton} account=${account} filter=${filter} done=${listing.reload} />`}
    <//>
    <${Tabs} label="Where they stand" at=${status} tabs=${[tab('All', undefined), ...STATES.map((state) => tab(state[0].toUpperCase() + state.slice(1), state))]} />
    <div class="filters">
      <${NumberFilter} key=${phoneNumber} value=${phoneNumber} go=${go} />
      <${Field} label="Webhook" as="select" value=${webhookId ?? ''} onChange=${(event) => go({ webhookId: event.target.value })}>
        <option value="">any</option>${names.all.map(({ webhookId: id, name }) => html`<option key=${id} value=${id}>${name}</option>`)}<//>
      <${Field} label="Accepted since" type="datetime-local" value=${toInput(since)} onChange=${(event) => go({ since: fromInput(event.target.value) })} />
      <${Field} label="Accepted before" type="datetime-local" value=${toInput(until)} onChange=${(event) => go({ until: fromInput(event.target.value) })} />
    </div>
    <${Table} label="Deliveries" listing=${listing} id=${(delivery) => delivery.deliveryId} columns=${deliveryColumns(base, names)}
      empty=${html`<${NoDeliveries} status=${status} filtered=${webhookId || phoneNumber || since || until} base=${base} />`} />`;
}

/** An instant as the input of a local time has it, and back. */
function toInput(instant) {
  if (!instant) return '';
  const at = new Date(instant);
  return new Date(at.getTime() - at.getTimezoneOffset() * 60_000).toISOString().slice(0, 16);
}

const fromInput = (text) => (text ? new Date(text).toISOString() : undefined);

function NumberFilter({ value, go }) {
  const [digits, setDigits] = useState(value ?? '');
  const apply = () => digits.replace(/\D/g, '') !== (value ?? '') && go({ phoneNumber: digits.replace(/\D/g, '') });
  return html`<${Field} label="Number" type="search" data-search placeholder="digits, then Enter" value=${digits}
    onInput=${(event) => setDigits(event.target.value)} onChange=${apply} onKeyDown=${(event) => event.key === 'Enter' && apply()} />`;
}

function NoDeliveries({ status, filtered, base }) {
  if (filtered) return html`<${Empty} title="No delivery is like that."><a href=${`${base}/deliveries`}>See all deliveries.</a><//>`;
  if (status === 'exhausted') return html`<${Empty} title="Nothing is exhausted.">What fails five times stands here, to be replayed once its receiver is well.<//>`;
  if (status === 'pending') return html`<${Empty} title="Nothing waits.">All that is owed has been attempted.<//>`;
  if (status) return html`<${Empty} title=${`Nothing is ${status}.`}><a href=${`${base}/deliveries`}>See all deliveries.</a><//>`;
  return html`<${Empty} title="Nothing was delivered yet."><a href=${`${base}/webhooks`}>Create a webhook and send it a test</a>: its delivery appears here.<//>`;
}

/** A listing's items after `delivery` was told of. */
function patched(items, delivery, fits) {
  const known = items.some(({ deliveryId }) => deliveryId === delivery.deliveryId);
  if (!fits) return items.filter(({ deliveryId }) => deliveryId !== delivery.deliveryId);
  if (known) return items.map((item) => (item.deliveryId === delivery.deliveryId ? delivery : item));
  return [delivery, ...items].sort((a, b) => b.createdAt.localeCompare(a.createdAt)).slice(0, MOST_LIVE);
}

/** The account's webhooks by name: `all`, and `of(id)`. */
export function useWebhookNames(account) {
  const { items } = useListing(`/v1/accounts/${account}/webhooks`, {}, 500);
  const all = (items ?? []).map((webhook) => {
    const { host } = place(webhook.url);
    return { ...webhook, host, name: `${webhook.subAccountId} ${webhook.type} · ${host}` };
  });
  return { all, of: (id) => all.find(({ webhookId }) => webhookId === id) };
}

/** What tells of a delivery; the webhook among it unless it is known already. */
export function deliveryColumns(base, names) {
  return [
    { name: 'Accepted', cell: ({ deliveryId, createdAt }) => html`<a href=${`${base}/deliveries/${deliveryId}`}><${Time} at=${createdAt} /></a>` },
    { name: 'Number', cell: ({ phoneNumber }) => (phoneNumber ? html`<a class="num nowrap" href=${`${base}/numbers/${phoneNumber}`}>${phone(phoneNumber)}</a>` : html`<span class="soft">none</span>`) },
    { name: 'Event', cell: ({ eventType }) => words(eventType).replace(/ update$/, '') },
    ...(names ? [{ name: 'Webhook', cell: ({ webhookId }) => html`<a title=${names.of(webhookId)?.name} href=${`${base}/webhooks/${webhookId}`}>${names.of(webhookId)?.host ?? 'deleted'}</a>` }] : []),
    { name: 'Status', cell: ({ status }) => html`<${Pill}>${status}<//>` },
    { name: 'Why', kind: 'wide', cell: (delivery) => reason(delivery) },
    { name: 'Attempts', kind: 'right', cell: ({ attemptCount }) => attemptCount },
    { name: 'Next', cell: ({ status, nextAttemptAt }) => next(status, nextAttemptAt) },
  ];
}

function reason({ status, lastAttempt, supersededBy }) {
  if (status === 'superseded') return `a newer event stands for it${supersededBy ? '' : ' (no longer kept)'}`;
  if (status === 'canceled') return 'its webhook was deleted';
  return why(lastAttempt) || 'not attempted yet';
}

function next(status, at) {
  if (at) return html`<${Due} at=${at} />`;
  if (status === 'pending') return html`<span class="soft">behind an earlier one</span>`;
  return status === 'exhausted' ? html`<span class="soft">none</span>` : html`<span class="soft">–</span>`;
}
