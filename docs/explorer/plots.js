/* The four plots: traces and axes from numbers, in the colours of the page. */
(function () {
  "use strict";

  const CONFIG = { displayModeBar: false, doubleClick: false, showTips: false };
  const COLOURS = ["text", "background", "border", "grid", "truth", "between", "best", "teacher", "student"];
  const TIMES = [0, ...Array.from({ length: 160 }, (_, i) => 10 ** (-3 + i / 32))];

  function create(root, data) {
    const palette = new Map();
    let fontFamily = "";
    const color = (name) => palette.get(name);

    /** Take the colours of the page's theme for what is drawn from now on. */
    function takeTheme() {
      const style = getComputedStyle(root);
      fontFamily = style.fontFamily;
      for (const name of COLOURS) palette.set(name, style.getPropertyValue(`--kd-${name}`).trim());
    }

    function axis(title, extra) {
      return {
        title: { text: title, standoff: 8 },
        color: color("text"),
        gridcolor: color("grid"),
        linecolor: color("border"),
        showline: true,
        zeroline: false,
        fixedrange: true,
        ticks: "outside",
        ticklen: 4,
        tickcolor: color("border"),
        ...extra,
      };
    }

    function draw(id, traces, xaxis, yaxis) {
      const layout = {
        margin: { l: 56, r: 18, t: 8, b: 46 },
        paper_bgcolor: "rgba(0,0,0,0)",
        plot_bgcolor: "rgba(0,0,0,0)",
        font: { family: fontFamily, size: 12, color: color("text") },
        hoverlabel: { font: { family: fontFamily } },
        hovermode: "closest",
        dragmode: false,
        showlegend: false,
        autosize: true,
        xaxis,
        yaxis,
      };
      window.Plotly.react(document.getElementById(id), traces, layout, CONFIG);
    }

    const line = (name, x, y, look, extra) => ({
      type: "scatter",
      mode: "lines",
      name,
      x,
      y,
      line: { width: 2, ...look },
      ...extra,
    });
    const points = (name, x, y, marker, extra) => ({ type: "scatter", mode: "markers", name, x, y, marker, ...extra });

    /** Many curves as one trace, with gaps between them. */
    function between(x, curves, extra) {
      return line(
        "between",
        curves.flatMap(() => [...x, null]),
        curves.flatMap((y) => [...y, null]),
        { color: color("between"), width: 1 },
        { hoverinfo: "skip", ...extra },
      );
    }

    /** Teacher, students between and the last student, if there are more fits than one. */
    function chain(x, curves, extra) {
      const last = curves.length > 1 ? curves[curves.length - 1] : [];
      return [
        between(x, curves.slice(1, -1)),
        line("teacher", x, curves[0], { color: color("teacher"), width: 2.5 }, extra),
        line(`student, fit ${curves.length}`, last.length ? x : [], last, { color: color("student"), width: 2.5 }, extra),
      ];
    }

    const limitLine = (x, y) => line("limit", y ? x : [], y || [], { color: color("text"), width: 1.5, dash: "dash" });

    function drawFit({ targets, curves, limit }) {
      draw(
        "kd-plot-fit",
        [
          line("truth", data.gridX, data.gridTruth, { color: color("truth"), width: 5 }),
          ...chain(data.gridX, curves),
          limitLine(data.gridX, limit),
          points("points", data.x, targets, { symbol: "x-thin", size: 8, line: { width: 2, color: color("text") } }),
        ],
        axis("x", { range: [-0.02, 1.02] }),
        axis("f(x)", { range: [-1.6, 2.1] }),
      );
    }

    function drawModes({ shrinkage, limit, best }) {
      const index = data.eigenvalues.map((_, k) => k + 1);
      const dots = { mode: "lines+markers", marker: { size: 5 }, hovertemplate: "direction %{x}: %{y:.4f}" };
      const all = shrinkage.flat().concat(limit || [], [0, 1]);
      const [low, high] = [Math.min(...all), Math.max(...all)];
      const room = 0.05 * (high - low);
      draw(
        "kd-plot-modes",
        [
          ...chain(index, shrinkage, dots),
          limitLine(index, limit),
          points("best filter", index, best, { symbol: "diamond-open", size: 9, color: color("best"), line: { width: 2 } }),
        ],
        axis("eigendirection, largest eigenvalue first", { range: [0.6, index.length + 0.4], dtick: 1, showgrid: false }),
        axis("shrinkage d·q(d)", { range: [low - room, high + room] }),
      );
    }

    function drawRisk({ ridges, risks, floor, ridge, now, scale }) {
      const top = 1.25 * scale;
      const inside = now.map((value) => Math.min(value, top * 0.96));
      const symbols = now.map((value) => (value > top ? "triangle-up" : "circle"));
      const colors = [color("teacher"), color("student")].slice(0, now.length);
      draw(
        "kd-plot-risk",
        [
          line("current ridge", [ridge, ridge], [0, top], { color: color("text"), width: 1, dash: "dot" }, { hoverinfo: "skip" }),
          line("floor", [ridges[0], ridges[ridges.length - 1]], [floor, floor], { color: color("best"), width: 2, dash: "dash" }),
          ...chain(ridges, risks),
          points(
            "at the current ridge",
            now.map(() => ridge),
            inside,
            { symbol: symbols, size: 10, color: colors, line: { width: 1.5, color: color("background") } },
            { customdata: now, hovertemplate: "risk %{customdata:.5f}", cliponaxis: false },
          ),
        ],
        axis("ridge λ", {
          type: "log",
          range: [Math.log10(ridges[0]), Math.log10(ridges[ridges.length - 1]) + 1e-6],
          tickvals: [1e-4, 1e-3, 1e-2, 0.1, 1, 10, 100, 1000],
          ticktext: ["10⁻⁴", "10⁻³", "0.01", "0.1", "1", "10", "100", "1000"],
        }),
        axis("in-sample risk", { range: [0, top] }),
      );
    }

    function drawFlow({ names, stopped, stop, teacher, student, marks }) {
      const before = [...TIMES.filter((time) => time < stop), stop];
      const after = [stop, ...TIMES.filter((time) => time > stop)];
      const plane = (model, times) => [0, 1].map((k) => times.map((time) => model(time)[k]));
      const [teacherMark, studentMark, matchedMark] = marks;
      const even = matchedMark ? [teacherMark, matchedMark] : [];
      const filled = (fill) => ({ size: 11, color: fill, line: { width: 1.5, color: color("background") } });
      draw(
        "kd-plot-flow",
        [
          line("teacher, had it gone on", ...plane(teacher, after), { color: color("teacher"), width: 1.5, dash: "dot" }),
          line("teacher", ...plane(teacher, before), { color: color("teacher"), width: 2.5 }),
          line("student", ...plane(student, [...TIMES, Infinity]), { color: color("student"), width: 2.5, dash: "8px,4px" }),
          points("teacher when stopped, where the student ends", [stopped[0]], [stopped[1]], {
            symbol: "star",
            size: 14,
            color: color("teacher"),
            line: { width: 1.5, color: color("student") },
          }),
          line("even", even.map((mark) => mark[0]), even.map((mark) => mark[1]), { color: color("text"), width: 1.5, dash: "dot" }, { hoverinfo: "skip" }),
          points("teacher at t", [teacherMark[0]], [teacherMark[1]], filled(color("teacher")), { cliponaxis: false }),
          points("student at t", [studentMark[0]], [studentMark[1]], filled(color("student")), { cliponaxis: false }),
          points("student when even", even.slice(1).map((mark) => mark[0]), even.slice(1).map((mark) => mark[1]), {
            symbol: "circle-open",
            size: 11,
            color: color("student"),
            line: { width: 2.5 },
          }),
        ],
        axis(`learned along direction ${names[0]}`, { range: [0, 1.03], dtick: 0.2 }),
        axis(`learned along direction ${names[1]}`, { range: [0, 1.03], dtick: 0.2 }),
      );
    }

    takeTheme();
    return { takeTheme, drawFit, drawModes, drawRisk, drawFlow };
  }

  window.kdtheoryPlots = Object.freeze({ create });
})();
