import type { S3Keys } from '../secrets.ts';
import type { Server as ServerPart } from './parts.ts';
import type { Paths } from './paths.ts';
import type { Ports } from './ports.ts';
import type { Launch } from './process.ts';

/** What a server is told about the stack that it belongs to. */
export type Site = { readonly paths: Paths; readonly ports: Ports; readonly s3Keys: S3Keys };

/** One of the servers: how it is started and how it shows that it is ready. */
export type Server = {
  readonly part: ServerPart;
  readonly name: string;
  /** Writes what the server reads at its start, and tells how to start it. */
  readonly launch: (site: Site) => Pick<Launch, 'command' | 'args' | 'cwd' | 'user'> & { readonly env?: Readonly<Record<string, string>> };
  readonly healthy: (site: Site) => Promise<boolean>;
  /** Tidies up what the server leaves behind outside `.pacs/`. */
  readonly cleanUp?: (site: Site) => void;
};

/** Whether a GET answers 200 within two seconds. */
export async function answers(url: string): Promise<boolean> {
  try {
    const response = await fetch(url, { signal: AbortSignal.timeout(2000) });
    await response.arrayBuffer();
    return response.ok;
  } catch {
    return false;
  }
}
