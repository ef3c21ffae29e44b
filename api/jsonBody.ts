import type { Request } from 'express';
import type { z } from 'zod';
import { badRequest, HttpProblem } from './problems.ts';

const usualMaxBytes = 256 * 1024;

/**
 * Reads a JSON body and checks it.
 *
 * @throws HttpProblem 400 that names each field that is wrong, never its value; 413, 415
 */
export async function readJson<T>(request: Request, schema: z.ZodType<T>, maxBytes = usualMaxBytes): Promise<T> {
  if (!/^application\/(?:[\w.-]+\+)?json\s*(?:;|$)/i.test(request.get('Content-Type') ?? '')) throw new HttpProblem(415, 'The body is taken as application/json.');
  const pieces: Buffer[] = [];
  let lengthBytes = 0;
  for await (const piece of request.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) {
    lengthBytes += piece.length;
    if (lengthBytes > maxBytes) throw new HttpProblem(413, `The body is longer than ${maxBytes} bytes.`);
    pieces.push(piece);
  }
  const checked = schema.safeParse(parsed(Buffer.concat(pieces).toString('utf8')));
  if (checked.success) return checked.data;
  const errors = checked.error.issues.slice(0, 50).map(({ path, message }) => ({ field: path.join('.') || '(body)', problem: message }));
  throw badRequest(`These fields are wrong: ${errors.map(({ field, problem }) => `${field} (${problem})`).join('; ')}.`, { errors });
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    throw badRequest('The body is no JSON. Check quotes and commas.');
  }
}
