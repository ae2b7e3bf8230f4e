// Values as people read them. Nothing here knows of elements.

const DAY = 86_400_000;
const clock = new Intl.DateTimeFormat(undefined, { hour: '2-digit', minute: '2-digit', second: '2-digit', hourCycle: 'h23' });
const sameYear = new Intl.DateTimeFormat(undefined, { day: 'numeric', month: 'short', hour: '2-digit', minute: '2-digit', hourCycle: 'h23' });
const anyYear = new Intl.DateTimeFormat(undefined, { day: 'numeric', month: 'short', year: 'numeric', hour: '2-digit', minute: '2-digit', hourCycle: 'h23' });
const plain = new Intl.NumberFormat();

export const count = (value) => plain.format(value);

/** An instant in the viewer's zone, as short as it is clear today. */
export function instant(text, now = Date.now()) {
  const at = new Date(text);
  const today = new Date(now);
  if (at.toDateString() === today.toDateString()) return clock.format(at);
  return at.getFullYear() === today.getFullYear() ? sameYear.format(at) : anyYear.format(at);
}

/** How far an instant is: `in 12 s`, `5 min ago`. */
export function distance(text, now = Date.now()) {
  const ms = new Date(text) - now;
  const far = span(Math.abs(ms));
  if (Math.abs(ms) < 1000) return 'now';
  return ms > 0 ? `in ${far}` : `${far} ago`;
}

/** A span of milliseconds in one unit. */
export function span(ms) {
  if (ms < 10) return `${Math.round(ms * 10) / 10} ms`;
  if (ms < 1000) return `${Math.round(ms)} ms`;
  if (ms < 90_000) return `${Math.round(ms / 1000)} s`;
  if (ms < 90 * 60_000) return `${Math.round(ms / 60_000)} min`;
  if (ms < 2 * DAY) return `${Math.round(ms / 3_600_000)} h`;
  return `${Math.round(ms / DAY)} days`;
}

/** The steps of the messaging limit, lowest first. */
export const LADDER = ['250', '1K', '2K', '10K', '100K', 'Unlimited'];

/** A limit without its prefix: `10K`, `Unlimited`, or what else was said. */
export function limit(word) {
  if (word === undefined || word === null) return '';
  const bare = String(word).replace(/^TIER_/i, '');
  const thousand = /^\d+000$/.test(bare) ? `${bare.slice(0, -3)}K` : bare;
  if (thousand === '-1' || /^unlimited$/i.test(thousand)) return 'Unlimited';
  return thousand === 'NOT_SET' ? 'not set' : thousand;
}

/** How many steps of the ladder a limit has climbed; 0 if it is below all, or no limit. */
export function step(word) {
  const most = conversations(limit(word));
  return LADDER.filter((rung) => conversations(rung) <= most).length;
}

function conversations(text) {
  if (text === 'Unlimited') return Infinity;
  const [, digits, unit] = /^(\d+)([KM]?)$/i.exec(text) ?? [];
  return digits ? Number(digits) * ({ K: 1_000, M: 1_000_000 }[unit.toUpperCase()] ?? 1) : -1;
}

/** A number's digits in groups that can be read. */
export function phone(digits) {
  if (!/^\d{8,}$/.test(digits ?? '')) return digits ?? '';
  const american = /^1(\d{3})(\d{3})(\d{4})$/.exec(digits);
  if (american) return `+1 ${american.slice(1).join(' ')}`;
  return `+${digits.slice(0, 2)} ${digits.slice(2).replace(/\d{3}(?=\d{2})/g, '$& ')}`;
}

/** `phone_number_quality_update` as a word. */
export const words = (text) => String(text ?? '').replace(/_/g, ' ').toLowerCase();

/** What an event is about, from its body: `UPGRADE`, else its type in words. */
export function happened(event) {
  const meta = event.body?.eventDetails?.meta;
  return words(meta?.event ?? event.eventType ?? event.body?.eventType ?? 'event');
}

/** Why an attempt failed, in a sentence. */
export function why(attempt) {
  if (!attempt) return '';
  const { outcome, httpStatus, note } = attempt;
  if (outcome === 'success') return `answered ${httpStatus}`;
  const reasons = {
    http_status: `the receiver answered ${httpStatus}`,
    redirect: `the receiver answered ${httpStatus}, a redirect`,
    timeout: 'no answer in time',
    dns: 'the host name has no address',
    connect: 'nobody listens there',
    tls: 'no secure connection',
    reset: 'the connection ended before an answer',
    protocol: 'what came back is not HTTP',
    forbidden_address: 'the address may not be reached',
    oauth: 'no token from the token endpoint',
    interrupted: 'our process ended meanwhile',
  };
  const reason = reasons[outcome] ?? words(outcome);
  return note ? `${reason}: ${note}` : reason;
}

/** The host of a URL, and its path. */
export function place(url) {
  try {
    const { host, pathname } = new URL(url);
    return { host, path: pathname === '/' ? '' : pathname };
  } catch {
    return { host: url, path: '' };
  }
}
