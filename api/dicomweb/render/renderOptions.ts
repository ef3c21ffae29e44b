import type { ImageType, RenderOptions } from '../../../codecs/render.ts';
import { badRequest } from '../../problems.ts';

/** What the query says of a rendered picture, and what of it is not done here. */
export interface AskedRendering {
  readonly options: Omit<RenderOptions, 'type'>;
  readonly ignored: readonly string[];
}

/**
 * Reads `window`, `viewport`, `quality`, `annotation` and `iccprofile` (PS3.18 8.3.5.1). The latter two are ignored, and
 * the answer's Warning says so.
 *
 * @throws HttpProblem 400
 */
export function renderingOf(query: URLSearchParams): AskedRendering {
  const options = { quality: qualityOf(query.get('quality'), 'quality'), window: windowOf(query.get('window')), viewport: viewportOf(query.get('viewport')) };
  const ignored = ['annotation', 'iccprofile'].filter((name) => query.has(name) && query.get(name) !== 'no');
  return { options, ignored };
}

export function qualityOf(text: string | null, name: string): number | undefined {
  if (text === null) return undefined;
  if (/^([1-9]\d?|100)$/.test(text)) return Number(text);
  throw badRequest(`The parameter ${name} is a whole number from 1 to 100.`);
}

const functions = { linear: 'LINEAR', 'linear-exact': 'LINEAR_EXACT', sigmoid: 'SIGMOID' } as const;
const decimal = /^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,3})?$/;

function windowOf(text: string | null): RenderOptions['window'] {
  if (text === null) return undefined;
  const [center = '', width = '', name = 'linear', ...more] = text.split(',').map((part) => part.trim());
  const kind = Object.hasOwn(functions, name.toLowerCase()) ? functions[name.toLowerCase() as keyof typeof functions] : undefined;
  if (more.length === 0 && kind && decimal.test(center) && decimal.test(width)) return windowFrom(Number(center), Number(width), kind);
  throw badRequest('The parameter window is center,width,function; function is linear, linear-exact or sigmoid.');
}

/** @throws HttpProblem 400 when the function has no such width (PS3.3 C.11.2.1.2) */
export function windowFrom(center: number, width: number, kind: 'LINEAR' | 'LINEAR_EXACT' | 'SIGMOID'): NonNullable<RenderOptions['window']> {
  if (width >= 1 || (width > 0 && kind !== 'LINEAR')) return { center, width, function: kind };
  throw badRequest('A window is at least 1 wide; with linear-exact and sigmoid, wider than 0.');
}

const maxSide = 16_384;

/**
 * `vw,vh`, and perhaps the part of the picture to show: `vw,vh,sx,sy,sw,sh` (PS3.18 8.3.5.1.3). Of the latter each may be left out or have
 * decimals; a negative width or height flips.
 */
function viewportOf(text: string | null): RenderOptions['viewport'] {
  if (text === null) return undefined;
  const parts = text.split(',').map((part) => part.trim());
  const [width = NaN, height = NaN] = parts.slice(0, 2).map((part) => (/^\d{1,5}$/.test(part) ? Number(part) : NaN));
  const [x = 0, y = 0, sourceWidth, sourceHeight] = parts.slice(2).map((part) => (part === '' ? undefined : /^-?\d{1,5}(?:\.\d{1,6})?$/.test(part) ? Number(part) : NaN));
  const inRange = (value: number): boolean => value >= 1 && value <= maxSide;
  const size = { width, height, enlarge: true };
  if (inRange(width) && inRange(height) && parts.length === 2) return size;
  const sound = x >= 0 && y >= 0 && [sourceWidth, sourceHeight].every((side) => side === undefined || Math.abs(side) > 0);
  if (inRange(width) && inRange(height) && parts.length === 6 && sound) return { ...size, source: { x, y, width: sourceWidth, height: sourceHeight } };
  throw badRequest(`The parameter viewport is width,height from 1 to ${maxSide}, or width,height,x,y,width,height, of which the last four may be left out and the last two be negative.`);
}

export const imageTypes: readonly ImageType[] = ['image/jpeg', 'image/png', 'image/gif'];
