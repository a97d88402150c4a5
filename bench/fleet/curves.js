/** Curves of a scenario as an SVG picture, one panel for each policy. Plain colours that a dark page shows as well. */

const [WIDTH, PANEL, LEFT, RIGHT, TOP, GAP] = [860, 150, 52, 150, 46, 34];
const COLOURS = { waiting: '#c2571a', workers: '#2a6fbb', busy: '#3d9a50' };
const WORDS = { waiting: 'waiting tasks', workers: 'workers', busy: 'busy workers' };
/** At most so many points of a curve; of each step the highest is kept. */
const POINTS = 360;

/** @param runs `{ name, curve }`, curve points `{ at, waiting, workers, busy }`, `at` in seconds; zoom: hours from, to */
export function drawCurves(title, runs, [fromHour, toHour]) {
  const [from, to] = [fromHour * 3_600, toHour * 3_600];
  const shown = runs.map(({ name, curve }) => ({
    name,
    points: thin(curve.filter(({ at }) => at >= from && at <= to)),
  }));
  const top = Math.max(
    12,
    ...shown.flatMap(({ points }) => points.map(({ waiting }) => Math.min(waiting, 60))),
  );
  const height = TOP + shown.length * (PANEL + GAP) + 8;
  const x = (at) => LEFT + ((at - from) / (to - from)) * (WIDTH - LEFT - RIGHT);
  const panels = shown.map(({ name, points }, index) => {
    const base = TOP + index * (PANEL + GAP) + PANEL;
    const y = (value) => base - (Math.min(value, top) / top) * PANEL;
    return panel({ name, points, x, y, base, top, from, to });
  });
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" font-family="system-ui, sans-serif" font-size="12">`,
    `<title>${title}</title>`,
    `<rect width="${WIDTH}" height="${height}" fill="#ffffff"/>`,
    `<text x="${LEFT}" y="22" font-size="15" font-weight="600" fill="#222222">${title}</text>`,
    ...panels.flat(),
    '</svg>',
    '',
  ].join('\n');
}

function panel({ name, points, x, y, base, top, from, to }) {
  const line = (key) =>
    `<polyline fill="none" stroke="${COLOURS[key]}" stroke-width="1.6" points="${points
      .map((point) => `${round(x(point.at))},${round(y(point[key]))}`)
      .join(' ')}"/>`;
  const hours = Array.from({ length: Math.round((to - from) / 3_600) + 1 }, (_, hour) => from + hour * 3_600);
  return [
    `<text x="${LEFT}" y="${base - PANEL - 6}" font-weight="600" fill="#444444">${name}</text>`,
    ...[0, top / 2, top].map(
      (value) =>
        `<line x1="${LEFT}" x2="${WIDTH - RIGHT}" y1="${round(y(value))}" y2="${round(y(value))}" stroke="#dddddd"/>` +
        `<text x="${LEFT - 6}" y="${round(y(value) + 4)}" text-anchor="end" fill="#666666">${round(value)}</text>`,
    ),
    ...hours.map(
      (at) =>
        `<text x="${round(x(at))}" y="${base + 15}" text-anchor="middle" fill="#666666">${at / 3_600} h</text>`,
    ),
    ...['waiting', 'workers', 'busy'].map(line),
    ...Object.entries(WORDS).map(
      ([key, word], index) =>
        `<text x="${WIDTH - RIGHT + 12}" y="${base - PANEL + 16 + index * 18}" fill="${COLOURS[key]}">${word}</text>`,
    ),
  ];
}

function thin(points) {
  const step = Math.max(1, Math.ceil(points.length / POINTS));
  const kept = [];
  for (let index = 0; index < points.length; index += step) {
    const slice = points.slice(index, index + step);
    kept.push(
      slice.reduce((high, point) =>
        point.workers + point.waiting > high.workers + high.waiting ? point : high,
      ),
    );
  }
  return kept;
}

function round(value) {
  return Math.round(value * 10) / 10;
}
