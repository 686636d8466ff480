// The way to the daemon: the secret, requests, and the socket with pictures and status.

const RETRY_MS = 1000;
const NO_SECRET =
  "This address lacks its key: open the whole one that `liveedit-cam page` prints.";
let secret = null; // {token} opens all, {key} the pictures; never in a cookie or a query

// The address has the secret in its fragment, which no server sees. It is kept in this browser for
// this address alone, so that a bookmark opens the page again, and taken from the address bar: a
// screen that is shared shows it to nobody.
export function takeSecret() {
  const given = new URLSearchParams(location.hash.slice(1));
  const name = ["token", "key"].find((one) => given.get(one));
  if (name) keep({[name]: given.get(name)});
  if (location.hash || location.search) history.replaceState(null, "", location.pathname);
  secret = secret || JSON.parse(recall("secret") || "null");
  return secret;
}

function keep(found) {
  secret = found;
  remember("secret", JSON.stringify(found));
}

export function remember(name, text) {
  try { localStorage.setItem(name, text); } catch { /* then until a reload */ }
}

export function recall(name) {
  try { return localStorage.getItem(name); } catch { return null; }
}

export const isPicturesOnly = () => Boolean(secret && secret.key);

export function ask(path, method = "GET", body = undefined) {
  const request = {method, headers: {}};
  if (secret) request.headers.Authorization = `Bearer ${secret.token || secret.key}`;
  if (body !== undefined) {
    request.body = JSON.stringify(body);
    request.headers["Content-Type"] = "application/json";
  }
  return fetch(path, request);
}

const underway = new Map(); // the newest command of each path

// The daemon works on several requests at once, in any order: of two clicks the last must win.
function inTurn(path, send) {
  const mine = (underway.get(path) || Promise.resolve()).then(send, send);
  underway.set(path, mine);
  return mine;
}

export async function call(path, body, method) {
  if (!secret) throw new Error(NO_SECRET);
  const response = body === undefined && !method
    ? await ask(path)
    : await inTurn(path, () => ask(path, method || "POST", body));
  const answer = await response.json();
  if (!response.ok) {
    throw new Error(answer.reason || [answer.error, answer.hint].filter(Boolean).join(" "));
  }
  return answer;
}

// One socket at a time; while the tab is hidden there is none, so that it costs nothing.
export class Link {
  #socket = null;
  #wishes = {want: ["edited"], width: 640};
  #timer = 0;

  // `heard` gets {status, health, presets}, `seen` a head and its JPEGs, `lost` a reason.
  constructor({heard, seen, lost}) {
    Object.assign(this, {heard, seen, lost});
  }

  wish(more) {
    Object.assign(this.#wishes, more);
    this.#send(this.#wishes);
  }

  open() {
    this.close();
    if (document.hidden) return;
    if (!secret) return this.lost(NO_SECRET);
    const path = secret.key ? "pictures" : "room";
    const offered = ["liveedit-cam", `secret.${secret.token || secret.key}`];
    const socket = new WebSocket(`ws://${location.host}/${path}`, offered);
    socket.binaryType = "arraybuffer";
    socket.onopen = () => this.#send(this.#wishes);
    socket.onmessage = (event) => this.#take(socket, event.data);
    socket.onclose = (event) => socket === this.#socket && this.#retry(event.reason);
    this.#socket = socket;
  }

  close() {
    clearTimeout(this.#timer);
    const socket = this.#socket;
    this.#socket = null;
    socket?.close();
  }

  #send(message) {
    if (this.#socket?.readyState === WebSocket.OPEN) this.#socket.send(JSON.stringify(message));
  }

  async #take(socket, data) {
    if (typeof data === "string") return this.heard(JSON.parse(data));
    const length = new DataView(data).getUint32(0, true);
    const head = JSON.parse(new TextDecoder().decode(new Uint8Array(data, 4, length)));
    let at = 4 + length;
    const jpegs = {};
    head.sides.forEach((side, index) => {
      jpegs[side] = new Blob([data.slice(at, at + head.sizes[index])], {type: "image/jpeg"});
      at += head.sizes[index];
    });
    try { await this.seen(head, jpegs); } finally {
      if (socket === this.#socket) this.#send({seen: head.number}); // the next one may come
    }
  }

  // A socket never says why it was refused; a request does.
  async #retry(reason) {
    let why = reason || "liveedit-cam does not answer.";
    try {
      if (!secret.key) await call("/api/presets");
    } catch (error) {
      if (!(error instanceof TypeError)) why = error.message;
    }
    this.lost(why);
    this.#timer = setTimeout(() => this.open(), RETRY_MS);
  }
}
