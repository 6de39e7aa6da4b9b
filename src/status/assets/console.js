// Keeps a page fresh: fetches this same page and swaps its live part whenever the service tells of an event, and every
// few seconds, because ages and queues change without one. Without JavaScript such a page reloads itself.
"use strict";

// Without the stream of events, and with it.
const PERIOD_MS = 2000;
const LIVE_PERIOD_MS = 5000;
// A service with many events is not asked for its page more often.
const PAUSE_MS = 250;
// A refused stream is not taken up again by the browser itself.
const RETRY_MS = 5000;
const EVENTS = [
  "started", "gap", "granted", "released", "expired", "forced", "value-changed", "session-ended", "frozen", "thawed",
];

const freshness = document.getElementById("freshness");
const trouble = document.getElementById("trouble");
const live = document.getElementById("live");
const followed = live === null ? undefined : live.dataset.stream;
let stream = null;
let timer = 0;
let reading = false;
let again = false;
let readAt = 0;

async function refresh() {
  // Not location.href: it may hold a password (user:password@host), and fetch refuses such an address.
  const here = location.origin + location.pathname + location.search;
  const answer = await fetch(here, { headers: { Accept: "text/html", "X-Latchd-Refresh": "1" }, cache: "no-store" });
  if (answer.status === 401) {
    throw new Error("you are not logged in any more; load the page again to log in");
  }
  if (!answer.ok) {
    throw new Error("the server answered " + answer.status);
  }
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  const fresh = page.getElementById("live");
  if (!fresh) {
    throw new Error("the server answered something else");
  }
  exchange(document.getElementById("live"), fresh);
  document.title = page.title;
}

// Where the keyboard was on a link, and how far a table was moved, stays as it was.
function exchange(old, fresh) {
  const at = old.contains(document.activeElement) ? document.activeElement.getAttribute("href") : null;
  const moved = Array.from(old.querySelectorAll(".frame"), (frame) => frame.scrollLeft);
  old.replaceWith(fresh);
  fresh.querySelectorAll(".frame").forEach((frame, index) => (frame.scrollLeft = moved[index] || 0));
  if (at !== null) {
    const same = Array.from(fresh.querySelectorAll("a[href]")).find((link) => link.getAttribute("href") === at);
    (same || document.getElementById("content")).focus({ preventScroll: true });
  }
}

// Only trouble is read out: the time would be, every few seconds.
function say(text, problem) {
  freshness.textContent = problem ? "" : text;
  const told = problem ? text : "";
  if (trouble.textContent !== told) {
    trouble.textContent = told;
  }
  document.body.classList.toggle("stale", problem);
}

// Somebody marking text to copy it would lose the selection.
function isMarking() {
  const selection = document.getSelection();
  return selection !== null && !selection.isCollapsed;
}

function isLive() {
  return stream !== null && stream.readyState === EventSource.OPEN;
}

function plan(delay) {
  clearTimeout(timer);
  timer = setTimeout(turn, delay);
}

async function turn() {
  reading = true;
  again = false;
  if (!document.hidden && !isMarking()) {
    try {
      await refresh();
      const how = isLive() ? "Live: shows each change at once. Read at " : "Read at ";
      say(how + new Date().toLocaleTimeString() + ".", false);
    } catch (problem) {
      say("Not up to date: " + problem.message + ".", true);
    }
  }
  reading = false;
  readAt = Date.now();
  plan(again ? PAUSE_MS : isLive() ? LIVE_PERIOD_MS : PERIOD_MS);
}

// Something happened: read the page, once for all that happens in a moment.
function soon() {
  if (reading) {
    again = true;
  } else {
    plan(Math.max(0, readAt + PAUSE_MS - Date.now()));
  }
}

function follow() {
  const address = new URL(followed, location.origin);
  const auth = new URLSearchParams(location.search).get("auth");
  if (auth) {
    address.searchParams.set("auth", auth);
  }
  stream = new EventSource(address);
  EVENTS.forEach((kind) => stream.addEventListener(kind, soon));
  stream.addEventListener("error", () => {
    if (stream !== null && stream.readyState === EventSource.CLOSED) {
      stream = null;
      setTimeout(resume, RETRY_MS);
    }
  });
}

// A page that nobody sees needs no connection; browsers allow few of them to one server.
function resume() {
  if (document.hidden && stream !== null) {
    stream.close();
    stream = null;
  } else if (!document.hidden && stream === null) {
    follow();
    soon();
  }
}

if (followed) {
  document.addEventListener("visibilitychange", resume);
  resume();
  plan(PERIOD_MS);
}

// A button beside each command line puts it into the clipboard, which browsers allow over TLS and on loopback.
if (navigator.clipboard) {
  for (const line of document.querySelectorAll("pre.copy")) {
    const button = document.createElement("button");
    button.type = "button";
    button.className = "copy";
    button.textContent = "Copy";
    button.addEventListener("click", async () => {
      await navigator.clipboard.writeText(line.textContent);
      button.textContent = "Copied";
    });
    line.after(button);
  }
}
