// Small plots of the last five minutes, drawn by uPlot.

import {call} from "/page/link.js";

const byId = (id) => document.getElementById(id);
const EVERY_MS = 1000;
const SPAN_S = 300;
const HEIGHT = 84;
const whole = (value) => String(Math.round(value));
const KINDS = [
  ["sink_fps", "output", "fps", (value) => value.toFixed(1), 40, 1],
  ["glass_to_sink_ms", "glass to sink", "ms", whole, 60, 1],
  ["field_age_ms", "age of the edit", "ms", whole, 300, 1],
  ["reuse", "reused by the cache", "%", whole, 100, 100],
]; // of the history: name, title, unit, how it is written, least top of the axis, factor

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
    for (const {plot, name, output, format, unit, factor, figure} of this.#plots) {
      const values = found[name].map((value) => factor * value), newest = values.at(-1);
      figure.hidden = name === "reuse" && !values.some(Boolean); // of few steps nothing is reused
      plot.setData([at, values]);
      output.textContent = newest ? `${format(newest)} ${unit}` : "-";
    }
    this.#resize();
  }

  #add(name, title, unit, format, least, factor) {
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
          values: (_, ticks) => ticks.map((tick) => tick ? `${-tick / 60} min` : "now")},
        {...axis, size: 38, space: 26},
      ],
      series: [{}, {stroke: colour("--accent-line"), width: 1.5, fill: colour("--accent-fill"),
        points: {show: false}}],
    };
    const plot = new uPlot(options, [[], []], figure);
    plot.root.setAttribute("aria-hidden", "true");
    this.#plots.push({plot, name, output, format, unit, factor, figure});
  }

  #resize() {
    for (const {plot, figure} of this.#plots) {
      const width = Math.max(160, figure.clientWidth);
      if (!figure.hidden && width !== plot.width) plot.setSize({width, height: HEIGHT});
    }
  }
}
