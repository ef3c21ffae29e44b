import { scaleLinear, scaleLog } from 'd3-scale';
import { line } from 'd3-shape';
import { spread } from './statistics.ts';

export interface Series {
  readonly name: string;
  readonly points: readonly (readonly [x: number, y: number])[];
}

export interface Plot {
  readonly title: string;
  readonly x: string;
  readonly y: string;
  readonly series: readonly Series[];
  readonly logX?: boolean;
  /** For values that differ a hundredfold; they are above 0. */
  readonly logY?: boolean;
}

/** A line for each name, through the medians of its values. */
export const seriesOf = <T>(items: readonly T[], name: (item: T) => string, x: (item: T) => number, y: (item: T) => number): readonly Series[] =>
  [...Map.groupBy(items, name)].map(([own, group]) => ({
    name: own, points: [...Map.groupBy(group, x)].map(([at, values]) => [at, spread(values.map(y))?.median ?? 0] as const),
  }));

const [width, height] = [720, 420];
const margin = { top: 48, right: 200, bottom: 56, left: 72 };
/** Told apart by people who see colours differently (Okabe and Ito). */
const colours = ['#0072b2', '#d55e00', '#009e73', '#cc79a7', '#e69f00', '#56b4e9', '#000000', '#999999'];

/** A line chart as SVG text, with its own background so that it reads on any page. */
export function plotSvg({ title, x, y, series, logX = false, logY = false }: Plot): string {
  const points = series.flatMap((each) => each.points);
  const [low, high] = [Math.min(...points.map(([at]) => at)), Math.max(...points.map(([at]) => at))];
  const across = (logX ? scaleLog() : scaleLinear()).domain([low, high === low ? low + 1 : high]).range([margin.left, width - margin.right]);
  const values = points.map(([, value]) => value);
  const up = (logY ? scaleLog().domain([Math.min(...values), Math.max(...values)]) : scaleLinear().domain([0, Math.max(1e-9, ...values)])).nice().range([height - margin.bottom, margin.top]);
  const path = line<readonly [number, number]>(([at]) => across(at), ([, value]) => up(value));
  const xs = [...new Set(points.map(([at]) => at))].toSorted((a, b) => a - b);
  const bottom = height - margin.bottom;
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" font-family="sans-serif" font-size="12">`,
    `<rect width="${width}" height="${height}" fill="#fff"/>`,
    text(margin.left, 24, title, 'font-size="15" font-weight="bold"'),
    ...ticksOf(up.ticks(logY ? 4 : 6)).flatMap((value) => [
      `<line x1="${margin.left}" x2="${width - margin.right}" y1="${px(up(value))}" y2="${px(up(value))}" stroke="#e5e5e5"/>`, text(margin.left - 8, up(value) + 4, label(value), 'text-anchor="end"'),
    ]),
    ...(xs.length <= 10 ? xs : across.ticks(8)).map((at) => text(across(at), bottom + 18, label(at), 'text-anchor="middle"')),
    `<line x1="${margin.left}" x2="${width - margin.right}" y1="${bottom}" y2="${bottom}" stroke="#333"/>`,
    text((margin.left + width - margin.right) / 2, height - 14, x, 'text-anchor="middle"'),
    `<text transform="translate(18 ${(margin.top + bottom) / 2}) rotate(-90)" text-anchor="middle">${escaped(y)}</text>`,
    ...series.flatMap((each, index) => {
      const colour = colours[index % colours.length]!;
      const sorted = each.points.toSorted(([a], [b]) => a - b);
      return [
        `<path d="${path(sorted) ?? ''}" fill="none" stroke="${colour}" stroke-width="2"/>`,
        ...sorted.map(([at, value]) => `<circle cx="${px(across(at))}" cy="${px(up(value))}" r="3" fill="${colour}"/>`),
        `<rect x="${width - margin.right + 16}" y="${margin.top + 20 * index - 9}" width="12" height="12" fill="${colour}"/>`, text(width - margin.right + 34, margin.top + 20 * index + 1, each.name),
      ];
    }),
    '</svg>',
  ].join('\n');
}

/** A logarithmic scale gives ten a decade: then the decades alone. */
const ticksOf = (ticks: readonly number[]): readonly number[] => {
  const decades = ticks.filter((tick) => Number.isInteger(Math.log10(tick)));
  return ticks.length > 12 && decades.length > 1 ? decades : ticks;
};

const px = (value: number): string => value.toFixed(1);
const label = (value: number): string => (value >= 1000 ? value.toLocaleString('en-US') : String(Number(value.toPrecision(3))));
const text = (x: number, y: number, content: string, more = ''): string => `<text x="${px(x)}" y="${px(y)}" ${more}>${escaped(content)}</text>`;
const escaped = (content: string): string => content.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
