// What of the run can be exchanged: fit, mirror, steps at once; camera, output, model after a trial.

import {call} from "/page/link.js";

const byId = (id) => document.getElementById(id);
const STEPS = [["auto", "as many as fit"], ["1", "1, fastest"], ["2", "2"], ["4", "4, finest"]];
const KEPT = "as it is";

export class Setup {
  // `command` sends a request and shows its refusal.
  constructor(command) {
    this.command = command;
    byId("steps").replaceChildren(...STEPS.map(option));
    byId("fits").addEventListener("click", ({target}) => {
      if (target.dataset.fit) command("/api/picture", {fit: target.dataset.fit});
    });
    byId("mirrored").addEventListener("change", ({target}) =>
      command("/api/picture", {mirror: target.checked}));
    byId("steps").addEventListener("change", ({target}) =>
      command("/api/choice", {what: "steps", value: target.value}));
    byId("open-choices").addEventListener("click", () => this.#open());
    byId("choices").addEventListener("change", () => { byId("choice-said").textContent = ""; });
    byId("validate").addEventListener("click", () => this.#choose(true));
    byId("choices").addEventListener("submit", (event) => {
      event.preventDefault();
      this.#choose(false);
    });
  }

  show({fit, mirror, wished_steps: steps}) {
    for (const button of byId("fits").children) {
      button.setAttribute("aria-pressed", String(button.dataset.fit === fit));
    }
    byId("mirrored").checked = mirror;
    if (document.activeElement !== byId("steps")) byId("steps").value = steps || "auto";
  }

  async #open() {
    const form = byId("choices"), opener = byId("open-choices");
    if (!form.hidden) {
      form.hidden = true;
      opener.textContent = "Change camera, output or model";
      return;
    }
    opener.textContent = "looking for devices";
    let found;
    try { found = await call("/api/choices"); } catch (error) {
      opener.textContent = error.message;
      return;
    }
    for (const select of form.querySelectorAll("select")) {
      const several = found[select.dataset.what].map(({value, text}) =>
        [value, text && text !== value ? `${value}: ${text}` : value]);
      select.replaceChildren(...[["", KEPT], ...several].map(option));
    }
    form.hidden = false;
    opener.textContent = "Close";
    byId("choice-source").focus();
  }

  // Each that is not "as it is"; the first refusal is told and ends it.
  async #choose(isTrial) {
    const wanted = [...byId("choices").querySelectorAll("select")].filter(({value}) => value);
    const said = byId("choice-said");
    said.className = "";
    said.textContent = wanted.length ? "trying" : "Nothing is chosen.";
    const names = [];
    for (const {dataset: {what}, value} of wanted) {
      try {
        const {name} = await call("/api/choice", {what, value, is_trial: isTrial});
        names.push(name);
      } catch (error) {
        said.className = "bad";
        said.textContent = error.message;
        return;
      }
    }
    if (names.length) said.textContent = `${isTrial ? "works" : "in use"}: ${names.join("; ")}`;
  }
}

function option([value, text]) {
  return Object.assign(document.createElement("option"), {value, textContent: text});
}
