// Accounts, and the business accounts that are registered to them, with what waits
// because none is.
import { html, useEffect, useState } from '/dashboard/html.js';
import { call, useListing } from '/dashboard/api.js';
import { Ask, Empty, Field, Form, Pill, Table, Time, Written } from '/dashboard/ui.js';
import { Reading } from '/dashboard/reading.js';
import { words } from '/dashboard/format.js';

export function Accounts({ reloadAccounts }) {
  const listing = useListing('/v1/accounts', {}, 100);
  const both = () => Promise.all([listing.reload(), reloadAccounts()]);
  const add = async (form) => {
    const id = form.get('accountId').trim() || crypto.randomUUID();
    await call('PUT', `/v1/accounts/${encodeURIComponent(id)}`, { name: form.get('name').trim(), chatApps: true });
    await both();
  };
  return html`<${Table} label="Accounts" listing=${listing} id=${({ accountId }) => accountId} columns=${[
    { name: 'Name', cell: ({ accountId, name }) => html`<a href=${`#/${accountId}/numbers`}>${name}</a>` },
    { name: 'Id', cell: ({ accountId }) => html`<span class="mono">${accountId}</span>` },
    { name: 'Chat Apps', cell: ({ chatApps }) => (chatApps ? html`<${Pill} tone="good">configured<//>` : html`<${Pill} tone="wait">not configured: its events wait<//>`) },
    { name: 'Registered', cell: ({ createdAt }) => html`<${Time} at=${createdAt} />` },
    { name: 'Change', cell: (account) => html`<span class="actions"><${Configure} account=${account} done=${both} />
      <${Ask} class="small" title=${`Delete ${account.name}?`} answer="Delete" what="Its webhooks and keys go with it, and what is pending is canceled. Its business accounts must be unregistered before."
        run=${async () => { await call('DELETE', `/v1/accounts/${account.accountId}`); await both(); }}>Delete…<//></span>` },
  ]} empty=${html`<${Empty} title="There is no account yet.">Register the first one here; then its webhooks, then its business account.<//>`} />
    <section><h2>Register an account</h2><div class="card">
      <${Form} across label="Register an account" send=${add} submit="Register">
        <${Field} label="Name" name="name" required maxlength="200" />
        <${Field} label="Id" name="accountId" hint="A UUID that you know it by elsewhere; left empty, one is made." />
      <//></div></section>`;
}

/** Whether the account takes part. */
function Configure({ account: { accountId, name, chatApps }, done }) {
  const run = async () => {
    await call('PUT', `/v1/accounts/${accountId}`, { name, chatApps: !chatApps });
    await done();
  };
  return html`<${Ask} class="small" title=${chatApps ? 'Stop taking part?' : 'Take part in Chat Apps?'} answer=${chatApps ? 'Stop' : 'Take part'} run=${run}
    what=${chatApps ? `The events of ${name} will wait unrouted.` : `What waits for ${name} is routed now.`}>${chatApps ? 'Stop taking part…' : 'Take part…'}<//>`;
}

export function BusinessAccounts({ accounts }) {
  const listing = useListing('/v1/business-accounts', {}, 100);
  const unrouted = useListing('/v1/unrouted', {}, 100);
  const [chosen, setChosen] = useState('');
  const nameOf = (id) => accounts.find(({ accountId }) => accountId === id)?.name ?? id;
  const both = () => Promise.all([listing.reload(), unrouted.reload()]);
  // What waits is routed a moment after its business account is registered.
  const waits = unrouted.items?.length > 0;
  useEffect(() => {
    if (!waits) return undefined;
    const look = setInterval(unrouted.reload, 2000);
    return () => clearInterval(look);
  }, [waits]);
  const register = async (form) => {
    const subAccountId = form.get('subAccountId').trim();
    await call('PUT', `/v1/business-accounts/${encodeURIComponent(form.get('businessAccountId').trim())}`, { accountId: form.get('accountId'), ...(subAccountId && { subAccountId }) });
    setChosen('');
    await both();
  };
  const route = (id) => {
    setChosen(id);
    document.getElementById('register').scrollIntoView({ block: 'center' });
    document.querySelector('#register select').focus();
  };
  return html`<section><h2>Unrouted</h2><${Unrouted} listing=${unrouted} route=${route} /></section>
    <section><h2>Registered</h2>
      <${Table} label="Business accounts" listing=${listing} id=${({ businessAccountId }) => businessAccountId} columns=${[
    { name: 'Business account', cell: ({ businessAccountId }) => html`<span class="mono">${businessAccountId}</span>` },
    { name: 'Account', cell: ({ accountId }) => html`<a href=${`#/${accountId}/numbers`}>${nameOf(accountId)}</a>` },
    { name: 'Sub-account', cell: ({ subAccountId }) => subAccountId ?? html`<span class="soft">none</span>` },
    { name: 'Registered', cell: ({ createdAt }) => html`<${Time} at=${createdAt} />` },
    { name: 'Change', cell: ({ businessAccountId }) => html`<span class="actions"><${Reading} id=${businessAccountId} /><${Ask} class="small" title=${`Unregister ${businessAccountId}?`} answer="Unregister" what="What Meta says of it from now on waits unrouted."
        run=${async () => { await call('DELETE', `/v1/business-accounts/${businessAccountId}`); await both(); }}>Unregister…<//></span>` },
  ]} empty=${html`<${Empty} title="No business account is registered.">What Meta says waits until its business account is.<//>`} /></section>
    <section id="register"><h2>Register a business account</h2><div class="card">
      ${accounts.length === 0 ? html`<p>A business account belongs to an account: <a href="#/operator/accounts">register one first</a>.</p>` : html`
      <${Form} across label="Register a business account" send=${register} submit="Register and route what waits">
        <${Field} label="Business account (WABA) id" name="businessAccountId" inputmode="numeric" required value=${chosen} onInput=${(event) => setChosen(event.target.value)} hint="Digits, from Meta’s Business Manager." />
        <${Field} label="Account" as="select" name="accountId">${accounts.map(({ accountId, name }) => html`<option key=${accountId} value=${accountId}>${name}</option>`)}<//>
        <${Field} label="Sub-account" name="subAccountId" hint="Only if its events are for one sub-account’s webhooks besides those of *." />
      <//>`}</div></section>`;
}

function Unrouted({ listing, route }) {
  return html`<${Table} label="Unrouted" listing=${listing} id=${({ id }) => id} columns=${[
    { name: 'Business account', cell: ({ businessAccountId }) => html`<span class="mono">${businessAccountId}</span>` },
    { name: 'What', cell: ({ field }) => words(field) },
    { name: 'App', cell: ({ app }) => app },
    { name: 'Received', cell: ({ receivedAt }) => html`<${Time} at=${receivedAt} />` },
    { name: 'Value', kind: 'wide', cell: ({ value }) => html`<details><summary>show</summary><${Written} label="The value" text=${JSON.stringify(value, null, 2)} /></details>` },
    { name: 'Change', cell: ({ businessAccountId }) => html`<button type="button" class="small" onClick=${() => route(businessAccountId)}>Route…</button>` },
  ]} empty=${html`<${Empty} title="Nothing waits.">Changes of business accounts that are not registered, or whose account takes no part, would stand here.<//>`} />`;
}
