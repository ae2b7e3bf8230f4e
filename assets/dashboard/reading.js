// Reading a business account's numbers from Meta's Graph API: how it stands, at once,
// and with which token.
import { html, useState } from '/dashboard/html.js';
import { call, useThing } from '/dashboard/api.js';
import { Action, Ask, Dialog, Facts, Field, Form, Loading, Pill, Time, Trouble } from '/dashboard/ui.js';
import { count, words } from '/dashboard/format.js';

const TONES = { ok: 'good', failing: 'bad', waiting: 'wait', no_token: 'calm', paused: 'wait', not_configured: 'wait' };

/** A button that opens what there is to know. */
export function Reading({ id }) {
  const [open, setOpen] = useState(false);
  const close = () => setOpen(false);
  return html`<button type="button" class="small" onClick=${() => setOpen(true)}>Reading…</button>
    ${open && html`<${Dialog} title=${`Reading ${id}`} close=${close}><${Standing} id=${id} close=${close} /><//>`}`;
}

function Standing({ id, close }) {
  const path = `/v1/business-accounts/${id}`;
  const { value, problem, reload } = useThing(`${path}/reconciliation`);
  const [typing, setTyping] = useState(false);
  if (!value) return problem ? html`<${Trouble} problem=${problem} retry=${reload} />` : html`<${Loading} />`;
  const { state, accessToken, accessTokenSetAt, lastSuccess, lastFailure, throttledUntil, nextAt } = value;
  const read = async () => {
    await call('POST', `${path}/reconcile`);
    await reload();
  };
  const keep = async (form) => {
    await call('PUT', `${path}/access-token`, { accessToken: form.get('accessToken').trim() });
    setTyping(false);
    await reload();
  };
  const forget = async () => {
    await call('DELETE', `${path}/access-token`);
    await reload();
  };
  return html`<p class="soft">Meta notifies of changes only; what is true besides is read from its Graph API.</p>
    <${Facts} of=${[
    ['State', html`<${Pill} tone=${TONES[state]}>${words(state)}<//>`],
    ['Access token', { own: html`its own, since <${Time} at=${accessTokenSetAt} />`, configuration: 'that of the configuration', none: 'none' }[accessToken]],
    ['Last reading', lastSuccess && html`<${Time} at=${lastSuccess.at} />: ${count(lastSuccess.numbers)} numbers, ${count(lastSuccess.learned)} new, ${count(lastSuccess.events)} events`],
    ['Next reading', nextAt && html`<${Time} at=${nextAt} />`],
    ['Meta asks to wait until', throttledUntil && html`<${Time} at=${throttledUntil} />`],
  ]} />
    ${lastFailure && html`<${Trouble} problem=${{ title: 'The last reading failed', detail: lastFailure.detail, hint: lastFailure.hint }} />`}
    ${typing ? html`<${Form} label="Access token" send=${keep} submit="Keep it" cancel=${() => setTyping(false)}>
        <${Field} label="Access token" name="accessToken" type="password" required hint="Of Meta’s, with the permission whatsapp_business_management. Kept encrypted, never shown again." /><//>`
    : html`<div class="actions">
        <${Action} class="primary" run=${read}>Read now<//>
        <button type="button" onClick=${() => setTyping(true)}>Set a token…</button>
        ${accessToken === 'own' && html`<${Ask} title="Forget its token?" answer="Forget" what="It is read with the token of the configuration then, if there is one." run=${forget}>Forget its token…<//>`}
        <button type="button" onClick=${close}>Close</button></div>`}`;
}
