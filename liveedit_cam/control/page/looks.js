// Presets as tiles: a click or their key applies one, its picture is the last one seen of it.

import {call} from "/page/link.js";

const byId = (id) => document.getElementById(id);
const SHIPPED = new Set(["natural", "golden hour", "night", "black and white", "vintage film",
  "neon", "blue backdrop", "soft backdrop"]); // those a sample picture is shipped of
const SETTLE_MS = 1500;

export class Looks {
  #presets = [];
  #pictures = new Map(); // name -> address of a blob
  #loaded = "";
  #timer = 0;
  #waiting = null;

  // `applied` is called with a promise for each look that is asked for; `thumbnail` gives a blob.
  constructor({applied, thumbnail, current}) {
    Object.assign(this, {applied, thumbnail, current, status: null});
    byId("looks").addEventListener("click", (event) => this.#click(event));
    byId("looks").addEventListener("keydown", (event) => {
      const name = event.target.dataset?.look;
      if (name && event.key === "Delete") this.remove(name);
    });
    byId("save-cancel").addEventListener("click", () => byId("save-dialog").close());
    byId("save-form").addEventListener("submit", (event) => this.#save(event));
  }

  async load() {
    const found = await call("/api/presets");
    if (JSON.stringify(found) === this.#loaded) return; // tiles that are drawn again lose the focus
    this.#loaded = JSON.stringify(found);
    this.#presets = found.presets;
    byId("looks-problem").textContent = found.problems.join(" ");
    byId("looks-problem").hidden = !found.problems.length;
    this.#draw();
  }

  apply(name) { this.applied(call("/api/preset", {name}).then(({revision}) => revision)); }

  // A look by its key; false where no look has it.
  key(letter) {
    const preset = this.#presets.find((one) => one.hotkey === letter);
    if (preset) this.apply(preset.name);
    return Boolean(preset);
  }

  async remove(name) {
    if (!confirm(`Take the look "${name}" away?`)) return;
    this.applied(call(`/api/presets/${encodeURIComponent(name)}`, undefined, "DELETE")
      .then(() => this.load())); // the status may not have told of the change before
  }

  show(status) {
    this.status = status;
    const active = this.#active();
    for (const tile of byId("looks").querySelectorAll("[data-look]")) {
      tile.setAttribute("aria-pressed", String(tile.dataset.look === active));
    }
    const isStill = active && !status.pending && status.mode === "edit" && status.state === "live";
    const waiting = isStill ? active : null;
    if (waiting === this.#waiting) return;
    this.#waiting = waiting;
    clearTimeout(this.#timer);
    if (waiting) this.#timer = setTimeout(() => this.#take(waiting), SETTLE_MS);
  }

  #active() {
    const {instruction, pending, strength, region} = this.status;
    const same = (one) => one.edit === (pending || instruction) && one.strength === strength &&
      JSON.stringify(one.region) === JSON.stringify(region);
    return this.#presets.find(same)?.name || null;
  }

  async #take(name) {
    const blob = await this.thumbnail();
    if (!blob || name !== this.#waiting) return;
    if (this.#pictures.has(name)) URL.revokeObjectURL(this.#pictures.get(name));
    this.#pictures.set(name, URL.createObjectURL(blob));
    const tile = [...byId("looks").children].find((one) => one.dataset.look === name);
    if (tile) tile.querySelector("img").src = this.#pictures.get(name);
  }

  #draw() {
    const add = document.createElement("button");
    Object.assign(add, {type: "button", id: "add-look", textContent: "+ save this look"});
    byId("looks").replaceChildren(...this.#presets.map((preset) => this.#tile(preset)), add);
    if (this.status) this.show(this.status);
  }

  #tile(preset) {
    const tile = document.createElement("button");
    const picture = document.createElement("img");
    const name = document.createElement("span");
    tile.type = "button";
    tile.dataset.look = preset.name;
    tile.title = [preset.edit, preset.mode && `mode ${preset.mode}`,
      preset.latency && `latency ${preset.latency}`, "Delete takes it away"]
      .filter(Boolean).join(", ");
    picture.alt = "";
    const own = this.#pictures.get(preset.name);
    if (own) picture.src = own;
    else if (SHIPPED.has(preset.name)) {
      picture.src = `/page/look-${preset.name.replaceAll(" ", "-")}.jpg`;
    } else picture.hidden = true;
    picture.onload = () => { picture.hidden = false; };
    name.textContent = preset.name;
    tile.append(picture, name);
    if (preset.hotkey) {
      const key = document.createElement("kbd");
      key.textContent = preset.hotkey;
      tile.append(key);
    }
    return tile;
  }

  #click(event) {
    const tile = event.target.closest("button");
    if (!tile) return;
    if (tile.id !== "add-look") return this.apply(tile.dataset.look);
    const look = this.current();
    byId("save-what").textContent = look ? look.edit : "";
    byId("save-error").hidden = true;
    byId("save-name").value = look ? look.edit.slice(0, 40) : "";
    if (look) byId("save-dialog").showModal();
  }

  async #save(event) {
    event.preventDefault();
    const preset = {...this.current(), name: byId("save-name").value,
      hotkey: byId("save-key").value || null, transition_s: Number(byId("save-fade").value)};
    try {
      await call("/api/presets", {preset}, "PUT");
      byId("save-dialog").close();
      await this.load();
    } catch (error) {
      byId("save-error").textContent = error.message;
      byId("save-error").hidden = false;
    }
  }
}
