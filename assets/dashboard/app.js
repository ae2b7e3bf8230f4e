// The page: who is signed in, where one is, and what is around it. Where one is
// stands behind the `#`: `#/ACCOUNT/deliveries/17`, `#/operator/keys`.
import { html, render, useEffect, useState } from '/dashboard/html.js';
import { all, onSessionEnd, signOut, useThing, whoami } from '/dashboard/api.js';
import { follow, onStreamEnd, useLiveState } from '/dashboard/live.js';
import { Empty, Heading, Loading, Trouble } from '/dashboard/ui.js';
import { SignIn } from '/dashboard/signin.js';
import { Numbers } from '/dashboard/numbers.js';
import { NumberPage } from '/dashboard/number.js';
import { Deliveries } from '/dashboard/deliveries.js';
import { DeliveryPage } from '/dashboard/delivery.js';
import { Webhooks } from '/dashboard/webhooks.js';
import { WebhookPage } from '/dashboard/webhook.js';
import { EditWebhook, NewWebhook } from '/dashboard/webhook-form.js';
import { Operator } from '/dashboard/operator.js';

/** The parts of the address behind `#/`, and its query. */
function where() {
  const [path, query] = location.hash.replace(/^#\/?/, '').split('?');
  return { parts: path.split('/').filter(Boolean).map(decodeURIComponent), query: Object.fromEntries(new URLSearchParams(query)) };
}

function useWhere() {
  const [at, setAt] = useState(where());
  useEffect(() => {
    const moved = () => setAt(where());
    addEventListener('hashchange', moved);
    return () => removeEventListener('hashchange', moved);
  }, []);
  return at;
}

const ACCOUNT_PAGES = [['Numbers', 'numbers'], ['Deliveries', 'deliveries'], ['Webhooks', 'webhooks']];
const LAST = 'bellwether-account';

function App() {
  const [who, setWho] = useState(undefined);
  const [problem, setProblem] = useState(null);
  const [why, setWhy] = useState(null);
  const ask = () => whoami().then(setWho, setProblem);
  useEffect(() => {
    ask();
    onStreamEnd(() => {
      setWhy('The session is over. Sign in to go on where you were.');
      setWho(null);
    });
  }, []);
  if (who === undefined) return html`<main id="main">${problem ? html`<${Trouble} problem=${problem} retry=${ask} />` : html`<${Loading} />`}</main>`;
  if (who === null) return html`<${SignIn} why=${why} done=${setWho} />`;
  const leave = async () => {
    follow(null);
    await signOut();
    setWhy(null);
    setWho(null);
  };
  return html`<${Shell} who=${who} leave=${leave} />`;
}

function Shell({ who, leave }) {
  const { parts, query } = useWhere();
  const operator = who.role === 'operator';
  const [accounts, setAccounts] = useState(null);
  const [problem, setProblem] = useState(null);
  const load = () => (operator ? all('/v1/accounts') : Promise.resolve([]))
    .then(setAccounts, setProblem);
  useEffect(() => { load(); }, [who]);
  const named = parts[0] === 'operator' ? null : parts[0];
  const chosen = who.accountId ?? named ?? null;
  useEffect(() => {
    if (named) localStorage.setItem(LAST, named);
    follow(parts[0] === 'operator' ? null : chosen);
  }, [chosen, parts[0]]);
  useEffect(() => {
    if (parts.length > 0 || !accounts) return;
    const last = localStorage.getItem(LAST);
    const first = who.accountId ?? (accounts.find(({ accountId }) => accountId === last) ?? accounts[0])?.accountId;
    location.replace(first ? `#/${first}/numbers` : '#/operator');
  }, [parts.length, accounts]);
  const base = `#/${chosen ?? localStorage.getItem(LAST) ?? accounts?.[0]?.accountId ?? ''}`;
  const main = () => document.getElementById('main').focus();
  return html`
    <button type="button" class="skip" onClick=${main}>Skip to the content</button>
    <${Bar} who=${who} accounts=${accounts} chosen=${chosen} base=${base} parts=${parts} leave=${leave} />
    <main id="main" tabindex="-1">
      <${Trouble} problem=${problem} retry=${load} />
      <${Page} key=${parts.slice(0, 3).join('/')} who=${who} parts=${parts} query=${query} base=${base}
        accounts=${accounts ?? []} reloadAccounts=${load} />
    </main>`;
}

function Bar({ who, accounts, chosen, base, parts, leave }) {
  const known = accounts?.some(({ accountId }) => accountId === chosen);
  const choose = (event) => { location.hash = `#/${event.target.value}/${ACCOUNT_PAGES.some(([, key]) => key === parts[1]) ? parts[1] : 'numbers'}`; };
  const pages = base === '#/' ? [] : ACCOUNT_PAGES;
  const link = (name, href, key) => html`<a href=${href} aria-current=${key === (parts[0] === 'operator' ? 'operator' : parts[1]) ? 'page' : undefined}>${name}</a>`;
  return html`<header class="bar"><div>
    <a class="mark" href="#/"><img src="/dashboard/icon.svg" alt="" width="24" height="24" /><span>Bellwether</span></a>
    ${who.role === 'operator' && accounts?.length > 0 && html`<select aria-label="Account" value=${known ? chosen : ''} onChange=${choose}>
      ${!known && html`<option value="">Choose an account</option>`}
      ${accounts.map(({ accountId, name }) => html`<option key=${accountId} value=${accountId}>${name}</option>`)}
    </select>`}
    ${who.role !== 'operator' && html`<${AccountName} id=${who.accountId} />`}
    <nav class="pages" aria-label="Pages">
      ${pages.map(([name, key]) => link(name, `${base}/${key}`, key))}
      ${who.role === 'operator' && link('Operator', '#/operator', 'operator')}
    </nav>
    <span class="who">
      ${parts[0] !== 'operator' && html`<${Live} />`}
      <span class="soft name" title=${`signed in with the ${who.role === 'read' ? 'reader' : who.role}'s key “${who.keyName}”`}>${who.role}</span>
      <button type="button" class="small" onClick=${leave}>Sign out</button>
    </span>
  </div></header>`;
}

function AccountName({ id }) {
  const account = useThing(`/v1/accounts/${id}`);
  return html`<span class="account">${account.value?.name ?? ''}</span>`;
}

function Live() {
  const state = useLiveState();
  const said = { live: 'live', connecting: 'connecting', off: 'not live' }[state];
  return html`<span class=${`live ${state}`} role="status">${said}</span>`;
}

function Page({ who, parts, query, base, accounts, reloadAccounts }) {
  const [first, page, id, what] = parts;
  if (first === undefined) return html`<${Loading} />`;
  const canWrite = who.role !== 'read';
  if (first === 'operator' && who.role === 'operator') return html`<${Operator} tab=${page ?? 'overview'} accounts=${accounts} reloadAccounts=${reloadAccounts} />`;
  const shown = { account: first, base, canWrite, query };
  if (page === 'numbers') return id ? html`<${NumberPage} ...${shown} digits=${id} />` : html`<${Numbers} ...${shown} />`;
  if (page === 'deliveries') return id ? html`<${DeliveryPage} ...${shown} id=${id} />` : html`<${Deliveries} ...${shown} />`;
  if (page === 'webhooks' && id === 'new') return html`<${NewWebhook} ...${shown} />`;
  if (page === 'webhooks' && what === 'edit') return html`<${EditWebhook} ...${shown} id=${id} />`;
  if (page === 'webhooks') return id ? html`<${WebhookPage} ...${shown} id=${id} />` : html`<${Webhooks} ...${shown} />`;
  return html`<${Heading} title="Nothing here" /><${Empty} title="There is no such page."><a href="#/">To the first page</a><//>`;
}

addEventListener('keydown', (event) => {
  const typing = event.target.matches?.('input, select, textarea');
  const search = document.querySelector('[data-search]');
  if (event.key === '/' && !typing && !event.ctrlKey && !event.metaKey && search) {
    event.preventDefault();
    search.focus();
  }
});

render(html`<${App} />`, document.getElementById('app'));
