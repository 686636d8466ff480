// Three small plots of the last five minutes, drawn by uPlot.

import {call} from "/page/link.js";

const byId = (id) => document.getElementById(id);
const EVERY_MS = 1000;
const SPAN_S = 300;
const HEIGHT = 84;
const KINDS = [
  ["sink_fps", "output", "pictures a second", (value) => value.toFixed(1), 40],
  ["glass_to_sink_ms", "glass to sink", "ms", (value) => String(Math.round(value)), 60],
  ["field_age_ms", "age of the edit", "ms", (value) => String(Math.round(value)), 300],
];

export class Plots {
  #plots = [];

  constructor() {
    for (const kind of KINDS) this.#add(...kind);
    new ResizeObserver(() => this.#resize()).observe(byId("plots"));
    addEventListener("themechange", () => this.#plots.forEach(({plot}) => plot.redraw()));
    setInterval(() => document.hidden || this.refresh(), EVERY_MS);
  }

  async refresh() {
    let found;
    try { found = await call("/api/history"); } catch { return; } // told elsewhere
    const at = found.ago_s.map((ago) => -ago);
    for (const {plot, name, output, format, unit} of this.#plots) {
      const values = found[name];
      plot.setData([at, values]);
      output.textContent = values.length ? `${format(values.at(-1))} ${unit}` : "-";
    }
  }

  #add(name, title, unit, format, least) {
    const figure = document.createElement("figure");
    const caption = document.createElement("figcaption");
    const output = document.createElement("b");
    caption.append(title, output);
    figure.append(caption);
    byId("plots").append(figure);
    const colour = (variable) => () => getComputedStyle(document.body).getPropertyValue(variable);
    const axis = {stroke: colour("--faint"), font: "11px system-ui", ticks: {show: false},
      grid: {stroke: colour("--line"), width: 1}};
    const options = {
      width: 280, height: HEIGHT, legend: {show: false}, padding: [6, 14, 0, 0],
      cursor: {show: false},
      scales: {x: {time: false, range: [-SPAN_S, 0]},
        y: {range: (_, low, high) => [0, Math.max(least, 1.15 * (high || 0))]}},
      axes: [
        {...axis, size: 18, splits: [-240, -120, 0], grid: {show: false},
          values: (_, ticks) => ticks.map((tick) => tick ? `${-tick / 60} min ago` : "now")},
        {...axis, size: 38, space: 26},
      ],
      series: [{}, {stroke: colour("--accent-line"), width: 1.5, fill: colour("--accent-fill"),
        points: {show: false}}],
    };
    const plot = new uPlot(options, [[], []], figure);
    plot.root.setAttribute("aria-hidden", "true");
    this.#plots.push({plot, name, output, format, unit, figure});
  }

  #resize() {
    for (const {plot, figure} of this.#plots) {
      plot.setSize({width: Math.max(160, figure.clientWidth), height: HEIGHT});
    }
  }
}
