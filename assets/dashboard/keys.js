// API keys: made and shown once, listed, forgotten.
import { html, useState } from '/dashboard/html.js';
import { call, useListing } from '/dashboard/api.js';
import { Ask, Copy, Empty, Field, Form, Table, Time } from '/dashboard/ui.js';

export function Keys({ accounts }) {
  const listing = useListing('/v1/api-keys', {}, 100);
  const [role, setRole] = useState('account');
  const [made, setMade] = useState(null);
  const nameOf = (id) => accounts.find(({ accountId }) => accountId === id)?.name ?? id;
  const make = async (form) => {
    const accountId = role === 'operator' ? undefined : form.get('accountId');
    setMade(await call('POST', '/v1/api-keys', { name: form.get('name').trim(), role, accountId }));
    await listing.reload();
  };
  return html`<section><h2 class="unseen">Keys</h2>
      <${Table} label="Keys" listing=${listing} id=${({ id }) => id} columns=${[
    { name: 'Name', cell: ({ name }) => name },
    { name: 'Id', cell: ({ id }) => html`<span class="mono">${id}</span>` },
    { name: 'Role', cell: (key) => key.role },
    { name: 'Account', cell: ({ accountId }) => (accountId ? nameOf(accountId) : html`<span class="soft">all</span>`) },
    { name: 'Made', cell: ({ createdAt }) => html`<${Time} at=${createdAt} />` },
    { name: 'Change', cell: ({ id, name }) => html`<${Ask} class="small" title=${`Delete the key “${name}”?`} answer="Delete" what="Whoever holds it is refused from now on, and signed out of the dashboard."
        run=${async () => { await call('DELETE', `/v1/api-keys/${id}`); await listing.reload(); }}>Delete…<//>` },
  ]} empty=${html`<${Empty} title="No key was made yet.">Only the operator’s key of the configuration is valid. Make one for each account’s owner.<//>`} /></section>
    <section><h2>Make a key</h2><div class="card">
      <${Form} across label="Make a key" send=${make} submit="Make it">
        <${Field} label="Name" name="name" required maxlength="200" hint="For people: who has it, and what for." />
        <${Field} label="Role" as="select" name="role" value=${role} onChange=${(event) => setRole(event.target.value)}>
          <option value="account">account: everything within one account</option>
          <option value="read">read: reading within one account, secrets apart</option>
          <option value="operator">operator: everything</option><//>
        ${role !== 'operator' && html`<${Field} label="Account" as="select" name="accountId" required>${accounts.map(({ accountId, name }) => html`<option key=${accountId} value=${accountId}>${name}</option>`)}<//>`}
      <//>
      ${made && html`<div class="notice" role="status"><p><strong>The key of “${made.name}”.</strong> It is shown this once.</p>
        <div class="secret"><code>${made.key}</code><${Copy} text=${made.key} /><button type="button" class="small" onClick=${() => setMade(null)}>Done</button></div></div>`}
    </div></section>`;
}
