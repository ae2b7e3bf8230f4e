// All numbers of an account: how each stands, and whether its events arrive.
import { html, useEffect, useRef, useState } from '/dashboard/html.js';
import { all, get, useListing } from '/dashboard/api.js';
import { useLive, useSoon } from '/dashboard/live.js';
import { Due, Empty, Field, Heading, Ladder, Pill, Table, Time } from '/dashboard/ui.js';
import { LADDER, phone, words } from '/dashboard/format.js';

/** What of a text the API searches for. */
const digitsOf = (text) => text.replace(/\D/g, '') || undefined;

/** More numbers than this at once are read as a listing. */
const ONE_BY_ONE = 10;

export function Numbers({ account, base }) {
  const [filters, setFilters] = useState({ sort: '-changedAt' });
  const numbers = `/v1/accounts/${account}/phone-numbers`;
  const listing = useListing(numbers, filters, 200);
  const health = useArrears(account);
  const changed = useChanged(numbers, listing, Object.keys(filters).some((name) => name !== 'sort' && filters[name]));
  useLive((kind, data) => {
    if (kind === 'number' && data.retired) listing.patch((items) => items.filter((item) => item.phoneNumber !== data.phoneNumber));
    else if ((kind === 'event' || kind === 'number') && data.phoneNumber) changed(data.phoneNumber);
    else if (kind === 'delivery') health.reload();
    else if (kind === 'gap') listing.reload();
  });
  const filter = (name) => (event) => setFilters({ ...filters, [name]: event.target.value || undefined });
  const filtered = Object.entries(filters).some(([name, value]) => name !== 'sort' && value);
  const look = useSoon(() => setFilters((filters) => ({ ...filters, digits: digitsOf(typed.current.value) })), 250);
  const typed = useRef(null);
  const open = (event) => {
    event.preventDefault();
    if (listing.items?.length === 1) location.hash = `${base}/numbers/${listing.items[0].phoneNumber}`;
  };
  return html`<${Heading} title="Numbers" />
    <form class="filters" role="search" onSubmit=${open}>
      <${Field} label="Search" type="search" data-search inputmode="tel" placeholder="digits, press /" inputRef=${typed} onInput=${look} />
      <${Field} label="Limit" as="select" onChange=${filter('messagingLimit')}><option value="">any</option>${LADDER.map((tier) => html`<option value=${`TIER_${tier.toUpperCase()}`}>${tier}</option>`)}<//>
      <${Field} label="Throughput" as="select" onChange=${filter('throughput')}><option value="">any</option><option>STANDARD</option><option>HIGH</option><//>
      <${Field} label="Rating" as="select" onChange=${filter('rating')}><option value="">any</option>${['GREEN', 'YELLOW', 'RED', 'NA', 'UNKNOWN'].map((rating) => html`<option>${rating}</option>`)}<//>
      <${Field} label="Flag" as="select" onChange=${filter('flagged')}><option value="">any</option><option value="true">flagged</option><option value="false">not flagged</option><//>
      <${Field} label="Order" as="select" value=${filters.sort} onChange=${filter('sort')}>
        <option value="-changedAt">last changed first</option><option value="phoneNumber">by number</option>
        <option value="-messagingLimit">highest limit first</option><option value="messagingLimit">lowest limit first</option><//>
    </form>
    <${Table} label="Numbers" listing=${listing} id=${(number) => number.phoneNumber} columns=${columns(base, health)}
      tone=${(number) => (changed.lately.has(number.phoneNumber) ? 'fresh' : '')}
      empty=${filtered
    ? html`<${Empty} title="No number is like that.">Take a filter away to see more.<//>`
    : html`<${Empty} title="No number is known yet.">A number appears with its first change. Register its business account (the operator does), and see that Meta’s app subscribes to <code>phone_number_quality_update</code>.<//>`} />`;
}

function columns(base, health) {
  return [
    { name: 'Number', cell: ({ phoneNumber }) => html`<a class="num" href=${`${base}/numbers/${phoneNumber}`}>${phone(phoneNumber)}</a>` },
    { name: 'Messaging limit', cell: ({ limit, portfolioLimit }) => html`<${Ladder} value=${(limit ?? portfolioLimit)?.value} />` },
    { name: 'Throughput', cell: ({ throughput }) => words(throughput?.value) || html`<span class="soft">unknown</span>` },
    { name: 'Rating', cell: ({ rating }) => (rating ? html`<${Pill}>${rating.value}<//>` : html`<span class="soft">unknown</span>`) },
    { name: 'Flag', cell: ({ flagged }) => (flagged?.value ? html`<${Pill}>flagged<//>` : html`<span class="soft">${flagged ? 'none' : 'unknown'}</span>`) },
    { name: 'Last change', cell: ({ changedAt }) => html`<${Time} at=${changedAt} />` },
    { name: 'Deliveries', cell: ({ phoneNumber }) => html`<${Arrears} of=${health.of(phoneNumber)} base=${base} number=${phoneNumber} />` },
  ];
}

/** What has not arrived of a number. */
export function Arrears({ of, base, number }) {
  if (of === null) return html`<span class="soft">…</span>`;
  if (of === undefined) return html`<a href=${`${base}/webhooks`}>no webhook</a>`;
  if (of.length === 0) return html`<${Pill} tone="good">all arrived<//>`;
  const exhausted = of.some(({ status }) => status === 'exhausted');
  const next = of.map(({ nextAttemptAt }) => nextAttemptAt).filter(Boolean).sort()[0];
  return html`<a href=${`${base}/deliveries?phoneNumber=${number}`}><${Pill} tone=${exhausted ? 'bad' : 'wait'}>${exhausted ? 'exhausted' : 'waiting'}<//></a>
    ${next && html` <span class="soft">next <${Due} at=${next} /></span>`}`;
}

/** What has not arrived at any of the account's webhooks, by number. */
export function useArrears(account) {
  const [known, setKnown] = useState(null);
  const load = async () => {
    try {
      const webhooks = (await all(`/v1/accounts/${account}/webhooks`)).filter(({ type, enabled }) => type === 'CABM' && enabled);
      const lists = await Promise.all(webhooks.map(({ webhookId }) => all(`/v1/accounts/${account}/webhooks/${webhookId}/undelivered`)));
      setKnown({ any: webhooks.length > 0, of: Map.groupBy(lists.flat(), ({ phoneNumber }) => phoneNumber ?? '') });
    } catch {
      // The table says what is wrong; this column stays as it was.
    }
  };
  const reload = useSoon(load, 1000);
  useEffect(() => { load(); }, [account]);
  return { reload, of: (number) => (known === null ? null : known.of.get(number) ?? (known.any ? [] : undefined)) };
}

/** Reads numbers anew that something was told of; `lately` are those of a moment ago. */
function useChanged(path, listing, filtered) {
  const [lately, setLately] = useState(new Set());
  const [waiting] = useState(() => new Set());
  const soon = useSoon(async () => {
    const numbers = [...waiting];
    waiting.clear();
    setLately(new Set(numbers));
    setTimeout(() => setLately(new Set()), 2500);
    if (filtered || numbers.length > ONE_BY_ONE) return listing.reload();
    const read = await Promise.all(numbers.map((number) => get(`${path}/${number}`).catch(() => null)));
    const fresh = read.filter(Boolean);
    listing.patch((items) => [...fresh, ...items.filter((item) => !fresh.some(({ phoneNumber }) => phoneNumber === item.phoneNumber))]);
  });
  const changed = (number) => {
    waiting.add(number);
    soon();
  };
  changed.lately = lately;
  return changed;
}
