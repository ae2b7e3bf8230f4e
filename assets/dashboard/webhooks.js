// An account's webhooks: where its events go, and how that fares.
import { html, useEffect, useState } from '/dashboard/html.js';
import { call, get, useListing } from '/dashboard/api.js';
import { useLive, useSoon } from '/dashboard/live.js';
import { Empty, Heading, Pill, Table, Time, Trouble } from '/dashboard/ui.js';
import { count, place } from '/dashboard/format.js';

const AUTHORIZATION = { none: 'none', header: 'header', oauth: 'OAuth 2.0' };

export function Webhooks({ account, base, canWrite }) {
  const listing = useListing(`/v1/accounts/${account}/webhooks`, {}, 100);
  const reload = useSoon(listing.reload, 500);
  useLive(reload);
  const create = canWrite && html`<a class="button" href=${`${base}/webhooks/new`}>New webhook</a>`;
  return html`<${Heading} title="Webhooks">${create}<//>
    <${Table} label="Webhooks" listing=${listing} id=${({ webhookId }) => webhookId} columns=${columns(account, base, canWrite, listing.reload)}
      empty=${html`<${Empty} title="There is no webhook yet.">Events are accepted and kept, and go nowhere. ${canWrite
    ? html`<div class="actions"><a class="button" href=${`${base}/webhooks/new`}>Create the first one</a></div>` : 'The account’s owner can create one.'}<//>`} />`;
}

function columns(account, base, canWrite, reload) {
  return [
    { name: 'Sub-account', cell: ({ webhookId, subAccountId }) => html`<a href=${`${base}/webhooks/${webhookId}`}>${subAccountId === '*' ? '* (all)' : subAccountId}</a>` },
    { name: 'Type', cell: ({ type }) => type },
    { name: 'URL', kind: 'wide', cell: ({ url }) => html`<${Url} url=${url} />` },
    { name: 'Authorisation', cell: ({ authorization }) => AUTHORIZATION[authorization] },
    { name: 'Enabled', cell: (webhook) => html`<${Toggle} account=${account} webhook=${webhook} canWrite=${canWrite} done=${reload} />` },
    { name: 'Health', cell: (webhook) => html`<${Health} account=${account} webhook=${webhook} />` },
    { name: 'Waiting', kind: 'right', cell: ({ health, webhookId }) => (health.pending > 0 ? html`<a href=${`${base}/deliveries?status=pending&webhookId=${webhookId}`}>${count(health.pending)}</a>` : '0') },
    { name: 'Last delivered', cell: ({ health }) => (health.lastDeliveredAt ? html`<${Time} at=${health.lastDeliveredAt} />` : html`<span class="soft">never</span>`) },
  ];
}

export function Url({ url }) {
  const { host, path } = place(url);
  return html`<span title=${url}><strong>${host}</strong><span class="soft">${path}</span></span>`;
}

/** In a word how a webhook fares. */
export function state({ enabled, type, health }) {
  if (!enabled) return 'disabled';
  if (type !== 'CABM') return 'never sent to';
  const failed = health.lastFailure?.startedAt ?? '';
  if (failed > (health.lastDeliveredAt ?? '')) return health.exhausted > 0 ? 'failing' : 'retrying';
  return health.lastDeliveredAt ? 'ok' : 'waiting';
}

/** The word, and the last deliveries as bars, newest on the right. */
export function Health({ account, webhook }) {
  const [last, setLast] = useState(null);
  const { webhookId, health, type } = webhook;
  useEffect(() => {
    if (type !== 'CABM') return;
    get(`/v1/accounts/${account}/deliveries?limit=24&webhookId=${webhookId}`).then(({ items }) => setLast(items.reverse()), () => {});
  }, [webhookId, health.delivered, health.exhausted, health.pending, health.lastDeliveredAt]);
  const tone = { delivered: '', exhausted: 'bad', pending: 'wait' };
  const told = `of the last ${health.delivered + health.exhausted}, ${health.delivered} delivered and ${health.exhausted} exhausted`;
  return html`<span class="nowrap" title=${told}><${Pill}>${state(webhook)}<//>
    ${last?.length > 0 && html` <span class="spark" role="img" aria-label=${told}>${last.map(({ status }) => html`<i class=${tone[status] ?? 'calm'}></i>`)}</span>`}</span>`;
}

/** The webhook as the configuration API has it, its secrets masked. */
export async function configured(account, { subAccountId, type }) {
  const all = await get(`/api/v1/accounts/${account}/webhooks`);
  return all.find((webhook) => webhook.subAccountId === subAccountId && webhook.type === type);
}

/** Whether anything is sent. */
export function Toggle({ account, webhook, canWrite, done }) {
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState(null);
  const { enabled, subAccountId, type } = webhook;
  if (!canWrite) return html`<${Pill} tone=${enabled ? 'good' : 'calm'}>${enabled ? 'enabled' : 'disabled'}<//>`;
  const flip = async () => {
    setBusy(true);
    setProblem(null);
    try {
      await call('POST', `/api/v1/accounts/${account}/webhooks`, [{ ...await configured(account, webhook), enabled: !enabled }]);
      await done();
    } catch (failed) {
      setProblem(failed);
    }
    setBusy(false);
  };
  return html`<button type="button" class="switch" role="switch" aria-checked=${String(enabled)} disabled=${busy}
    aria-label=${`Enabled: ${subAccountId} ${type}`} onClick=${flip}></button><${Trouble} problem=${problem} />`;
}
