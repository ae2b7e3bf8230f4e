// Signing in: a key is shown once, and a cookie that no script reads stands for it.
import { html } from '/dashboard/html.js';
import { signIn } from '/dashboard/api.js';
import { Field, Form, Heading } from '/dashboard/ui.js';

export function SignIn({ done, why }) {
  const send = async (form) => done(await signIn(String(form.get('key')).trim()));
  return html`<main class="signin" id="main">
    <p class="mark"><img src="/dashboard/icon.svg" alt="" width="40" height="40" />Bellwether</p>
    <div class="card">
      <${Heading} title="Sign in" quiet />
      ${why && html`<p class="notice" role="status">${why}</p>`}
      <${Form} label="Sign in" send=${send} submit="Sign in">
        <${Field} label="API key" name="key" type="password" required autofocus
          hint="An account owner's or reader's key begins with bwk_ and comes from the operator. The operator's own key is operator.key of the configuration." />
      <//>
    </div>
    <p class="soft">The key is exchanged for a session of at most 12 hours and is not kept in this browser.</p>
  </main>`;
}
