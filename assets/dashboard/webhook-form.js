// Creating and editing a webhook, by the configuration API: what is stored is read
// with its secrets masked, and posting the mask keeps them.
import { html, useEffect, useState } from '/dashboard/html.js';
import { all, call, useThing } from '/dashboard/api.js';
import { Field, Form, Heading, Loading, Trouble } from '/dashboard/ui.js';
import { configured } from '/dashboard/webhooks.js';

const MASK = '***';

export function NewWebhook({ account, base }) {
  return html`<p class="crumb"><a href=${`${base}/webhooks`}>Webhooks</a></p><${Heading} title="New webhook" />
    <${Editor} account=${account} base=${base} />`;
}

export function EditWebhook({ account, base, id }) {
  const listing = useThing(`/v1/accounts/${account}/webhooks?limit=500`);
  const [stored, setStored] = useState(null);
  const [problem, setProblem] = useState(null);
  const webhook = listing.value?.items.find(({ webhookId }) => webhookId === id);
  useEffect(() => {
    if (webhook) configured(account, webhook).then(setStored, setProblem);
  }, [webhook?.webhookId]);
  return html`<p class="crumb"><a href=${`${base}/webhooks/${id}`}>Webhook</a></p><${Heading} title="Edit webhook" />
    <${Trouble} problem=${problem ?? listing.problem} />
    ${stored ? html`<${Editor} account=${account} base=${base} stored=${stored} webhook=${webhook} />` : html`<${Loading} />`}`;
}

function Editor({ account, base, stored, webhook }) {
  const [way, setWay] = useState(webhook?.authorization ?? 'none');
  const back = webhook ? `${base}/webhooks/${webhook.webhookId}` : `${base}/webhooks`;
  const send = async (form) => {
    const wanted = read(form, stored);
    if (!stored && await configured(account, wanted)) {
      throw { title: 'There is one already', detail: 'a webhook of this sub-account and type exists', hint: 'edit that one: another would replace it' };
    }
    await call('POST', `/api/v1/accounts/${account}/webhooks`, [wanted]);
    const made = await find(account, wanted);
    const delivery = form.get('delivery');
    if (made && made.delivery !== delivery) await call('PATCH', `/v1/accounts/${account}/webhooks/${made.webhookId}`, { delivery });
    location.hash = made ? `${base}/webhooks/${made.webhookId}` : back;
  };
  const choice = (value, text) => html`<label class="choice"><input type="radio" name="way" value=${value} checked=${way === value} onChange=${() => setWay(value)} />${text}</label>`;
  return html`<div class="card narrow"><${Form} label=${stored ? 'Edit webhook' : 'New webhook'} send=${send} submit=${stored ? 'Save' : 'Create'} cancel=${() => { location.hash = back; }}>
    ${stored ? html`<p><strong>${stored.subAccountId}</strong>, type <strong>${stored.type}</strong> <span class="soft">(a webhook’s identity; to change it, create another)</span></p>` : html`
      <${Field} label="Sub-account" name="subAccountId" value="*" required hint="* stands for all sub-accounts." />
      <${Field} label="Type" as="select" name="type" hint="Business-management updates go to CABM webhooks only; the others are kept and listed.">
        <option>CABM</option><option>MSG</option><option>CADR</option><//>`}
    <${Field} label="URL" name="url" inputmode="url" value=${stored?.url} required placeholder="https://hooks.example.com/whatsapp" hint="https and a public host, unless the operator allows others." />
    <${Field} label="Gets" as="select" name="delivery">
      <option value="all">every event of a number, one after another</option>
      <option value="latest" selected=${webhook?.delivery === 'latest'}>the latest only, of those that wait</option><//>
    <fieldset><legend>Authorisation</legend>
      <div class="choices">${choice('none', 'None')}${choice('header', 'Fixed header')}${choice('oauth', 'OAuth 2.0')}</div>
      ${way === 'header' && html`<${Field} label="Authorization header" name="httpAuthorization" value=${stored?.httpAuthorization} required hint=${stored?.httpAuthorization ? `${MASK} keeps the stored one.` : 'Sent as it is, such as Bearer and a token.'} />`}
      ${way === 'oauth' && html`<${OAuth} stored=${stored?.oauth} />`}
    </fieldset>
    <label class="choice"><input type="checkbox" name="enabled" checked=${stored?.enabled ?? true} />Enabled</label>
  <//></div>`;
}

function OAuth({ stored }) {
  return html`
    <${Field} label="Token endpoint" name="oauthUrl" inputmode="url" value=${stored?.url} required />
    <${Field} label="Client id" name="clientId" value=${stored?.clientId} required />
    <${Field} label="Client secret" name="clientSecret" value=${stored?.clientSecret} required hint=${stored ? `${MASK} keeps the stored one.` : undefined} />
    <${Field} label="Credentials go into" as="select" name="credentialsLocation">
      <option value="header">the header</option><option value="body" selected=${stored?.credentialsLocation === 'body'}>the body</option><//>
    <${Field} label="Scope" name="scope" value=${stored?.scope} hint="Separated by blanks, if your endpoint wants any." />`;
}

/** The webhook that the form describes. */
function read(form, stored) {
  const way = form.get('way');
  const wanted = {
    subAccountId: stored?.subAccountId ?? form.get('subAccountId').trim(),
    type: stored?.type ?? form.get('type'),
    url: form.get('url').trim(),
    enabled: form.get('enabled') !== null,
  };
  if (way === 'header') wanted.httpAuthorization = form.get('httpAuthorization');
  if (way === 'oauth') {
    wanted.oauth = { url: form.get('oauthUrl').trim(), clientId: form.get('clientId'), clientSecret: form.get('clientSecret'), credentialsLocation: form.get('credentialsLocation') };
    if (form.get('scope').trim()) wanted.oauth.scope = form.get('scope').trim();
  }
  return wanted;
}

async function find(account, { subAccountId, type }) {
  const webhooks = await all(`/v1/accounts/${account}/webhooks`);
  return webhooks.find((webhook) => webhook.subAccountId === subAccountId && webhook.type === type);
}
