// Puts the page together: commands to the daemon, its status to the page.

import {Box} from "/page/box.js";
import {Link, ask, call, isPicturesOnly, recall, remember, takeSecret} from "/page/link.js";
import {Looks} from "/page/looks.js";
import {Plots} from "/page/plots.js";
import {Setup} from "/page/setup.js";
import {Stage} from "/page/stage.js";

const byId = (id) => document.getElementById(id);
const STATES = {warming: "loading", holding: "no new edit", recovering: "starting again"};
const THEMES = {auto: "◐ auto", light: "☀ light", dark: "☾ dark"};
let current = {edit: null, region: null, seed: 0}; // what strength and region apply to
let isDragging = false; // the strength slider; it follows the status otherwise
let refusal = null; // why the last command was refused; cleared by the next one
let fault = null; // what the daemon or the connection complains of
let asked = 0; // counts the instructions; the newest one's answer is shown
let presets = null;

const link = new Link({heard, seen, lost});
const stage = new Stage({wish: (wishes) => link.wish(wishes), chosen: (region) => again({region})});
const box = new Box((prompt) => instruct(prompt, {region: current.region}));
const looks = new Looks({
  applied: follow,
  thumbnail: () => stage.thumbnail(),
  current: () => current.edit && {edit: current.edit, region: current.region && [current.region.x,
    current.region.y, current.region.width, current.region.height],
    strength: byId("strength").value / 100},
});
const setup = new Setup(command);
let plots = null;

function showText(id, text) {
  byId(id).textContent = text || "";
  byId(id).hidden = !text;
}

const showError = () => showText("error", refusal || fault);

async function command(path, body) {
  refusal = null;
  try { await call(path, body); } catch (error) { refusal = error.message; }
  showError();
}

// Waits for what becomes of an instruction; only the newest one's refusal is shown.
async function follow(revision) {
  const mine = ++asked;
  let why = null;
  refusal = null;
  showError();
  try {
    const number = await revision; // none where no instruction was given
    if (number) why = (await call(`/api/wait?revision=${number}&timeout_s=20`)).refused;
  } catch (error) { why = error.message; }
  if (mine === asked) refusal = why;
  showError();
}

export function instruct(prompt, more) {
  const body = {prompt, strength: byId("strength").value / 100, ...more};
  return follow(call("/api/instruction", body).then((answer) => answer.revision));
}

// The same instruction, but for what is given.
function again(more) {
  if (current.edit) instruct(current.edit, {region: current.region, seed: current.seed, ...more});
}

async function seen(head, jpegs) {
  await stage.show(jpegs);
  if (head.delay_ms !== null) byId("delay").textContent = `${head.delay_ms} ms to this page`;
}

function heard({status, health, presets: stamp}) {
  fault = status.last_error;
  show(status);
  showHealth(health);
  showError();
  looks.show(status);
  if (stamp !== presets) {
    presets = stamp;
    looks.load().catch((error) => { refusal = error.message; showError(); });
  }
}

function lost(reason) {
  byId("state").textContent = "not reachable";
  byId("state").className = "bad";
  fault = reason;
  showError();
}

function show(status) {
  const badge = byId("state");
  const state = STATES[status.state] || status.state;
  badge.textContent = status.mode === "edit" ? state : `${state}, ${status.mode}`;
  badge.className = {live: "good", holding: "bad", recovering: "bad", stopped: "bad"}[status.state]
    || "wait";
  const by = status.edited_by ? `, edited by ${status.edited_by}` : "";
  byId("device").textContent = [status.model, status.device].filter(Boolean).join(" on ") + by;
  showShown(status);
  showText("notice", status.notice);
  const glass = Math.round(status.glass_to_sink.p50_ms);
  byId("glass").textContent = glass ? `${glass} ms from the camera to the output` : "";
  for (const button of byId("modes").children) {
    button.setAttribute("aria-pressed", String(button.dataset.mode === status.mode));
  }
  for (const button of byId("latencies").children) {
    button.setAttribute("aria-pressed", String(button.dataset.latency === status.latency));
  }
  setup.show(status);
  stage.setMaps({field: status.field_map, cache: status.recomputed});
  showRecording(status);
  const {region, seed} = status;
  current = {edit: status.pending || status.instruction, region, seed};
  if (!stage.isDrawing) stage.showRegion(region);
  if (!isDragging) showStrength(Math.round(status.strength * 100));
}

function showShown(status) {
  const line = byId("shown"), parts = ["em", "strong"].map((tag) => document.createElement(tag));
  parts[0].textContent = "shown ";
  parts[1].textContent = status.instruction || "nothing edited yet";
  line.replaceChildren(...parts);
  if (status.pending) {
    const pending = document.createElement("span");
    pending.id = "pending";
    pending.textContent = ` → ${status.pending}`;
    line.append(pending);
  } else if (status.changed !== null) {
    const percent = 100 * status.changed;
    const share = percent > 0 && percent < 1 ? "less than 1" : Math.round(percent);
    line.append(`, changes ${share} % of the picture`);
  }
}

function showHealth(health) {
  const items = health.map(({name, level, text, fix}) => {
    const item = document.createElement("li"), title = document.createElement("b");
    item.className = level;
    title.textContent = name;
    item.append(title, ` ${text}`);
    if (fix) {
      const line = document.createElement("small");
      line.append(...fix.split("`").map((part, index) => index % 2 ? code(part) : part));
      item.append(line);
    }
    return item;
  });
  const list = byId("health");
  const isSame = list.childElementCount === items.length &&
    items.every((item, index) => item.isEqualNode(list.children[index]));
  if (!isSame) list.replaceChildren(...items);
}

function code(text) {
  const part = document.createElement("code");
  part.textContent = text;
  return part;
}

function showRecording({recording, recorded_s: seconds}) {
  const button = byId("record"), isRunning = Boolean(recording);
  button.setAttribute("aria-pressed", String(isRunning));
  const time = `${Math.floor(seconds / 60)}:${String(Math.floor(seconds % 60)).padStart(2, "0")}`;
  button.textContent = isRunning ? `stop, ${time}` : "record";
  button.title = isRunning ? recording : "Record what the outputs show";
  for (const id of ["with-sound", "with-source"]) byId(id).parentElement.hidden = isRunning;
}

// Says where it lies: nobody should have to look for it.
async function record() {
  const isRunning = byId("record").getAttribute("aria-pressed") === "true";
  refusal = null;
  try {
    if (isRunning) {
      const {files} = await call("/api/recording", undefined, "DELETE");
      showText("recorded", `Recorded: ${files.join(", ")}`);
    } else {
      await call("/api/recording", {with_source: byId("with-source").checked,
        microphone: byId("with-sound").checked ? "" : null});
      showText("recorded", "");
    }
  } catch (error) { refusal = error.message; }
  showError();
}

function showStrength(percent) {
  byId("strength").value = percent;
  byId("strength-shown").textContent = `${percent} %`;
}

function showTheme(name) {
  document.documentElement.dataset.theme = name;
  byId("theme").textContent = THEMES[name];
  dispatchEvent(new Event("themechange"));
}

async function snapshot() {
  const response = await ask("/snapshot.jpg");
  if (response.status !== 200) return;
  const saved = document.createElement("a");
  saved.href = URL.createObjectURL(await response.blob());
  saved.download = `liveedit-${new Date().toISOString().slice(0, 19).replaceAll(":", "-")}.jpg`;
  saved.click();
  URL.revokeObjectURL(saved.href);
}

byId("modes").addEventListener("click", ({target}) => {
  if (target.dataset.mode) command("/api/mode", {mode: target.dataset.mode});
});
byId("latencies").addEventListener("click", ({target}) => {
  if (target.dataset.latency) command("/api/latency", {latency: target.dataset.latency});
});
byId("strength").addEventListener("input", () => {
  isDragging = true;
  showStrength(byId("strength").value);
});
byId("strength").addEventListener("change", () => {
  isDragging = false;
  again({});
});
byId("record").addEventListener("click", record);
byId("snapshot").addEventListener("click", snapshot);
byId("theme").addEventListener("click", () => {
  const names = Object.keys(THEMES);
  const next = names[(names.indexOf(document.documentElement.dataset.theme) + 1) % names.length];
  remember("theme", next);
  showTheme(next);
});
document.addEventListener("keydown", (event) => {
  const isTyping = event.target.matches("input:not([type=range]):not([type=checkbox]), select, dialog *");
  if (isTyping || event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.key === "/") box.focus();
  else if (event.key === "Escape") stage.setDrawing(false);
  else if (!looks.key(event.key)) return;
  event.preventDefault();
});
matchMedia("(prefers-color-scheme: dark)").addEventListener("change",
  () => dispatchEvent(new Event("themechange")));

function begin() {
  const secret = takeSecret();
  document.body.classList.toggle("pictures-only", isPicturesOnly());
  if (isPicturesOnly()) stage.compare(false);
  else if (secret) { plots ||= new Plots(); plots.refresh(); }
  link.open();
}

showTheme(recall("theme") in THEMES ? recall("theme") : "auto");
document.addEventListener("visibilitychange", () => link.open());
addEventListener("hashchange", begin); // another address in the same tab
begin();
