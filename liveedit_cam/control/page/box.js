// The instruction box: history with the arrow keys, and what is not understood struck through.

import {call, recall, remember} from "/page/link.js";

const byId = (id) => document.getElementById(id);
const CHECK_AFTER_MS = 180;
const MOST_REMEMBERED = 50;

export class Box {
  #input = byId("prompt");
  #past = JSON.parse(recall("history") || "[]");
  #at = null; // place in the past; null = what is being typed
  #draft = "";
  #timer = 0;
  #asked = 0;

  constructor(given) {
    byId("instruction").addEventListener("submit", (event) => {
      event.preventDefault();
      this.#note(this.#input.value);
      given(this.#input.value);
    });
    this.#input.addEventListener("input", () => { this.#at = null; this.#changed(); });
    this.#input.addEventListener("keydown", (event) => this.#key(event));
    for (const name of ["scroll", "keyup", "click"]) {
      this.#input.addEventListener(name, () => this.#follow());
    }
  }

  focus() { this.#input.focus(); this.#input.select(); }

  set(text) {
    this.#input.value = text;
    this.#at = null;
    this.#changed();
  }

  #note(text) {
    this.#past = [...this.#past.filter((one) => one !== text), text].slice(-MOST_REMEMBERED);
    this.#at = null;
    remember("history", JSON.stringify(this.#past));
  }

  #key(event) {
    if (event.key === "Escape") return this.#input.blur();
    const step = {ArrowUp: -1, ArrowDown: 1}[event.key];
    if (!step || !this.#past.length) return;
    event.preventDefault();
    if (this.#at === null) {
      if (step > 0) return;
      this.#draft = this.#input.value;
      this.#at = this.#past.length;
    }
    this.#at = Math.max(0, this.#at + step);
    const isBack = this.#at >= this.#past.length;
    this.#input.value = isBack ? this.#draft : this.#past[this.#at];
    if (isBack) this.#at = null;
    this.#changed();
  }

  #changed() {
    this.#strike([]);
    byId("understood").textContent = "";
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#check(), CHECK_AFTER_MS);
  }

  async #check() {
    const mine = ++this.#asked, prompt = this.#input.value;
    if (!prompt.trim()) return;
    let found;
    try { found = await call("/api/check", {prompt}); } catch { return; } // told elsewhere
    if (mine !== this.#asked || prompt !== this.#input.value) return;
    this.#strike(found.unknown);
    byId("understood").textContent = found.refused ||
      (found.unknown.length ? `not understood: ${found.unknown.join(", ")}` : "");
  }

  // The box's own text is not seen: the mirror below it shows the same letters, some struck.
  #strike(unknown) {
    const text = this.#input.value, mirror = byId("mirror");
    const forms = unknown.map((words) => words.split(/\s+/)
      .map((word) => word.replace(/[.*+?^${}()|[\]\\]/g, "\\$&").replace(/'/g, "['’]"))
      .join("[^\\p{L}\\p{N}]+"));
    const pattern = new RegExp(`(?<![\\p{L}\\p{N}'])(?:${forms.join("|")})(?![\\p{L}\\p{N}'])`, "giu");
    const parts = [];
    let end = 0;
    for (const match of forms.length ? text.matchAll(pattern) : []) {
      const struck = document.createElement("s");
      struck.textContent = match[0];
      parts.push(text.slice(end, match.index), struck);
      end = match.index + match[0].length;
    }
    mirror.replaceChildren(...parts, text.slice(end));
    this.#follow();
  }

  #follow() {
    byId("mirror").style.transform = `translateX(${-this.#input.scrollLeft}px)`;
  }
}
