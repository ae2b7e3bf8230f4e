// What operators look at: the whole server, whose numbers it serves, who may call.
import { html } from '/dashboard/html.js';
import { useListing } from '/dashboard/api.js';
import { Empty, Heading, Pill, Table, Tabs, Time, Written } from '/dashboard/ui.js';
import { Overview } from '/dashboard/metrics.js';
import { Accounts, BusinessAccounts } from '/dashboard/registry.js';
import { Keys } from '/dashboard/keys.js';

const TABS = [
  ['Overview', 'overview'], ['Accounts', 'accounts'], ['Business accounts', 'business-accounts'],
  ['Keys', 'keys'], ['Apps', 'apps'], ['Unparsed', 'unparsed'],
];

export function Operator({ tab, accounts, reloadAccounts }) {
  const shown = {
    overview: () => html`<${Overview} />`,
    accounts: () => html`<${Accounts} reloadAccounts=${reloadAccounts} />`,
    'business-accounts': () => html`<${BusinessAccounts} accounts=${accounts} />`,
    keys: () => html`<${Keys} accounts=${accounts} />`,
    apps: () => html`<${Apps} />`,
    unparsed: () => html`<${Unparsed} />`,
  }[tab];
  const [name] = TABS.find(([, key]) => key === tab) ?? ['Operator'];
  return html`<${Heading} key=${tab} title=${name} name=${`${name}, operator`} />
    <${Tabs} label="Operator" at=${tab} tabs=${TABS.map(([title, key]) => [title, `#/operator/${key}`, key])} />
    ${shown ? shown() : html`<${Empty} title="There is no such page." />`}`;
}

function Apps() {
  const listing = useListing('/v1/apps', {}, 0);
  return html`<${Table} label="Meta apps" listing=${listing} id=${({ name }) => name} columns=${[
    { name: 'App', cell: ({ name }) => name },
    { name: 'Callback URL', kind: 'wide', cell: ({ callbackPath }) => html`<span class="mono">${location.origin}${callbackPath}</span>` },
    { name: 'App secrets', kind: 'right', cell: ({ secrets }) => (secrets > 1 ? html`${secrets} <span class="soft">while one is rotated</span>` : secrets) },
    { name: 'Handshake', cell: ({ handshake }) => (handshake ? html`<${Pill} tone="good">possible<//>` : html`<span title="set meta.apps.<name>.verify_token"><${Pill} tone="wait">no verify token<//></span>`) },
  ]} empty=${html`<${Empty} title="No Meta app is configured.">Without one no notification is taken. Add <code>[meta.apps.main]</code> with its <code>app_secret</code> and <code>verify_token</code> to the configuration and restart.<//>`} />`;
}

function Unparsed() {
  const listing = useListing('/v1/unparsed');
  return html`<${Table} label="Unparsed" listing=${listing} id=${({ id }) => id} columns=${[
    { name: 'Received', cell: ({ receivedAt }) => html`<${Time} at=${receivedAt} />` },
    { name: 'App', cell: ({ app }) => app },
    { name: 'Business account', cell: ({ businessAccountId }) => businessAccountId ?? html`<span class="soft">unreadable</span>` },
    { name: 'Reason', kind: 'wide', cell: ({ reason }) => reason },
    { name: 'Bytes', kind: 'wide', cell: ({ raw }) => html`<details><summary>show</summary><${Written} label="The bytes as text" text=${raw} /></details>` },
  ]} empty=${html`<${Empty} title="All that was signed could be read.">What is validly signed and can’t be read is kept here, for nothing that Meta says is dropped.<//>`} />`;
}
