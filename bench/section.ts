import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import type { InfraConfig } from '../infra/config.ts';
import type { Stack } from '../infra/native/stack.ts';
import { plotSvg, type Plot } from './plot.ts';

/** What every benchmark works with: a stack that others may have used before it, and a folder of its own. */
export interface Bench {
  readonly config: InfraConfig;
  readonly stack: Stack;
  readonly home: string;
  /** About half a minute, for a look: fewer loads, one repetition. */
  readonly quick: boolean;
  readonly peers: boolean;
}

/** What a benchmark found. */
export interface Section {
  readonly name: string;
  /** Markdown, without a heading. */
  readonly text: string;
  readonly data: object;
  readonly plots: Readonly<Record<string, Plot>>;
  /** Something was refused, not found or not read whole: the figures do not count. */
  readonly failed: boolean;
}

const results = path.join(import.meta.dirname, 'results');
const document = path.join(import.meta.dirname, 'results.md');

/**
 * Writes JSON, table and plots. A whole run goes to `bench/results/` and into `bench/results.md`; a quick one is no measurement and goes
 * to `.pacs/bench/`.
 *
 * @param where `quick` or `whole`, and for `quick` the folder
 * @returns the files written
 */
export function keep({ name, text, data, plots }: Section, where: { readonly quickFolder?: string | undefined }, intro: string): readonly string[] {
  const folder = where.quickFolder ?? results;
  mkdirSync(folder, { recursive: true });
  const files = new Map([[`${name}.json`, JSON.stringify(data, undefined, 1)], ...Object.entries(plots).map(([plot, values]) => [`${plot}.svg`, plotSvg(values)] as const)]);
  const whole = `${intro}\n\n${text}`;
  if (where.quickFolder !== undefined) files.set(`${name}.md`, whole);
  else writeFileSync(document, withSection(readFileSync(document, 'utf8'), name, `${whole}\n\n${Object.entries(plots).map(([plot, { title }]) => `![${title}](results/${plot}.svg)`).join('\n')}`));
  for (const [file, content] of files) writeFileSync(path.join(folder, file), `${content}\n`);
  return [...files.keys()].map((file) => path.join(folder, file));
}

/** Puts a text between its marks in a Markdown document, `<!-- name -->` and `<!-- /name -->`; without marks at its end. */
export function withSection(markdown: string, name: string, text: string): string {
  const [begin, end] = [`<!-- ${name} -->`, `<!-- /${name} -->`];
  const [from, to] = [markdown.indexOf(begin), markdown.indexOf(end)];
  const section = `${begin}\n${text.trim()}\n${end}`;
  if (from < 0 || to < from) return `${markdown.trimEnd()}\n\n## ${name[0]?.toUpperCase()}${name.slice(1)}\n\n${section}\n`;
  return markdown.slice(0, from) + section + markdown.slice(to + end.length);
}
