/* The closed forms in the browser: arrays in, arrays out, nothing drawn.
 *
 * `d` are the eigenvalues of the Gram matrix, all > 0. The modes of a model are its coefficient filter q(d), its
 * shrinkage d·q(d) and its residual 1 − d·q(d), each an array over the eigenvalues.
 */
(function () {
  "use strict";

  const sum = (values) => values.reduce((total, value) => total + value, 0);
  const dot = (a, b) => sum(a.map((value, i) => value * b[i]));
  const modesOf = (d, mode) => {
    const each = d.map(mode);
    return {
      coefficient: each.map((one) => one[0]),
      shrinkage: each.map((one) => one[1]),
      residual: each.map((one) => one[2]),
    };
  };

  /** Kernel ridge regression: 1/(d + λ), d/(d + λ), λ/(d + λ). Classical. */
  function ridgeModes(d, ridge) {
    return modesOf(d, (dk) => [1 / (dk + ridge), dk / (dk + ridge), ridge / (dk + ridge)]);
  }

  /** Gradient flow from zero: shrinkage 1 − exp(−t·d). Nagarajan et al. (2023), eqs. 12-13. */
  function flowModes(d, time) {
    return modesOf(d, (dk) => {
      const learned = -Math.expm1(-time * dk);
      return [learned / dk, learned, Math.exp(-time * dk)];
    });
  }

  /** A student on α·y + (1 − α)·(its teacher's outputs): its filter times α + (1 − α)·d·q_teacher(d), and the
   * complement 1 − B = (1 − A) + (1 − α)·A·(1 − B_teacher). Borup & Andersen (2021), eq. 12.
   */
  function distil(teacher, student, labelWeight) {
    const imitation = 1 - labelWeight;
    const target = teacher.shrinkage.map((kept, k) =>
      Math.abs(kept) < 0.5 ? labelWeight + imitation * kept : 1 - imitation * teacher.residual[k],
    );
    return {
      coefficient: student.coefficient.map((q, k) => q * target[k]),
      shrinkage: student.shrinkage.map((kept, k) => kept * target[k]),
      residual: student.residual.map((left, k) => left + imitation * student.shrinkage[k] * teacher.residual[k]),
    };
  }

  /** Fits 1 to nFits of self-distillation with one label weight. Borup & Andersen (2021), Theorem 4.1. */
  function selfDistillation(d, ridge, labelWeight, nFits) {
    const base = ridgeModes(d, ridge);
    const fits = [base];
    while (fits.length < nFits) fits.push(distil(fits[fits.length - 1], base, labelWeight));
    return fits;
  }

  /** Label weights between which the infinite-step limit exists: |1 − α|·d < d + λ for every eigenvalue. */
  function limitInterval(d, ridge) {
    const edge = ridge / Math.max(...d);
    return [-edge, 2 + edge];
  }

  /** The infinite-step limit, kernel ridge regression with the penalty λ/α: shrinkage α·d/(α·d + λ); null where it
   * does not exist. Borup & Andersen (2021), Theorem 4.5, whose interval (0, 1] is smaller than the true one.
   */
  function selfDistillationLimit(d, ridge, labelWeight) {
    const exists = d.every((dk) => ridge + labelWeight * dk > 0 && ridge + (2 - labelWeight) * dk > 0);
    if (!exists) return null;
    return modesOf(d, (dk) => {
      const divisor = ridge + labelWeight * dk;
      return [labelWeight / divisor, (labelWeight * dk) / divisor, ridge / divisor];
    });
  }

  /** Trace of the hat matrix, Σ d·q(d). */
  function effectiveDof(modes) {
    return sum(modes.shrinkage);
  }

  /** What is kept of the largest mode over what is kept of the smallest, the product of all ratios R_k of neighbours;
   * null where nothing is kept of the smallest. Borup & Andersen (2021), R_k^(τ).
   */
  function shrinkageRatio(modes) {
    const smallest = modes.shrinkage[modes.shrinkage.length - 1];
    return smallest === 0 ? null : modes.shrinkage[0] / smallest;
  }

  /** Components of values at the points along the eigenvectors, whose rows belong to the points. */
  function coordinates(eigenvectors, values) {
    return eigenvectors[0].map((_, k) => dot(eigenvectors.map((row) => row[k]), values));
  }

  /** Values of every eigendirection's dual coefficient at new points: the rows of K_new·U. */
  function leverages(kernelValues, eigenvectors) {
    return kernelValues.map((row) => coordinates(eigenvectors, row));
  }

  /** Predictions K_new·U·q(d)·Uᵀy. */
  function predict(rows, modes, components) {
    const dual = modes.coefficient.map((q, k) => q * components[k]);
    return rows.map((row) => dot(row, dual));
  }

  /** Mean squared error. */
  function meanSquaredError(predictions, truth) {
    return sum(predictions.map((value, i) => (value - truth[i]) ** 2)) / truth.length;
  }

  /** Expected squared error at the training points: means of (1 − B)²θ² and of B²σ². Classical. */
  function risk(modes, signal, noiseVariance) {
    const squaredBias = sum(modes.residual.map((left, k) => (left * signal[k]) ** 2));
    const variance = noiseVariance * sum(modes.shrinkage.map((kept) => kept ** 2));
    return (squaredBias + variance) / signal.length;
  }

  /** The best filter there is, θ²/(θ² + σ²) where no two eigenvalues are equal, and its risk, below which no filter gets.
   * Wiener.
   */
  function bestFilter(signal, noiseVariance) {
    const shrinkage = signal.map((theta) => {
      const energy = theta ** 2;
      return energy + noiseVariance > 0 ? energy / (energy + noiseVariance) : 0;
    });
    return { shrinkage, floor: (noiseVariance * sum(shrinkage)) / signal.length };
  }

  /** Time at which a student of the teacher stopped at `stop` has learned as much along d as its teacher had at `time`;
   * null unless 0 < time < stop. Nagarajan et al. (2023), Theorem B.1.
   */
  function matchedStudentTime(d, time, stop) {
    if (!(time > 0 && time < stop)) return null;
    const all = Math.expm1(-d * stop);
    const learned = Math.expm1(-d * time) / all;
    if (learned < 0.5) return -Math.log1p(-learned) / d;
    return time - Math.log(Math.expm1(-d * (stop - time)) / all) / d;
  }

  /** Student over teacher along dBottom where both have learned as much along dTop; null unless 0 < time < stop.
   * Nagarajan et al. (2023), Theorem 4.1/B.1.
   */
  function exaggerationRatio(dTop, dBottom, time, stop) {
    const matched = matchedStudentTime(dTop, time, stop);
    if (matched === null) return null;
    return (-Math.expm1(-dBottom * stop) * Math.expm1(-dBottom * matched)) / Math.expm1(-dBottom * time);
  }

  window.kdtheoryClosedForms = Object.freeze({
    bestFilter,
    coordinates,
    distil,
    effectiveDof,
    exaggerationRatio,
    flowModes,
    leverages,
    limitInterval,
    matchedStudentTime,
    meanSquaredError,
    predict,
    risk,
    selfDistillation,
    selfDistillationLimit,
    shrinkageRatio,
  });
})();
