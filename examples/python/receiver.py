"""A receiver of Bellwether's webhooks: verified, each event once, numbers never set back.

Standard library and the official Standard Webhooks library; see README.md beside this directory.
"""

import os
import sqlite3
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from standardwebhooks.webhooks import Webhook, WebhookVerificationError

LARGEST_BODY = 5_000_000  # bytes; the longest event has 4 MiB

NO_SECRET = "WEBHOOK_SECRET is not set; hint: it is the webhook's signing secret, whsec_..."

verifier = Webhook(os.environ.get("WEBHOOK_SECRET") or sys.exit(NO_SECRET))
lock = threading.Lock()
database = sqlite3.connect(os.environ.get("DATABASE", "events.db"), check_same_thread=False)
database.executescript("""
    CREATE TABLE IF NOT EXISTS events (id TEXT PRIMARY KEY, body BLOB NOT NULL);
    CREATE TABLE IF NOT EXISTS numbers (number TEXT PRIMARY KEY, sequence INTEGER NOT NULL, event TEXT NOT NULL);
""")


def take(event, body, sequence, is_test):
    """Stores the event and what it says of its number in one transaction; says what it was."""
    number = event["eventDetails"].get("displayPhoneNumber") or event["businessAccountId"]
    key = event["eventId"] if is_test else f"{event['accountId']}/{number}"  # test events count by themselves
    with lock, database:
        if not database.execute("INSERT OR IGNORE INTO events VALUES (?, ?)", (event["eventId"], body)).rowcount:
            return "repeated"
        changed = database.execute(
            """INSERT INTO numbers VALUES (?, ?, ?) ON CONFLICT (number) DO UPDATE
               SET sequence = excluded.sequence, event = excluded.event WHERE excluded.sequence >= sequence""",
            (key, sequence, event["eventId"]),
        ).rowcount
        return "news" if changed else "older"


class Receiver(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 30  # seconds without a byte

    def do_POST(self):
        length = self.headers.get("content-length", "")
        if not length.isdecimal() or int(length) > LARGEST_BODY:
            self.close_connection = True
            return self.answer(413)
        body = self.rfile.read(int(length))
        try:
            event = verifier.verify(body, {name.lower(): value for name, value in self.headers.items()})
        except WebhookVerificationError:
            return self.answer(401)
        sequence = int(self.headers["bellwether-sequence"])
        what = take(event, body, sequence, "bellwether-test" in self.headers)
        print(what, sequence, event["eventType"], flush=True)
        return self.answer(204)  # stored: the work on it comes afterwards

    def answer(self, status):
        self.send_response(status)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


if __name__ == "__main__":
    server = ThreadingHTTPServer(("127.0.0.1", int(os.environ.get("PORT", "3000"))), Receiver)
    print(f"listening on http://127.0.0.1:{server.server_port}/", flush=True)
    server.serve_forever()
