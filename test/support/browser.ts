import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { chromium, type BrowserContext } from 'playwright-core';
import sharp from 'sharp';

export interface Browser {
  readonly context: BrowserContext;
  close(): Promise<void>;
}

/** Debian's Chromium with a profile of its own; it calls no host but the one it is sent to. */
export async function startBrowser(executablePath: string): Promise<Browser> {
  const profile = await mkdtemp(path.join(tmpdir(), 'browser-'));
  const context = await chromium.launchPersistentContext(profile, {
    executablePath, headless: true, viewport: { width: 1200, height: 800 },
    args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync', '--enable-unsafe-swiftshader'],
  });
  return { context, close: async () => {
    await context.close();
    await rm(profile, { recursive: true, force: true });
  } };
}

/** What a picture shows, as an eye would sort it. */
export interface Look {
  /** Share of pixels, 0 … 1, that are not nearly black. */
  readonly lit: number;
  /** Different grey levels of at least five pixels each. */
  readonly greys: number;
}

/** @param png of a page or a part of it */
export async function lookAt(png: Buffer): Promise<Look> {
  const { data, info } = await sharp(png).removeAlpha().raw().toBuffer({ resolveWithObject: true });
  const histogram = new Uint32Array(256);
  let lit = 0;
  for (let at = 0; at < data.length; at += info.channels) {
    const grey = Math.round((data[at]! + data[at + 1]! + data[at + 2]!) / 3);
    histogram[grey]!++;
    if (grey > 16) lit++;
  }
  const pixels = info.width * info.height;
  return { lit: lit / pixels, greys: histogram.filter((count) => count >= 5).length };
}
