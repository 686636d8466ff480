// The live picture: source left of a divider, edited right of it; what changes; a drawn region.

const byId = (id) => document.getElementById(id);
const VISIBLE = 10; // levels of 255 by which a pixel must differ to count as changed
const LEAST = 0.03; // a region smaller than this share of a side was a click
const clamp = (value, low, high) => Math.min(Math.max(value, low), high);

export class Stage {
  #canvas = byId("picture");
  #context = this.#canvas.getContext("2d");
  #patch = document.createElement("canvas");
  #drawn = {}; // side -> ImageBitmap
  #share = 0.5; // of the divider
  #start = null; // corner of the region being drawn
  #keyed = null; // region being drawn with the keys

  // `wish` is told which sides are needed, `chosen` a region {x, y, width, height} that was drawn.
  constructor({wish, chosen}) {
    Object.assign(this, {wish, chosen, isComparing: true, overlay: "", maps: {}});
    this.#listen();
    this.compare(true);
    new ResizeObserver(() => this.#ask()).observe(byId("stage"));
  }

  compare(isWanted) {
    this.isComparing = isWanted;
    byId("compare").setAttribute("aria-pressed", String(isWanted));
    for (const id of ["split", "source-tag"]) byId(id).hidden = !isWanted;
    this.#ask();
    this.#draw();
  }

  lay(overlay) {
    this.overlay = overlay;
    this.#ask();
    this.#draw();
  }

  setMaps(maps) {
    this.maps = maps;
    if (this.overlay in maps) this.#draw();
  }

  // Only what is shown is asked for.
  #ask() {
    const pixels = byId("stage").clientWidth * Math.min(devicePixelRatio, 2);
    const want = this.isComparing || this.overlay === "change" ? ["edited", "source"] : ["edited"];
    this.wish({want, width: Math.max(1, Math.round(pixels))});
  }

  async show(jpegs) {
    const sides = Object.keys(jpegs);
    const bitmaps = await Promise.all(sides.map((side) => createImageBitmap(jpegs[side])));
    for (const bitmap of Object.values(this.#drawn)) bitmap.close();
    this.#drawn = Object.fromEntries(sides.map((side, index) => [side, bitmaps[index]]));
    byId("no-picture").hidden = true;
    this.#draw();
  }

  // A small picture of what is shown now, for a tile.
  thumbnail(width = 240, height = 135) {
    if (!this.#drawn.edited) return null;
    const small = Object.assign(document.createElement("canvas"), {width, height});
    small.getContext("2d").drawImage(this.#drawn.edited, 0, 0, width, height);
    return new Promise((take) => small.toBlob(take, "image/jpeg", 0.8));
  }

  #draw() {
    const {edited, source} = this.#drawn;
    if (!edited) return;
    const canvas = this.#canvas, context = this.#context;
    if (canvas.width !== edited.width || canvas.height !== edited.height) {
      canvas.width = edited.width;
      canvas.height = edited.height;
      byId("stage").style.aspectRatio = `${edited.width} / ${edited.height}`;
    }
    context.drawImage(edited, 0, 0);
    if (this.overlay === "change" && source) this.#markChange(edited, source);
    else if (this.overlay in this.maps) this.#drawMap(this.maps[this.overlay], edited);
    if (!this.isComparing || !source) return;
    const at = Math.round(this.#share * canvas.width);
    if (at > 0) context.drawImage(source, 0, 0, at, source.height, 0, 0, at, canvas.height);
  }

  // Orange where the two differ: unedited pixels are the camera's own, so that is what is changed.
  #markChange(edited, source) {
    const {width, height} = edited;
    Object.assign(this.#patch, {width, height});
    const patch = this.#patch.getContext("2d", {willReadFrequently: true});
    patch.drawImage(source, 0, 0);
    const before = patch.getImageData(0, 0, width, height).data;
    patch.drawImage(edited, 0, 0);
    const marked = patch.getImageData(0, 0, width, height), after = marked.data;
    for (let at = 0; at < after.length; at += 4) {
      const change = Math.max(Math.abs(after[at] - before[at]),
        Math.abs(after[at + 1] - before[at + 1]), Math.abs(after[at + 2] - before[at + 2]));
      const grey = 0.25 * (before[at] + before[at + 1] + before[at + 2]) / 3;
      const share = change < VISIBLE ? 0 : Math.min(1, 0.35 + change / 120);
      after[at] = grey + share * 255;
      after[at + 1] = grey + share * 130;
      after[at + 2] = grey + share * 20;
    }
    patch.putImageData(marked, 0, 0);
    this.#context.drawImage(this.#patch, 0, 0);
  }

  // Rows of digits over the picture; without a map everything was computed anew.
  #drawMap(rows, {width, height}) {
    const context = this.#context, most = this.overlay === "field" ? 9 : 1;
    if (!rows && this.overlay === "field") return;
    context.fillStyle = "rgb(10 9 8 / 55%)";
    context.fillRect(0, 0, width, height);
    const found = rows || ["1"];
    found.forEach((row, down) => [...row].forEach((digit, across) => {
      if (digit === "0") return;
      const cell = [width / row.length, height / found.length];
      context.fillStyle = `rgb(255 130 20 / ${Math.round(20 + 50 * digit / most)}%)`;
      context.fillRect(across * cell[0] + 1, down * cell[1] + 1, cell[0] - 2, cell[1] - 2);
    }));
  }

  #setSplit(share) {
    this.#share = clamp(share, 0, 1);
    const percent = Math.round(100 * this.#share);
    byId("split").style.left = `${100 * this.#share}%`;
    byId("split").setAttribute("aria-valuenow", String(percent));
    byId("split").setAttribute("aria-valuetext", `${percent} % source`);
    byId("source-tag").hidden = !this.isComparing || percent < 12;
    byId("edited-tag").hidden = this.isComparing && percent > 88;
    this.#draw();
  }

  // --- region ---

  get isDrawing() { return byId("region").getAttribute("aria-pressed") === "true"; }

  setDrawing(isWanted) {
    byId("region").setAttribute("aria-pressed", String(isWanted));
    byId("stage").classList.toggle("drawing", isWanted);
    byId("region-hint").hidden = !isWanted;
    this.#keyed = null;
  }

  showRegion(region) {
    const box = byId("region-box");
    byId("whole").hidden = !region;
    box.hidden = !region;
    if (!region) return;
    for (const [side, share] of Object.entries({left: region.x, top: region.y,
      width: region.width, height: region.height})) box.style[side] = `${100 * share}%`;
  }

  #at(event) {
    const {left, top, width, height} = byId("stage").getBoundingClientRect();
    return {x: clamp((event.clientX - left) / width, 0, 1),
      y: clamp((event.clientY - top) / height, 0, 1)};
  }

  #region(event) {
    const end = this.#at(event), start = this.#start;
    const x = Math.min(start.x, end.x), y = Math.min(start.y, end.y);
    const width = Math.abs(end.x - start.x), height = Math.abs(end.y - start.y);
    return width < LEAST || height < LEAST ? null : {x, y, width, height};
  }

  // The arrows move it, with Shift its lower right corner; Enter takes it.
  #key(event) {
    if (!this.isDrawing) return;
    const [across, down] = {ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1],
      ArrowDown: [0, 1]}[event.key] || [0, 0];
    if (event.key === "Enter" && this.#keyed) {
      const region = this.#keyed;
      this.setDrawing(false);
      this.chosen(region);
    } else if (across || down) {
      const box = this.#keyed || {x: 0.25, y: 0.25, width: 0.5, height: 0.5};
      if (event.shiftKey) {
        box.width = clamp(box.width + 0.05 * across, 0.05, 1 - box.x);
        box.height = clamp(box.height + 0.05 * down, 0.05, 1 - box.y);
      } else {
        box.x = clamp(box.x + 0.05 * across, 0, 1 - box.width);
        box.y = clamp(box.y + 0.05 * down, 0, 1 - box.height);
      }
      this.#keyed = box;
      this.showRegion(box);
    } else return;
    event.preventDefault();
  }

  #listen() {
    const stage = byId("stage"), split = byId("split");
    let isSplitting = false;
    stage.addEventListener("pointerdown", (event) => {
      if (this.isDrawing) this.#start = this.#at(event);
      else if (this.isComparing) isSplitting = true;
      else return;
      stage.setPointerCapture(event.pointerId);
      event.preventDefault();
      if (isSplitting) this.#setSplit(this.#at(event).x);
    });
    stage.addEventListener("pointermove", (event) => {
      if (isSplitting) this.#setSplit(this.#at(event).x);
      else if (this.#start) this.showRegion(this.#region(event));
    });
    stage.addEventListener("pointerup", (event) => {
      isSplitting = false;
      if (!this.#start) return;
      const region = this.#region(event);
      this.#start = null;
      this.setDrawing(false);
      this.chosen(region);
    });
    stage.addEventListener("pointercancel", () => { isSplitting = false; this.#start = null; });
    split.addEventListener("keydown", (event) => {
      const to = {ArrowLeft: -0.05, ArrowRight: 0.05, Home: -1, End: 1}[event.key];
      if (to === undefined) return;
      event.preventDefault();
      this.#setSplit(this.#share + to);
    });
    byId("compare").addEventListener("click", () => this.compare(!this.isComparing));
    byId("overlay").addEventListener("change", ({target}) => this.lay(target.value));
    byId("region").addEventListener("click", () => this.setDrawing(!this.isDrawing));
    byId("region").addEventListener("keydown", (event) => this.#key(event));
    byId("whole").addEventListener("click", () => this.chosen(null));
  }
}
