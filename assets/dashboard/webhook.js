// One webhook: how it fares, what has not arrived, its secret, and a test.
import { html, useState } from '/dashboard/html.js';
import { call, get, useListing, useThing } from '/dashboard/api.js';
import { useLive, useSoon } from '/dashboard/live.js';
import { Action, Ask, Copy, Empty, Facts, Heading, Loading, Pill, Table, Time, Trouble, Due } from '/dashboard/ui.js';
import { count, phone, span, why } from '/dashboard/format.js';
import { Health, Toggle } from '/dashboard/webhooks.js';
import { deliveryColumns } from '/dashboard/deliveries.js';

export function WebhookPage({ account, base, canWrite, id }) {
  const listing = useThing(`/v1/accounts/${account}/webhooks?limit=500`);
  const path = `/v1/accounts/${account}/webhooks/${id}`;
  const undelivered = useListing(`${path}/undelivered`, {}, 50);
  const deliveries = useListing(`/v1/accounts/${account}/deliveries`, { webhookId: id }, 20);
  const reload = async () => { await Promise.all([listing.reload(), undelivered.reload(), deliveries.reload()]); };
  const soon = useSoon(reload, 400);
  useLive((kind, data) => { if (kind !== 'delivery' || data.webhookId === id) soon(); });
  const webhook = listing.value?.items.find(({ webhookId }) => webhookId === id);
  const crumb = html`<p class="crumb"><a href=${`${base}/webhooks`}>Webhooks</a></p>`;
  if (!listing.value) return html`${crumb}<${Heading} title="Webhook" />${listing.problem ? html`<${Trouble} problem=${listing.problem} retry=${listing.reload} />` : html`<${Loading} />`}`;
  if (!webhook) return html`${crumb}<${Heading} title="Webhook" /><${Empty} title="There is no such webhook."><a href=${`${base}/webhooks`}>See which there are.</a><//>`;
  const remove = async () => {
    await call('DELETE', `/api/v1/accounts/${account}/webhooks`, [{ subAccountId: webhook.subAccountId, type: webhook.type }]);
    location.hash = `${base}/webhooks`;
  };
  return html`${crumb}
    <${Heading} title=${`${webhook.subAccountId === '*' ? 'All sub-accounts' : webhook.subAccountId}, ${webhook.type}`}>
      ${canWrite && html`
        <${Test} path=${path} base=${base} account=${account} enabled=${webhook.enabled} />
        <a class="button quiet" href=${`${base}/webhooks/${id}/edit`}>Edit</a>
        <${Ask} title="Delete this webhook?" answer="Delete" run=${remove}
          what=${`What is pending (${count(webhook.health.pending)}) is canceled. A new webhook of the same kind has another signing secret.`}>Delete<//>`}
    <//>
    <${Facts} of=${facts(account, base, webhook, canWrite, listing.reload)} />
    ${canWrite && html`<section><h2>Signing secret</h2><${Secret} path=${path} previousUntil=${webhook.previousSecretUntil} /></section>`}
    <section><h2>Not arrived</h2>
      <${Table} label="Not arrived" listing=${undelivered} id=${({ deliveryId }) => deliveryId} columns=${undeliveredColumns(base)}
        empty=${html`<${Empty} title="All that is owed has arrived." />`} />
    </section>
    <section><h2>Deliveries</h2>
      <${Table} label="Deliveries" listing=${deliveries} id=${({ deliveryId }) => deliveryId} columns=${deliveryColumns(base)}
        empty=${html`<${Empty} title="Nothing was owed to it yet.">Send it a test to see how it goes.<//>`} />
    </section>`;
}

function facts(account, base, webhook, canWrite, reload) {
  const { url, authorization, delivery, enabled, createdAt, updatedAt, health, webhookId } = webhook;
  return [
    ['URL', html`<span class="mono">${url}</span>`],
    ['Enabled', html`<${Toggle} account=${account} webhook=${webhook} canWrite=${canWrite} done=${reload} />`],
    ['Health', html`<${Health} account=${account} webhook=${webhook} />`],
    ['Waiting', html`<a href=${`${base}/deliveries?status=pending&webhookId=${webhookId}`}>${count(health.pending)}</a>`],
    ['Exhausted, of the last 100', html`<a href=${`${base}/deliveries?status=exhausted&webhookId=${webhookId}`}>${count(health.exhausted)}</a>`],
    ['Last failure', health.lastFailure && html`<${Time} at=${health.lastFailure.startedAt} />: ${why(health.lastFailure)}`],
    ['Authorisation', { none: 'none', header: 'a fixed header', oauth: 'OAuth 2.0 client credentials' }[authorization]],
    ['Gets', delivery === 'all' ? 'every event' : 'the latest only'],
    ['Created', html`<${Time} at=${createdAt} />`],
    ['Configured', html`<${Time} at=${updatedAt} />`],
    ['Id', html`<span class="mono">${webhookId}</span>`],
  ];
}

/** Sends a sample, and shows where to see what becomes of it. */
function Test({ path, base, account, enabled }) {
  const [sent, setSent] = useState(null);
  const run = async () => {
    const { eventId } = await call('POST', `${path}/test`);
    const { deliveries } = await get(`/v1/accounts/${account}/events/${eventId}`);
    setSent(deliveries[0]?.deliveryId);
  };
  return html`${sent && html`<a role="status" href=${`${base}/deliveries/${sent}`}>The test is on its way</a>`}
    <${Action} class=${enabled ? 'primary' : ''} run=${run}>Test now<//>`;
}

function Secret({ path, previousUntil }) {
  const [secret, setSecret] = useState(null);
  const show = async () => setSecret(await get(`${path}/secret`));
  const rotate = async (force) => setSecret(await call('POST', `${path}/secret/rotate${force ? '?force=true' : ''}`));
  const until = secret?.previousSecretUntil ?? previousUntil;
  return html`<div class="card"><div class="secret">
    ${secret ? html`<code>${secret.secret}</code><${Copy} text=${secret.secret} /><button type="button" class="small" onClick=${() => setSecret(null)}>Hide</button>`
    : html`<${Action} class="small" run=${show}>Show<//>`}
    ${until
    ? html`<${Ask} class="small" title="Rotate again?" answer="Rotate, ending the one before" run=${() => rotate(true)}
        what="The secret before the last rotation still signs. Rotating now ends it at once: do so if it has become known to others.">Rotate again…<//>`
    : html`<${Ask} class="small" title="Rotate the signing secret?" answer="Rotate" run=${() => rotate(false)}
        what="Both secrets sign for 24 hours. Give your receivers the new one within that time.">Rotate…<//>`}
    </div>
    ${until && html`<p class="soft">The secret before it signs too, until <${Time} at=${until} />.</p>`}</div>`;
}

const undeliveredColumns = (base) => [
  { name: 'Number', cell: ({ deliveryId, phoneNumber }) => html`<a class="num" href=${`${base}/deliveries/${deliveryId}`}>${phone(phoneNumber) || 'of no number'}</a>` },
  { name: 'Status', cell: ({ status }) => html`<${Pill}>${status}<//>` },
  { name: 'For', cell: ({ ageSeconds }) => span(ageSeconds * 1000) },
  { name: 'Sequence', kind: 'right', cell: ({ sequence }) => sequence },
  { name: 'Arrived up to', kind: 'right', cell: ({ acknowledgedSequence }) => acknowledgedSequence ?? 'none' },
  { name: 'Last failure', kind: 'wide', cell: ({ lastFailure }) => why(lastFailure) || html`<span class="soft">none</span>` },
  { name: 'Next', cell: ({ nextAttemptAt }) => (nextAttemptAt ? html`<${Due} at=${nextAttemptAt} />` : html`<span class="soft">–</span>`) },
];
