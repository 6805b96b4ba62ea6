/* State, controls and numbers of the explorer. */
(function () {
  "use strict";

  const root = document.getElementById("kd-explorer");
  const data = window.kdtheoryExplorer;
  const forms = window.kdtheoryClosedForms;
  if (!root) return;
  if (!data || !forms || !window.kdtheoryPlots || !window.Plotly) {
    const failure = document.getElementById("kd-failure");
    failure.textContent = "The explorer’s scripts did not load.";
    failure.hidden = false;
    return;
  }

  const SLIDERS = ["ridge", "weight", "fits", "noise", "time", "stop"];
  const LOGARITHMIC = "ridge";
  const DISTIL = ["ridge", "weight", "fits", "noise"];
  const FLOW = ["time", "stop", "top", "bottom", "noise"];
  const RIDGES = Array.from({ length: 141 }, (_, i) => 10 ** (-4 + i / 20));
  const QUIET_MS = 250;

  const d = data.eigenvalues;
  const signal = forms.coordinates(data.eigenvectors, data.signal);
  const gridRows = forms.leverages(data.gridKernel, data.eigenvectors);
  const state = { ...data.start };
  const element = (id) => document.getElementById(`kd-${id}`);
  for (const [who, value] of Object.entries(data.colors)) root.style.setProperty(`--kd-${who}`, value);
  const plots = window.kdtheoryPlots.create(root, data);

  /* Numbers as text: five digits or so, and all of them in an attribute. */

  function written(value) {
    const size = Math.abs(value);
    let text;
    if (value !== 0 && (size < 1e-4 || size >= 1e5)) text = value.toExponential(2);
    else text = value.toFixed(size < 1 ? 5 : 4 - Math.floor(Math.log10(size)));
    return text.replace("-", "−").replace("e+", "e");
  }

  function show(cell, value, why = "there is none") {
    if (value === null) {
      cell.textContent = "none";
      cell.title = why;
      cell.removeAttribute("data-value");
    } else {
      cell.textContent = written(value);
      cell.removeAttribute("title");
      cell.dataset.value = String(value);
    }
  }

  const cellOf = (row, name) => row.querySelector(`[data-name="${name}"]`);

  /* Self-distillation: fits, modes, risks. */

  function dataNow() {
    const targets = data.signal.map((value, i) => value + state.noise * data.noise[i]);
    const noiseVariance = data.noiseVariance * state.noise ** 2;
    return { targets, noiseVariance, components: forms.coordinates(data.eigenvectors, targets) };
  }

  function model(modes, { components, noiseVariance }) {
    const curve = forms.predict(gridRows, modes, components);
    return {
      curve,
      shrinkage: modes.shrinkage,
      loss: forms.meanSquaredError(curve, data.gridTruth),
      risk: forms.risk(modes, signal, noiseVariance),
      dof: forms.effectiveDof(modes),
      ratio: forms.shrinkageRatio(modes),
    };
  }

  function updateDistillation() {
    const now = dataNow();
    const fits = forms.selfDistillation(d, state.ridge, state.weight, state.fits).map((modes) => model(modes, now));
    const limitModes = forms.selfDistillationLimit(d, state.ridge, state.weight);
    const limit = limitModes && model(limitModes, now);
    const best = forms.bestFilter(signal, now.noiseVariance);
    const along = RIDGES.map((ridge) =>
      forms.selfDistillation(d, ridge, state.weight, state.fits).map((modes) => forms.risk(modes, signal, now.noiseVariance)),
    );
    showFits(fits, limit, best.floor);
    root.classList.toggle("kd-no-limit", limit === null);
    root.classList.toggle("kd-no-student", state.fits === 1);
    for (const name of root.querySelectorAll(".kd-student-name")) name.textContent = `student (fit ${state.fits})`;
    drawings.set("drawFit", { targets: now.targets, curves: fits.map((fit) => fit.curve), limit: limit && limit.curve });
    drawings.set("drawModes", { shrinkage: fits.map((fit) => fit.shrinkage), limit: limit && limit.shrinkage, best: best.shrinkage });
    drawings.set("drawRisk", {
      ridges: RIDGES,
      risks: fits.map((_, step) => along.map((risks) => risks[step])),
      floor: best.floor,
      ridge: state.ridge,
      now: (state.fits > 1 ? [fits[0], fits[state.fits - 1]] : [fits[0]]).map((fit) => fit.risk),
      scale: Math.max(signal.reduce((total, theta) => total + theta ** 2, 0) / signal.length, now.noiseVariance),
    });
    return describeFits(fits, limit, best.floor);
  }

  function publishedLosses() {
    const { start } = data;
    const asPrinted = state.ridge === start.ridge && state.noise === start.noise;
    return (asPrinted && data.published.find((one) => one.labelWeight === state.weight)) || { losses: [], limit: null };
  }

  function showFits(fits, limit, floor) {
    const body = element("fits-rows");
    const limitRow = element("limit-row");
    while (body.rows.length > fits.length) body.deleteRow(-1);
    while (body.rows.length < fits.length) {
      const row = limitRow.cloneNode(true);
      row.id = `kd-fit-${body.rows.length + 1}`;
      row.cells[0].textContent = String(body.rows.length + 1);
      body.append(row);
    }
    const published = publishedLosses();
    fits.forEach((fit, step) => {
      const row = body.rows[step];
      row.className = step === 0 ? "kd-row-teacher" : step === fits.length - 1 ? "kd-row-student" : "";
      showModel(row, fit);
      showPublished(row, published.losses[step]);
    });
    showModel(limitRow, limit || { loss: null, risk: null, dof: null, ratio: null }, limit ? undefined : whyNoLimit());
    showPublished(limitRow, limit ? published.limit : null);
    show(cellOf(element("floor-row"), "floor"), floor);
  }

  function showModel(row, { loss, risk, dof, ratio }, why) {
    show(cellOf(row, "loss"), loss, why);
    show(cellOf(row, "risk"), risk, why);
    show(cellOf(row, "dof"), dof, why);
    show(cellOf(row, "ratio"), ratio, why || "nothing is kept of the smallest mode");
  }

  function showPublished(row, loss) {
    const cell = cellOf(row, "published");
    if (loss === undefined || loss === null) {
      cell.textContent = "";
      cell.removeAttribute("data-value");
    } else show(cell, loss);
  }

  function whyNoLimit() {
    const [low, high] = forms.limitInterval(d, state.ridge).map(written);
    return `label weights must be above ${low} and below ${high}`;
  }

  function compared(loss, teacherLoss) {
    const ratio = loss / teacherLoss;
    if (Math.abs(ratio - 1) < 5e-4) return "that of the teacher";
    if (ratio >= 2) return `${written(ratio)} times the teacher’s ${written(teacherLoss)}`;
    return `${Math.abs(100 * (ratio - 1)).toPrecision(2)} % ${ratio < 1 ? "below" : "above"} the teacher’s ${written(teacherLoss)}`;
  }

  function describeFits(fits, limit, floor) {
    const [teacher, student] = [fits[0], fits[fits.length - 1]];
    const sentences = [
      fits.length === 1
        ? `The teacher alone has the loss ${written(teacher.loss)}.`
        : `Fit ${fits.length} has the loss ${written(student.loss)}, ${compared(student.loss, teacher.loss)}.`,
      `Its expected risk is ${written(student.risk)}; no filter gets below ${written(floor)}.`,
      limit ? `The limit of all fits has the loss ${written(limit.loss)}.` : `There is no limit: ${whyNoLimit()}.`,
    ];
    return sentences.join(" ");
  }

  /* Gradient flow: what is learned along two directions, and the functions at the chosen time. */

  function updateFlow() {
    const { top, bottom, time, stop } = state;
    const pair = [d[top - 1], d[bottom - 1]];
    const stoppedTeacher = forms.flowModes(d, stop);
    const student = (at) => forms.distil(stoppedTeacher, forms.flowModes(d, at), 0);
    const share = (make) => (at) => make(at).shrinkage;
    const pairTeacher = (at) => share((t) => forms.flowModes(pair, t))(at);
    const pairStopped = forms.flowModes(pair, stop);
    const pairStudent = (at) => share((t) => forms.distil(pairStopped, forms.flowModes(pair, t), 0))(at);
    const matched = forms.matchedStudentTime(pair[0], time, stop);
    const ratio = forms.exaggerationRatio(pair[0], pair[1], time, stop);
    const marks = [pairTeacher(time), pairStudent(time), matched === null ? null : pairStudent(matched)];

    const { components } = dataNow();
    const loss = (modes) => forms.meanSquaredError(forms.predict(gridRows, modes, components), data.gridTruth);
    const why = whyNotEven();
    const columns = {
      teacher: [time, ...marks[0], loss(forms.flowModes(d, time))],
      student: [time, ...marks[1], loss(student(time))],
      matched: matched === null ? [null, null, null, null] : [matched, ...marks[2], loss(student(matched))],
    };
    const rows = ["clock-row", "top-row", "bottom-row", "loss-row"].map(element);
    for (const [name, values] of Object.entries(columns)) {
      values.forEach((value, i) => show(cellOf(rows[i], name), value, why));
    }
    element("top-name").textContent = String(top);
    element("bottom-name").textContent = String(bottom);
    show(cellOf(element("even-row"), "ratio"), ratio, why);
    drawings.set("drawFlow", { names: [top, bottom], stopped: pairTeacher(stop), stop, teacher: pairTeacher, student: pairStudent, marks });
    if (ratio === null) return `${why[0].toUpperCase()}${why.slice(1)}.`;
    return (
      `When the student has learned as much along direction ${top} as its teacher had at time ${Number(time.toPrecision(5))}, it has learned ` +
      `only ${written(ratio)} times as much along direction ${bottom}: it exaggerates what its teacher was better at.`
    );
  }

  function whyNotEven() {
    if (state.stop === 0) return "a teacher that is stopped at once learns nothing, and so does its student";
    if (state.time === 0) return "at time 0 neither has learned anything";
    return "the student is never even with its teacher at a time when that was stopped already: choose t below T";
  }

  /* Controls. */

  function readSlider(name) {
    const value = Number(element(name).value);
    return name === LOGARITHMIC ? Number((10 ** value).toPrecision(3)) : value;
  }

  function allowed(name, value) {
    if (name === "top") return Math.min(Math.max(Math.round(value), 1), d.length - 1);
    if (name === "bottom") return Math.min(Math.max(Math.round(value), 2), d.length);
    const field = element(`${name}-field`);
    const inside = Math.min(Math.max(value, Number(field.min)), Number(field.max));
    return name === "fits" ? Math.round(inside) : inside;
  }

  function set(name, value) {
    state[name] = allowed(name, value);
    if (state.bottom > state.top) return;
    if (name === "top") state.bottom = state.top + 1;
    else state.top = state.bottom - 1;
  }

  function writeControls(except) {
    for (const name of SLIDERS) {
      const [slider, field] = [element(name), element(`${name}-field`)];
      const position = name === LOGARITHMIC ? Math.log10(state[name]) : state[name];
      if (slider !== except) slider.value = String(position);
      if (name === LOGARITHMIC) slider.setAttribute("aria-valuetext", String(state[name]));
      if (field !== except) field.value = String(state[name]);
    }
    for (const name of ["top", "bottom"]) element(name).value = String(state[name]);
  }

  const due = new Set();
  const drawings = new Map();
  const words = {};
  let frame = 0;
  let quiet = 0;

  /** Numbers at once, then one plot in every frame, so that no frame takes long; the one that waited longest first. */
  function render() {
    frame = 0;
    if (DISTIL.some((name) => due.has(name))) words.words = updateDistillation();
    if (FLOW.some((name) => due.has(name))) words["flow-words"] = updateFlow();
    due.clear();
    const [next] = drawings;
    if (next) {
      drawings.delete(next[0]);
      plots[next[0]](next[1]);
      if (drawings.size) frame = requestAnimationFrame(render);
    }
    clearTimeout(quiet);
    quiet = setTimeout(settle, QUIET_MS);
  }

  /** What a reader is told, and the address: once the controls are at rest. */
  function settle() {
    for (const [id, text] of Object.entries(words)) {
      if (element(id).textContent !== text) element(id).textContent = text;
    }
    const { hash, pathname, search } = window.location;
    const wanted = isStart() ? "" : `#${hashOf(state)}`;
    if (hash !== wanted && (wanted || namesIn(hash).length)) {
      window.history.replaceState(null, "", wanted || pathname + search);
    }
  }

  function changed(names, except) {
    names.forEach((name) => due.add(name));
    writeControls(except);
    if (!frame) frame = requestAnimationFrame(render);
  }

  for (const name of SLIDERS) {
    const [slider, field] = [element(name), element(`${name}-field`)];
    slider.addEventListener("input", () => {
      set(name, readSlider(name));
      changed([name], slider);
    });
    field.addEventListener("input", () => {
      const value = field.valueAsNumber;
      if (Number.isNaN(value) || allowed(name, value) !== value) return;
      set(name, value);
      changed([name], field);
    });
    field.addEventListener("change", () => {
      if (!Number.isNaN(field.valueAsNumber)) set(name, field.valueAsNumber);
      changed([name]);
    });
  }
  for (const name of ["top", "bottom"]) {
    const select = element(name);
    d.forEach((value, k) => {
      const possible = name === "top" ? k < d.length - 1 : k > 0;
      if (possible) select.add(new Option(`${k + 1} (d = ${value.toFixed(2)})`, String(k + 1)));
    });
    select.addEventListener("change", () => {
      set(name, Number(select.value));
      changed([name]);
    });
  }
  element("reset").addEventListener("click", () => {
    Object.assign(state, data.start);
    changed(Object.keys(state));
  });

  /* The address. */

  function hashOf(setting) {
    return new URLSearchParams(Object.entries(setting).map(([name, value]) => [name, String(value)])).toString();
  }

  function isStart() {
    return Object.keys(data.start).every((name) => state[name] === data.start[name]);
  }

  function namesIn(hash) {
    const given = new URLSearchParams(hash.slice(1));
    return Object.keys(data.start).filter((name) => given.has(name));
  }

  /** Take the state from an address that holds one; what is missing or no number is as at the start. */
  function readHash() {
    const given = new URLSearchParams(window.location.hash.slice(1));
    const names = namesIn(window.location.hash);
    if (names.length === 0) return;
    Object.assign(state, data.start);
    for (const name of names) {
      const value = given.get(name).trim() === "" ? NaN : Number(given.get(name));
      if (Number.isFinite(value)) set(name, value);
    }
  }

  window.addEventListener("hashchange", () => {
    readHash();
    changed(Object.keys(state));
  });

  /* The page around: its theme and its width. */

  const redraw = () => {
    plots.takeTheme();
    changed(Object.keys(state));
  };
  new MutationObserver(redraw).observe(document.documentElement, { attributes: true, attributeFilter: ["data-theme"] });
  const resize = new ResizeObserver((entries) => {
    for (const { target } of entries) if (target.data) window.Plotly.Plots.resize(target);
  });
  readHash();
  changed(Object.keys(state));
  for (const plot of root.querySelectorAll(".kd-plot")) resize.observe(plot);
})();
