// One delivery: what is sent, and each attempt with what was answered.
import { html } from '/dashboard/html.js';
import { call, useThing } from '/dashboard/api.js';
import { useLive } from '/dashboard/live.js';
import { Action, Copy, Due, Facts, Heading, Loading, Pill, Time, Trouble, Written } from '/dashboard/ui.js';
import { happened, phone, place, span, why, words } from '/dashboard/format.js';

export function DeliveryPage({ account, base, canWrite, id }) {
  const path = `/v1/accounts/${account}/deliveries/${id}`;
  const delivery = useThing(path);
  const { value, problem, reload } = delivery;
  const event = useThing(value && `/v1/accounts/${account}/events/${value.eventId}`);
  const webhooks = useThing(`/v1/accounts/${account}/webhooks?limit=500`);
  const webhook = webhooks.value?.items.find(({ webhookId }) => webhookId === value?.webhookId);
  useLive((kind, data) => {
    if (kind === 'gap' || (kind === 'delivery' && data.deliveryId === id)) reload();
  });
  const crumb = html`<p class="crumb"><a href=${`${base}/deliveries`}>Deliveries</a></p>`;
  if (!value) return html`${crumb}<${Heading} title="Delivery" />${problem ? html`<${Trouble} problem=${problem} retry=${reload} />` : html`<${Loading} />`}`;
  const replayable = ['exhausted', 'superseded', 'delivered'].includes(value.status);
  const what = event.value ? happened(event.value) : words(value.eventType);
  const title = `${what[0].toUpperCase()}${what.slice(1)}${value.phoneNumber ? `, ${phone(value.phoneNumber)}` : ''}`;
  const replay = async () => {
    await call('POST', `${path}/replay`);
    await reload();
  };
  return html`${crumb}
    <${Heading} title=${title} name=${`Delivery ${id}`}>
      ${canWrite && replayable && html`<${Action} class="primary" run=${replay}>Replay<//>`}
    <//>
    <${Facts} of=${[
    ['Status', html`<${Pill}>${value.status}<//>`],
    ['To', webhook ? html`<a href=${`${base}/webhooks/${webhook.webhookId}`}>${place(webhook.url).host}</a>` : 'a deleted webhook'],
    ['Number', value.phoneNumber && html`<a class="num" href=${`${base}/numbers/${value.phoneNumber}`}>${phone(value.phoneNumber)}</a>`],
    ['Accepted', html`<${Time} at=${value.createdAt} />`],
    ['Attempts', value.attemptCount],
    ['Next attempt', value.nextAttemptAt && html`<${Due} at=${value.nextAttemptAt} />`],
    ['Superseded by', value.supersededBy && html`<span class="mono">${value.supersededBy}</span>`],
    ['Event', html`<span class="mono">${value.eventId}</span>`],
  ]} />
    <section><h2>Attempts</h2><${Attempts} delivery=${value} /></section>
    <section><h2>Request</h2><${Request} delivery=${value} event=${event} webhook=${webhook} /></section>`;
}

function Attempts({ delivery: { attempts, status, nextAttemptAt } }) {
  return html`<div class="card"><ol class="timeline">
    ${attempts.map((attempt) => html`<${Attempt} key=${attempt.number} attempt=${attempt} />`)}
    ${status === 'pending' && html`<li class="wait"><div class="head"><strong>${attempts.length === 0 ? 'First attempt' : 'Next attempt'}</strong>
      <span class="soft">${nextAttemptAt ? html`<${Due} at=${nextAttemptAt} />` : 'once an earlier event of this number is through'}</span></div></li>`}
    ${status === 'exhausted' && html`<li class="wait"><div class="head"><strong>No attempt is left.</strong> <span class="soft">Mend the receiver, then replay.</span></div></li>`}
  </ol></div>`;
}

function Attempt({ attempt }) {
  const { number, startedAt, durationMs, outcome, answer } = attempt;
  return html`<li class=${outcome === 'success' ? 'good' : outcome === 'interrupted' ? '' : 'bad'}>
    <div class="head"><strong>Attempt ${number}</strong><${Time} at=${startedAt} /><span>${why(attempt)}</span><span class="soft">${span(durationMs)}</span></div>
    ${answer && html`<${Written} label=${`Answer to attempt ${number}`} text=${answer} />`}
  </li>`;
}

/** What each attempt sends; the signature and its time are made anew each time. */
function Request({ delivery, event: { value, problem }, webhook }) {
  if (!value) return problem ? html`<${Trouble} problem=${problem} />` : html`<${Loading} />`;
  const { sequence, test, snapshot, derived, stale, body } = value;
  const head = [
    `POST ${webhook?.url ?? '(deleted webhook)'}`,
    'content-type: application/json',
    `webhook-id: ${delivery.eventId}`,
    'webhook-timestamp: (seconds, new with each attempt)',
    'webhook-signature: (v1, new with each attempt)',
    `bellwether-attempt: ${Math.max(1, delivery.attemptCount)}`,
    `bellwether-sequence: ${sequence}`,
    test && 'bellwether-test: true',
    snapshot && 'bellwether-snapshot: true',
    derived && `bellwether-derived: ${derived}`,
    stale && `bellwether-stale: ${stale.join(', ')}`,
  ].filter(Boolean).join('\n');
  const shown = JSON.stringify(body, null, 2);
  return html`<div class="card"><${Written} label="Head of the request" text=${head} />
    <${Written} label="Body of the request" text=${shown} />
    <p class="actions"><${Copy} text=${shown} label="Copy the body" /><span class="soft">Set in lines here; sent as it was stored.</span></p></div>`;
}
